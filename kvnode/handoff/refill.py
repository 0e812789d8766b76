"""Refilling a store that replaces a lost one: partition by partition, before anything else, from the other owners.

A partition is complete again when all that enough of its other owners hold was fetched (sources.py) and is durable. An
owner that cannot be reached is waited for, since it may have what nobody else has; removing it by force says that it is
lost.
The set of what is incomplete is durable (records/incomplete.py), so a crash in the middle begins again with the
rest; whom this store has heard is remembered for one epoch, and until a row of the partition turns out to be damaged.

Must not live here: who counts towards a quorum meanwhile (replication/read.py).
"""

from __future__ import annotations

import msgspec

from kvnode.anti_entropy.exchange import Exchange
from kvnode.config import REFILL_PARTITIONS, REFILL_PERIOD_MS
from kvnode.context import NodeContext
from kvnode.handoff.sources import sources_needed


class RefillStats(msgspec.Struct, frozen=True):
    """What is incomplete, and what became complete since the start.

    partitions: incomplete ones that this node owns. waits_for: see Refill. votes: whether the node may vote on the
    ring; a store that replaces a lost one may not, until the members have let it (handoff/acceptor.py).
    """

    partitions: int
    refilled_total: int
    waits_for: tuple[str, ...]
    votes: bool


class Refill:
    """The refilling of one store.

    waits_for: the owners that a partition still waits for, when the last round could not go on.
    """

    def __init__(self, context: NodeContext, exchange: Exchange) -> None:
        self._runtime = context.runtime
        self._node = context.name
        self._ring = context.ring
        self._incomplete = context.incomplete
        self._members = context.members
        self._exchange = exchange
        self._epoch = 0
        self._given: dict[tuple[int, int], set[str]] = {}  # see _givers_of
        self._incomplete_at: dict[
            int, set[str]
        ] = {}  # partition: the owners that are being refilled themselves
        self.waits_for: tuple[str, ...] = ()

    async def run(self) -> None:
        """Refill what is incomplete, for ever."""
        while True:
            if not self._incomplete.owned or not await self._once():
                await self._runtime.clock.sleep_ms(REFILL_PERIOD_MS * (0.5 + self._runtime.random.random()))

    def may_be_complete(self, partition: int, owner: str) -> bool:
        """Whether an owner has not said that it is being refilled itself."""
        return owner not in self._incomplete_at.get(partition, ())

    def describe(self, *, votes: bool) -> RefillStats:
        """For /stats. votes: what acceptor.py says."""
        return RefillStats(
            partitions=len(self._incomplete.owned),
            refilled_total=self._incomplete.refilled_count,
            waits_for=self.waits_for,
            votes=votes,
        )

    async def _once(self) -> bool:
        """One look at everything that is incomplete; whether anything came of it."""
        before, received_count = self._incomplete.refilled_count, self._exchange.received_count
        owned = self._incomplete.owned
        waits_for = set[str]()
        for first in range(0, len(owned), REFILL_PARTITIONS):
            few = owned[first : first + REFILL_PARTITIONS]
            if not await self._fetch(few):
                break
            done = [partition for partition in few if self._missing(partition) <= 0]
            for partition in few:
                if partition not in done:
                    waits_for.update(self._silent_owners(partition))
            self._incomplete.completed(done)
        self.waits_for = tuple(sorted(waits_for))
        refilled = self._incomplete.refilled_count - before
        if refilled:
            self._runtime.log("refilled", partitions=refilled, left=len(self._incomplete.owned))
        return refilled > 0 or self._exchange.received_count > received_count

    async def _fetch(self, partitions: list[int]) -> bool:
        """Take these from all their other owners that answer; False: the ring has changed, or the disk is full."""
        epoch, failed_count = self._ring.epoch, self._exchange.failed_count
        if epoch != self._epoch:
            self._epoch = epoch
            self._given.clear()
            self._incomplete_at.clear()
        gave: list[tuple[str, set[str]]] = []
        givers_of = {partition: self._givers_of(partition) for partition in partitions}
        for owner in self._ring.nodes:
            wanted = [partition for partition in partitions if self._wants(partition, owner)]
            if not wanted or not self._members.is_alive(owner):
                continue
            taken = await self._exchange.take_from(owner, wanted)
            if self._ring.epoch != epoch:
                return False
            for partition in taken.incomplete:
                self._incomplete_at.setdefault(partition, set()).add(owner)
            for partition in taken.complete.difference(taken.incomplete):
                self._incomplete_at.get(partition, set()).discard(owner)
                gave.append((owner, givers_of[partition]))
        try:
            await self._runtime.disk.commit([])
        except OSError:
            return False
        if self._ring.epoch != epoch or self._exchange.failed_count != failed_count:
            return False
        for owner, givers in gave:
            givers.add(owner)
        return True

    def _givers_of(self, partition: int) -> set[str]:
        """The complete owners that gave all of a partition, in this epoch, since a record of it was lost here."""
        return self._given.setdefault((partition, self._incomplete.lost_count_in(partition)), set())

    def _wants(self, partition: int, owner: str) -> bool:
        return (
            owner != self._node
            and owner in self._ring.preference_lists[partition]
            and owner not in self._givers_of(partition)
        )

    def _missing(self, partition: int) -> int:
        """From how many complete owners the partition is still to be had."""
        owners, state = self._ring.preference_lists[partition], self._ring.state
        needed = sources_needed(
            len(owners),
            asked_count=len(owners) - 1,
            incomplete_count=len(self._incomplete_at.get(partition, ())),
            lost_count=state.forced and state.leaving in owners,
        )
        return needed - len(self._givers_of(partition))

    def _silent_owners(self, partition: int) -> list[str]:
        return [
            owner
            for owner in self._ring.preference_lists[partition]
            if self._wants(partition, owner) and self.may_be_complete(partition, owner)
        ]
