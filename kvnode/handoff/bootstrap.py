"""A pending owner fetches the partitions that it takes over, by the same Merkle exchange that keeps replicas alike.

A partition is complete when it was exchanged with a majority of its old owners, each of which knew the present epoch
durably, and so has not acknowledged a write of an earlier one since. Any earlier write that was acknowledged by at
least half of the owners is on one of that majority; later ones reach the pending owner directly, as they need its
acknowledgement. An owner that is being refilled after losing its disk is no source: it counts in the majority, and has
nothing to give that counts (sources.py).

The rest of the promise is the disk's: complete is told only after a commit that stands behind all that was fetched.
"""

from __future__ import annotations

import asyncio

from kvnode.anti_entropy.exchange import Exchange
from kvnode.config import RING_PERIOD_MS
from kvnode.context import NodeContext
from kvnode.handoff.sources import sources_needed
from kvnode.messages import Progress


class Bootstrap:
    """The fetching side of one node. progress: of the present epoch; done == total means ready."""

    def __init__(self, context: NodeContext, exchange: Exchange) -> None:
        self._runtime = context.runtime
        self._node = context.name
        self._ring = context.ring
        self._incomplete = context.incomplete
        self._members = context.members
        self._exchange = exchange
        self._ring_changed = asyncio.Event()
        self.progress = Progress(0, 0, 0)
        context.ring.subscribe(self.follow_ring)

    def follow_ring(self) -> None:
        """The ring has changed: begin anew."""
        self.progress = Progress(self._ring.epoch, 0, len(self._ring.pending_partitions(self._node)))
        self._ring_changed.set()

    async def run(self) -> None:
        """Fetch whenever a change makes this node a pending owner, for ever."""
        while True:
            await self._ring_changed.wait()
            self._ring_changed.clear()
            epoch = self._ring.epoch
            while self._ring.epoch == epoch and self.progress.done < self.progress.total:
                if not await self._fetch_all(epoch):
                    await self._runtime.clock.sleep_ms(RING_PERIOD_MS * (0.5 + self._runtime.random.random()))

    async def _fetch_all(self, epoch: int) -> bool:
        """One attempt at all partitions; True if all are complete and durable."""
        ring, exchange = self._ring, self._exchange
        failed_count, lost_count = exchange.failed_count, self._incomplete.lost_count
        partitions = ring.pending_partitions(self._node)
        fetched_from: dict[int, set[str]] = {partition: set() for partition in partitions}
        incomplete_counts = dict.fromkeys(partitions, 0)
        for owner in ring.nodes:
            wanted = [
                partition
                for partition in partitions
                if owner in ring.preference_lists[partition]
                and len(fetched_from[partition]) < self._need(partition, incomplete_counts[partition])
            ]
            if not wanted or self._members.is_dead(owner):
                continue
            taken = await exchange.take_from(owner, wanted)
            for partition in taken.incomplete:
                incomplete_counts[partition] += 1
            for partition in taken.complete.difference(taken.incomplete):
                fetched_from[partition].add(owner)
            if ring.epoch != epoch:
                return False
            complete = [p for p in partitions if len(fetched_from[p]) >= self._need(p, incomplete_counts[p])]
            try:
                await self._runtime.disk.commit([])
            except OSError:
                return False
            if ring.epoch != epoch or exchange.failed_count != failed_count:
                return False
            if self._incomplete.lost_count != lost_count:
                return False  # a row was damaged: it may be one of those
            self._incomplete.completed(complete)
            self.progress = Progress(epoch, len(complete), len(partitions))
        return self.progress.done == self.progress.total

    def _need(self, partition: int, incomplete_count: int) -> int:
        """How many old owners must be heard; a dead one that is removed by force is lost."""
        owners, state = self._ring.preference_lists[partition], self._ring.state
        return sources_needed(
            len(owners),
            asked_count=len(owners),
            incomplete_count=incomplete_count,
            lost_count=state.forced and state.leaving in owners,
        )
