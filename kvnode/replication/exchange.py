"""Anti-entropy: replicas compare Merkle trees and exchange what differs, so that they agree without being read.

Every period a node picks the next peer with which it shares partitions and compares roots. Where they differ it
walks down the differing branches only, compares the keys under the differing leaves, and each side sends the other
what it lacks. (DeCandia et al., "Dynamo", 2007, section 4.7.)

Both must know the same ring, durably: who has answered in an epoch takes no write of an earlier one any more, not
even after a crash. A hand-over builds on that (handover/pull.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator

from kvnode.calls import Calls
from kvnode.config import BATCH_RECORDS_MAX, EXCHANGE_PARTITIONS, EXCHANGE_PERIOD_MS
from kvnode.messages import (
    TOO_LATE,
    UNDECODABLE,
    CompareLeaves,
    CompareNodes,
    CompareRoots,
    Differing,
    LeafAnswer,
    Refused,
    Stored,
    StoreMany,
)
from kvnode.replication.batches import Carried, batch_of
from kvnode.replication.merkle import FANOUT, LEAF_COUNT
from kvnode.replication.records import Records
from kvnode.ring import Placement
from kvnode.runtime import Runtime


class TooLate(Exception):
    """This node is no member, and what it holds may be older than a tombstone that was swept since it was one."""


class Exchange:
    """Both sides of the comparison."""

    def __init__(
        self,
        runtime: Runtime,
        node: str,
        ring: Placement,
        calls: Calls,
        records: Records,
        is_alive: Callable[[str], bool],
        refuse_other_epoch: Callable[[str, int, int], bool],
        is_too_late: Callable[[str], bool],
    ) -> None:
        self._is_too_late = is_too_late
        self._runtime = runtime
        self._node = node
        self._ring = ring
        self._calls = calls
        self._records = records
        self._is_alive = is_alive
        self._refuse_other_epoch = refuse_other_epoch
        self.failed_count = 0
        self._asked_ms = float("-inf")  # when a peer last asked below a root: then we differ
        self.round_count = 0
        self.sent_count = 0
        self.received_count = 0

    # --- the side that asks -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Compare with one peer after the other, for ever."""
        while True:
            others = [node for node in self._ring.nodes if node != self._node]
            for peer in others or (self._node,):
                await self._pause()
                if self._runtime.clock.now_ms() - self._asked_ms < EXCHANGE_PERIOD_MS:
                    await self._pause()  # another is mending us: what it brings need not be fetched twice
                if peer != self._node and self._is_alive(peer):
                    await self.with_peer(peer)

    async def _pause(self) -> None:
        jitter = 0.5 + self._runtime.random.random()
        await self._runtime.clock.sleep_ms(EXCHANGE_PERIOD_MS * jitter)

    async def with_peer(self, peer: str) -> int:
        """One whole exchange with one peer; returns how many partitions differed. A silent peer ends it."""
        shared = [
            p
            for p, owners in enumerate(self._ring.preference_lists)
            if self._node in owners and peer in owners
        ]
        return (await self._exchange(peer, shared, wants_records=True))[0]

    async def take_from(self, peer: str, partitions: Iterable[int]) -> set[int]:
        """Those of the partitions of which this node has got all that the peer held when it was asked.

        They are durable with the next commit, unless `failed_count` grows.
        """
        return (await self._exchange(peer, partitions, wants_records=True))[1]

    async def give_to(self, peer: str, partitions: Iterable[int]) -> set[int]:
        """Those of the partitions of which the peer holds, durably, all that this node held. Takes nothing.

        Raises TooLate if nobody may have it any more.
        """
        return (await self._exchange(peer, partitions, wants_records=False))[1]

    async def _exchange(
        self, peer: str, partitions: Iterable[int], *, wants_records: bool
    ) -> tuple[int, set[int]]:
        """(how many partitions differed, which of them all are complete). A silent peer ends it."""
        await self._records.build_forest()
        roots = tuple((partition, self._records.forest.root(partition)) for partition in partitions)
        cause, epoch = self._runtime.random.getrandbits(64), self._ring.epoch
        self.round_count += 1
        try:
            answer = await self._calls.ask(peer, lambda id_: CompareRoots(id_, cause, roots, epoch))
        except TimeoutError:
            return 0, set()
        if isinstance(answer, Refused) and answer.why == TOO_LATE and not wants_records:
            raise TooLate
        if not isinstance(answer, Differing):
            return 0, set()
        differing = answer.indices
        complete = {partition for partition, _ in roots} - set(differing)
        for first in range(0, len(differing), EXCHANGE_PARTITIONS):
            few = differing[first : first + EXCHANGE_PARTITIONS]
            walks = (self._partition(peer, partition, cause, wants_records) for partition in few)
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
        return len(differing), complete

    async def with_all(self) -> dict[str, int]:
        """One exchange with every live peer, now: how many partitions differed from each."""
        peers = [peer for peer in self._ring.nodes if peer != self._node and self._is_alive(peer)]
        return {peer: await self.with_peer(peer) for peer in peers}

    async def compare(self, peer: str, partition: int) -> dict[str, tuple[int, ...]] | None:
        """Which branches and leaves of one tree differ from the peer's; None if it does not answer. Mends nothing."""
        cause = self._runtime.random.getrandbits(64)
        try:
            branches = await self._differing(peer, partition, 1, range(FANOUT), cause)
            below = [branch * FANOUT + child for branch in branches for child in range(FANOUT)]
            return {"branches": branches, "leaves": await self._differing(peer, partition, 2, below, cause)}
        except TimeoutError:
            return None

    async def _partition(self, peer: str, partition: int, cause: int, wants_records: bool) -> bool:
        branches = await self._differing(peer, partition, 1, range(FANOUT), cause)
        below = [branch * FANOUT + child for branch in branches for child in range(FANOUT)]
        leaves = await self._differing(peer, partition, 2, below, cause)
        return not leaves or await self._leaves(peer, partition, tuple(leaves), cause, wants_records)

    async def _differing(
        self, peer: str, partition: int, level: int, indices: list[int] | range, cause: int
    ) -> tuple[int, ...]:
        if not indices:
            return ()
        hashes = self._records.forest.hashes(partition, level)
        asked = tuple((index, hashes[index]) for index in indices)
        answer = await self._calls.ask(peer, lambda id_: CompareNodes(id_, cause, partition, level, asked))
        if not isinstance(answer, Differing):
            raise TimeoutError(f"{peer} does not compare")
        return answer.indices

    async def _leaves(
        self, peer: str, partition: int, leaves: tuple[int, ...], cause: int, wants_records: bool
    ) -> bool:
        """Exchange what differs under these leaves; True if that was all of it."""
        held = self._records.under(partition, leaves)
        answer = await self._calls.ask(
            peer, lambda id_: CompareLeaves(id_, cause, partition, leaves, tuple(held), wants_records)
        )
        if not isinstance(answer, LeafAnswer):
            return False
        self.received_count += len(answer.records)
        try:
            for kind, key, record in answer.records:
                self._records.merge_in(kind, key, record, self._merged)
        except UNDECODABLE as error:
            self._runtime.log("exchange_refused", level="error", peer=peer, error=str(error))
            return False
        wanted, are_all = batch_of(self._records_of(held[known] for known in answer.wanted if known in held))
        if wanted:
            self.sent_count += len(wanted)
            epoch = self._ring.epoch
            stored = await self._calls.ask(peer, lambda id_: StoreMany(id_, cause, "exchange", wanted, epoch))
            if not isinstance(stored, Stored):
                return False
        return answer.complete and are_all

    def _merged(self, ok: bool) -> None:
        self.failed_count += not ok

    # --- the side that answers ----------------------------------------------------------------------------

    def on_roots(self, peer: str, question: CompareRoots) -> None:
        """Which of the peer's roots are not ours. Just after the start, ours have to be worked out first."""
        self._runtime.spawn(self._answer_roots(peer, question), "compare roots")

    async def _answer_roots(self, peer: str, question: CompareRoots) -> None:
        if question.epoch != self._ring.settled_epoch:
            if not self._refuse_other_epoch(peer, question.id, question.epoch):
                self._runtime.network.send(peer, Refused(question.id, "this node is not in that epoch yet"))
            return
        if self._is_too_late(peer):
            self._runtime.network.send(peer, Refused(question.id, TOO_LATE))
            return
        await self._records.build_forest()
        forest, partitions = self._records.forest, self._ring.partitions
        differing = tuple(p for p, root in question.roots if 0 <= p < partitions and forest.root(p) != root)
        self._runtime.network.send(peer, Differing(question.id, differing))

    def on_nodes(self, peer: str, question: CompareNodes) -> None:
        """Which of the peer's nodes of one tree are not ours."""
        if not (0 <= question.partition < self._ring.partitions and question.level in (1, 2)):
            self._runtime.network.send(peer, Refused(question.id, "no such node of a tree"))
            return
        self._asked_ms = self._runtime.clock.now_ms()
        hashes = self._records.forest.hashes(question.partition, question.level)
        differing = tuple(i for i, known in question.hashes if 0 <= i < len(hashes) and hashes[i] != known)
        self._runtime.network.send(peer, Differing(question.id, differing))

    def on_leaves(self, peer: str, question: CompareLeaves) -> None:
        """Send what the peer does not have, ask for what is not here; both bounded: the next round goes on."""
        leaves = {leaf for leaf in question.leaves if 0 <= leaf < LEAF_COUNT}
        if not (0 <= question.partition < self._ring.partitions and leaves):
            self._runtime.network.send(peer, Refused(question.id, "no such leaf of a tree"))
            return
        ours = self._records.under(question.partition, sorted(leaves))
        theirs = set(question.checksums)
        missing = (key for known, key in ours.items() if known not in theirs)
        records, are_all = batch_of(self._records_of(missing if question.wants_records else ()))
        self.sent_count += len(records)
        wanted = tuple(known for known in question.checksums if known not in ours)
        complete = are_all and len(wanted) <= BATCH_RECORDS_MAX
        answer = LeafAnswer(question.id, records, wanted[:BATCH_RECORDS_MAX], complete)
        self._runtime.network.send(peer, answer)

    def _records_of(self, disk_keys: Iterable[str]) -> Iterator[Carried]:
        """Those of them that are held, durably and whole."""
        for disk_key in disk_keys:
            kind, _, key = disk_key.partition("/")
            record = self._records.durable(kind, key)
            if record is not None:
                yield kind, key, record
