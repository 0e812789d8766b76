"""Anti-entropy: replicas compare Merkle trees and exchange what differs, so that they agree without being read.

Every period a node picks the next peer with which it shares partitions and compares roots. Where they differ it
walks down the differing branches only, compares the keys under the differing leaves, and each side sends the other
what it lacks. (DeCandia et al., "Dynamo", 2007, section 4.7.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator

from kvnode.calls import Calls
from kvnode.config import BATCH_RECORDS_MAX, EXCHANGE_PARTITIONS, EXCHANGE_PERIOD_MS
from kvnode.messages import (
    UNDECODABLE,
    CompareLeaves,
    CompareNodes,
    CompareRoots,
    Differing,
    LeafAnswer,
    Refused,
    StoreMany,
)
from kvnode.replication.batches import Carried, first_batch
from kvnode.replication.merkle import FANOUT, LEAF_COUNT
from kvnode.replication.records import Records
from kvnode.ring import Ring
from kvnode.runtime import Runtime


class Exchange:
    """Both sides of the comparison."""

    def __init__(
        self,
        runtime: Runtime,
        node: str,
        ring: Ring,
        calls: Calls,
        records: Records,
        is_alive: Callable[[str], bool],
    ) -> None:
        self._runtime = runtime
        self._node = node
        self._ring = ring
        self._calls = calls
        self._records = records
        self._is_alive = is_alive
        self._asked_ms = float("-inf")  # when a peer last asked below a root: then we differ
        self.round_count = 0
        self.sent_count = 0
        self.received_count = 0

    # --- the side that asks -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Compare with one peer after the other, for ever."""
        others = [node for node in self._ring.nodes if node != self._node]
        while others:
            for peer in others:
                await self._pause()
                if self._runtime.clock.now_ms() - self._asked_ms < EXCHANGE_PERIOD_MS:
                    await (
                        self._pause()
                    )  # another node is mending us: what it brings need not be fetched twice
                if self._is_alive(peer):
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
        await self._records.build_forest()
        roots = tuple((partition, self._records.forest.root(partition)) for partition in shared)
        cause = self._runtime.random.getrandbits(64)
        self.round_count += 1
        try:
            answer = await self._calls.ask(peer, lambda id_: CompareRoots(id_, cause, roots))
            differing = answer.indices if isinstance(answer, Differing) else ()
            for first in range(0, len(differing), EXCHANGE_PARTITIONS):
                few = differing[first : first + EXCHANGE_PARTITIONS]
                await asyncio.gather(*(self._partition(peer, partition, cause) for partition in few))
        except TimeoutError:
            return 0
        if differing:
            self._runtime.log("exchange", peer=peer, partitions=len(differing))
        return len(differing)

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

    async def _partition(self, peer: str, partition: int, cause: int) -> None:
        branches = await self._differing(peer, partition, 1, range(FANOUT), cause)
        below = [branch * FANOUT + child for branch in branches for child in range(FANOUT)]
        leaves = await self._differing(peer, partition, 2, below, cause)
        if leaves:
            await self._leaves(peer, partition, tuple(leaves), cause)

    async def _differing(
        self, peer: str, partition: int, level: int, indices: list[int] | range, cause: int
    ) -> tuple[int, ...]:
        if not indices:
            return ()
        hashes = self._records.forest.hashes(partition, level)
        asked = tuple((index, hashes[index]) for index in indices)
        answer = await self._calls.ask(peer, lambda id_: CompareNodes(id_, cause, partition, level, asked))
        return answer.indices if isinstance(answer, Differing) else ()

    async def _leaves(self, peer: str, partition: int, leaves: tuple[int, ...], cause: int) -> None:
        held = self._records.under(partition, leaves)
        answer = await self._calls.ask(
            peer, lambda id_: CompareLeaves(id_, cause, partition, leaves, tuple(held))
        )
        if not isinstance(answer, LeafAnswer):
            return
        self.received_count += len(answer.records)
        try:
            for kind, key, record in answer.records:
                self._records.merge_in(kind, key, record, lambda ok: None)
        except UNDECODABLE as error:
            self._runtime.log("exchange_refused", level="error", peer=peer, error=str(error))
            return
        wanted = first_batch(self._records_of(held[known] for known in answer.wanted if known in held))
        if wanted:
            self.sent_count += len(wanted)
            await self._calls.ask(peer, lambda id_: StoreMany(id_, cause, "exchange", wanted))

    # --- the side that answers ----------------------------------------------------------------------------

    def on_roots(self, peer: str, question: CompareRoots) -> None:
        """Which of the peer's roots are not ours. Just after the start, ours have to be worked out first."""
        self._runtime.spawn(self._answer_roots(peer, question), "compare roots")

    async def _answer_roots(self, peer: str, question: CompareRoots) -> None:
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
        records = first_batch(self._records_of(key for known, key in ours.items() if known not in theirs))
        self.sent_count += len(records)
        wanted = tuple(known for known in question.checksums if known not in ours)[:BATCH_RECORDS_MAX]
        self._runtime.network.send(peer, LeafAnswer(question.id, records, wanted))

    def _records_of(self, disk_keys: Iterable[str]) -> Iterator[Carried]:
        """Those of them that are held, durably and whole."""
        for disk_key in disk_keys:
            kind, _, key = disk_key.partition("/")
            record = self._records.durable(kind, key)
            if record is not None:
                yield kind, key, record
