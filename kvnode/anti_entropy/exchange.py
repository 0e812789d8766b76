"""Anti-entropy: replicas compare Merkle trees and exchange what differs, so that they agree without being read.

Every period (schedule.py) a node compares with a peer the exclusive-or of all roots that they share. If it differs,
they compare the roots, and then walk down the differing branches only. (DeCandia et al., "Dynamo", 2007, section 4.7.)

The walk ends early where few records differ. A node of a tree is the exclusive-or of the checksums under it, so if two
differ by one record, their difference is that record's checksum: no list of keys is needed to find it. The asker looks
for these checksums among its own records, sends what it finds, and the peer says which of the others it knows. A record
that was overwritten on one side makes two differences, of which the peer knows the other by the key that it is sent.
What neither knows is more than one record, and is looked for further down; under a leaf by listing all checksums.
(Eppstein et al., "What's the Difference?", 2011, section 3.1, decode a difference in the same way, cell by cell.)

Both must know the same ring, durably: who has answered in an epoch takes no write of an earlier one any more, not
even after a crash. A handoff builds on that (handoff/bootstrap.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import reduce
from operator import xor
from typing import Any, NamedTuple

import msgspec

from kvnode.anti_entropy.responder import Responder
from kvnode.anti_entropy.schedule import ExchangeSchedule
from kvnode.config import EXCHANGE_PARTITIONS
from kvnode.context import NodeContext
from kvnode.membership import ALIVE, DEAD, Member
from kvnode.messages import UNDECODABLE, Answer, Refused, Stored, StoreMany
from kvnode.messages.anti_entropy import (
    CompareLeaves,
    CompareNodes,
    CompareRoots,
    CompareSingleDiffs,
    Differing,
    LeafAnswer,
    Roots,
    SingleDiffsAnswer,
)
from kvnode.messages.packing import pack, pack_places, unpack, unpack_places
from kvnode.records.batches import Carried, batch_of, carried
from kvnode.records.merkle import FANOUT, children_of
from kvnode.throttle import Share


class Taken(NamedTuple):
    """What a peer gave. complete: the partitions of which this node has got all that the peer held when it was asked.

    incomplete: those of which the peer itself may lack what was acknowledged.
    """

    complete: set[int]
    incomplete: set[int]


class TooLate(Exception):
    """This node is not a member, and what it holds may be older than a tombstone that was reaped since it was one."""


class RepairStats(msgspec.Struct, frozen=True):
    """How replicas were brought to agree since the start: by reads, and by exchanges that either side began."""

    read_repair_total: int
    exchange_rounds_total: int
    exchange_records_sent_total: int
    exchange_records_received_total: int


class Exchange:
    """The side that asks; `answers` is the other one. sent_count, received_count: records that moved."""

    def __init__(self, context: NodeContext) -> None:
        self._runtime = context.runtime
        self._node = context.name
        self._ring = context.ring
        self._rpc = context.rpc
        self._records = context.records
        self._is_alive = context.members.is_alive
        self._epochs = context.epochs
        self.schedule = ExchangeSchedule(
            context.runtime, lambda: [peer for peer in self._ring.nodes if peer != self._node]
        )
        self.responder = Responder(context, self.schedule)
        context.members.subscribe(self._member_changed)
        self.failed_count = 0
        self.round_count = 0
        self.sent_count = 0
        self.received_count = 0

    def _member_changed(self, before: Member, after: Member) -> None:
        if before.state == DEAD and after.state == ALIVE:
            self.schedule.is_back(after.name)

    def describe(self, *, read_repair_count: int) -> RepairStats:
        """For /stats. read_repair_count: what reads did, beside exchanges."""
        return RepairStats(
            read_repair_total=read_repair_count,
            exchange_rounds_total=self.round_count,
            exchange_records_sent_total=self.sent_count + self.responder.sent_count,
            exchange_records_received_total=self.received_count,
        )

    async def run(self) -> None:
        """Compare with one peer after the other, for ever."""
        clock = self._runtime.clock
        while True:
            peer = await self.schedule.next()
            if peer is not None and self._is_alive(peer):
                began_ms, moved_count = clock.now_ms(), self.sent_count + self.received_count
                failed_count = self.failed_count
                await self.with_peer(peer)
                if self.sent_count + self.received_count != moved_count and self.failed_count == failed_count:
                    self.schedule.mended(clock.now_ms() - began_ms)

    async def with_peer(self, peer: str) -> int | None:
        """One whole exchange with one peer: how many partitions differed; None if it did not say. Silence ends it."""
        shared = [
            p
            for p, owners in enumerate(self._ring.preference_lists)
            if self._node in owners and peer in owners
        ]
        return (await self._exchange(peer, shared, wants_records=True))[0]

    async def take_from(self, peer: str, partitions: Iterable[int]) -> Taken:
        """Get all that the peer holds of these partitions, and hear how far it has reaped tombstones.

        It is durable with the next commit, unless `failed_count` grows. The peer is asked before and after whether it
        is complete: it may have been replaced, or refilled, in between.
        """
        wanted = list(partitions)
        differing, complete, before = await self._exchange(peer, wanted, wants_records=True)
        after: Answer | None = before
        if differing and complete:
            after = await self._ask_roots(peer, wanted, self._runtime.random.getrandbits(64))
        if before is None or not isinstance(after, Roots):
            return Taken(set(), set())
        self._epochs.heard_reaped(min(after.reaped_epoch, self._ring.epoch))
        said = (unpack_places(each.incomplete, self._ring.partitions) for each in (before, after))
        return Taken(complete, {partition for each in said for partition in each if partition in wanted})

    async def _ask_roots(self, peer: str, partitions: Iterable[int], trace_id: int) -> Answer | None:
        """What a peer says of its trees; None if it is silent."""
        forest, shared = self._records.forest, sorted(partitions)
        together = reduce(xor, map(forest.root, shared), 0)
        places, epoch = pack_places(shared, self._ring.partitions), self._ring.epoch
        try:
            return await self._rpc.ask(peer, lambda id_: CompareRoots(id_, trace_id, places, together, epoch))
        except TimeoutError:
            return None

    async def give_to(self, peer: str, partitions: Iterable[int]) -> set[int]:
        """Those of the partitions of which the peer holds, durably, all that this node held. Takes nothing.

        Raises TooLate if nobody may have it any more.
        """
        _, complete, _ = await self._exchange(peer, partitions, wants_records=False)
        return complete if complete and await self._is_durable(peer) else set()

    async def _is_durable(self, peer: str) -> bool:
        """Wait until all that the peer has shown is durable there: it answers about roots only then."""
        answer = await self._ask_roots(peer, (), 0)
        return isinstance(answer, Roots) and answer.durable

    async def _exchange(
        self, peer: str, partitions: Iterable[int], *, wants_records: bool
    ) -> tuple[int | None, set[int], Roots | None]:
        """(how many partitions differed, which of them all are complete, what the peer said first).

        A silent peer ends it; None: at once.
        """
        await self._records.build_forest()
        forest, shared = self._records.forest, sorted(partitions)
        trace_id = self._runtime.random.getrandbits(64)
        self.round_count += 1
        answer = await self._ask_roots(peer, shared, trace_id)
        if isinstance(answer, Refused) and answer.too_late and not wants_records:
            raise TooLate
        if not isinstance(answer, Roots) or len(answer.roots) not in (0, len(pack(shared))):
            return None, set(), None
        if not wants_records and not answer.durable:
            return None, set(), None
        theirs = unpack(answer.roots)
        differing = [p for p, root in zip(shared, theirs, strict=False) if forest.root(p) != root]
        complete = set(shared).difference(differing)
        for first in range(0, len(differing), EXCHANGE_PARTITIONS):
            few = differing[first : first + EXCHANGE_PARTITIONS]
            walks = (self._partition(peer, partition, trace_id, wants_records) for partition in few)
            outcomes = await asyncio.gather(*walks, return_exceptions=True)
            for partition, outcome in zip(few, outcomes, strict=True):
                if isinstance(outcome, BaseException) and not isinstance(outcome, TimeoutError):
                    raise outcome
                if outcome is True:
                    complete.add(partition)
            if any(isinstance(outcome, TimeoutError) for outcome in outcomes):
                break
        if differing:
            self._runtime.log("exchange", peer=peer, partitions=len(differing))
        return len(differing), complete, answer

    async def with_all(self) -> dict[str, int | None]:
        """One exchange with every live peer, now: how many partitions differed from each; None: it did not say."""
        peers = [peer for peer in self._ring.nodes if peer != self._node and self._is_alive(peer)]
        return {peer: await self.with_peer(peer) for peer in peers}

    async def repair(self, share: Share) -> dict[str, Any]:
        """The same, as a maintenance task; it takes what it needs, whatever share it is given."""
        return {"differing_partitions": await self.with_all()}

    async def compare(self, peer: str, partition: int) -> dict[str, tuple[int, ...]] | None:
        """Which branches and leaves of one tree differ from the peer's; None if it does not answer. Mends nothing."""
        trace_id = self._runtime.random.getrandbits(64)
        try:
            branches = await self._differing(peer, partition, 1, (0,), trace_id)
            leaves = await self._differing(peer, partition, 2, tuple(branches), trace_id)
        except TimeoutError:
            return None
        return {"branches": tuple(branches), "leaves": tuple(leaves)}

    async def _partition(self, peer: str, partition: int, trace_id: int, wants_records: bool) -> bool:
        """Exchange what differs in one partition; True if that was all of it."""
        parents: tuple[int, ...] = (0,)
        is_all, differing = True, dict[int, int]()
        for level in (1, 2):
            above, differing = differing, await self._differing(peer, partition, level, parents, trace_id)
            if any(known != _under(parent, differing) for parent, known in above.items()):
                is_all = (
                    False  # something was written meanwhile, and may now stand under a node that was equal
                )
            if 0 < len(differing) <= len(parents) * FANOUT // 2:  # else few differ by one record alone
                unknown, are_all = await self._single_diffs(
                    peer, partition, set(differing.values()), trace_id, wants_records
                )
                differing = {index: known for index, known in differing.items() if known in unknown}
                is_all = is_all and are_all
            if not differing:
                return is_all
            parents = tuple(differing)
        return await self._leaves(peer, partition, parents, trace_id, wants_records) and is_all

    async def _differing(
        self, peer: str, partition: int, level: int, parents: tuple[int, ...], trace_id: int
    ) -> dict[int, int]:
        """Which nodes right under these differ from the peer's, and by what exclusive-or."""
        if not parents:
            return {}
        hashes = self._records.forest.hashes(partition, level)
        asked = {index: hashes[index] for index in children_of(parents)}
        packed = pack(asked.values())
        answer = await self._rpc.ask(
            peer, lambda id_: CompareNodes(id_, trace_id, partition, level, parents, packed)
        )
        if not isinstance(answer, Differing):
            raise TimeoutError(f"{peer} does not compare")
        theirs = dict(zip(answer.indices, unpack(answer.hashes), strict=False))
        is_whole = len(theirs) == len(answer.indices) and len(pack(answer.indices)) == len(answer.hashes)
        if not is_whole or any(asked.get(index) in (None, known) for index, known in theirs.items()):
            raise TimeoutError(f"{peer} does not compare")
        return {index: asked[index] ^ known for index, known in theirs.items()}

    async def _single_diffs(
        self, peer: str, partition: int, differences: set[int], trace_id: int, wants_records: bool
    ) -> tuple[set[int], bool]:
        """Exchange the records with these checksums: (those that neither side knows, whether that was all else)."""
        held = self._records.under(partition, differences, bits=-1)
        records, are_all = batch_of(carried(self._records, held.values()))
        others, epoch = pack(differences.difference(held)), self._ring.epoch
        answer = await self._rpc.ask(
            peer,
            lambda id_: CompareSingleDiffs(id_, trace_id, partition, records, others, wants_records, epoch),
        )
        if not isinstance(answer, SingleDiffsAnswer):
            raise TimeoutError(f"{peer} does not compare")
        self.sent_count += len(records)
        taken = self._take(peer, answer.records)
        return set(unpack(answer.unknown)), are_all and answer.complete and taken

    async def _leaves(
        self, peer: str, partition: int, leaves: tuple[int, ...], trace_id: int, wants_records: bool
    ) -> bool:
        """Exchange what differs under these leaves; True if that was all of it."""
        held = self._records.under(partition, leaves)
        packed = pack(held)
        answer = await self._rpc.ask(
            peer, lambda id_: CompareLeaves(id_, trace_id, partition, leaves, packed, wants_records)
        )
        if not isinstance(answer, LeafAnswer) or not self._take(peer, answer.records):
            return False
        keys = (held[known] for known in unpack(answer.wanted) if known in held)
        wanted, are_all = batch_of(carried(self._records, keys))
        if wanted:
            epoch = self._ring.epoch
            stored = await self._rpc.ask(
                peer, lambda id_: StoreMany(id_, trace_id, "exchange", wanted, epoch)
            )
            if not isinstance(stored, Stored):
                return False
            self.sent_count += len(wanted)
        return answer.complete and are_all

    def _take(self, peer: str, records: tuple[Carried, ...]) -> bool:
        """Merge what a peer sent; False if it makes no sense."""
        try:
            for kind, key, record in records:
                self._records.merge_in(kind, key, record, self._merged)
        except UNDECODABLE as error:
            self._runtime.log("exchange_refused", level="error", peer=peer, error=str(error))
            return False
        self.received_count += len(records)
        return True

    def _merged(self, ok: bool) -> None:
        self.failed_count += not ok


def _under(parent: int, differing: dict[int, int]) -> int:
    """The exclusive-or of the differences right under a node."""
    return reduce(xor, (known for index, known in differing.items() if index // FANOUT == parent), 0)
