"""Cleanup: a former owner deletes what it does not own any more, throttled, and only what all the new owners have.

What is orphaned is first offered to every owner (so that even a write that reached nobody else arrives), then
deleted record by record, each only as it was when the offering began. An owner that has reaped tombstones since
this node was a member does not listen to it any more (tombstones/reaper.py): what came from here might be older than
they. The other owners are asked all the same. What was acknowledged has reached them all before, by the handoff
(bootstrap.py).
"""

from __future__ import annotations

import asyncio
from itertools import islice

from kvnode.anti_entropy.exchange import Exchange, TooLate
from kvnode.config import CLEANUP_BATCH_RECORDS, CLEANUP_PARTITIONS, CLEANUP_PERIOD_MS, RING_PERIOD_MS
from kvnode.context import NodeContext
from kvnode.ring import STABLE
from kvnode.tombstones.quiescence import Quiescence


class Cleanup:
    """The letting-go side of one node. dropped_count: records deleted since the start."""

    def __init__(self, context: NodeContext, exchange: Exchange, quiescence: Quiescence) -> None:
        self._runtime = context.runtime
        self._node = context.name
        self._ring = context.ring
        self._records = context.records
        self._members = context.members
        self._exchange = exchange
        self._quiescence = quiescence
        self.dropped_count = 0
        quiescence.add_hiding_place(self.is_orphaned)

    @property
    def orphaned(self) -> tuple[int, ...]:
        """The partitions of which something is held here though they belong to others."""
        return tuple(p for p in range(self._ring.partitions) if self.is_orphaned(p))

    def is_orphaned(self, partition: int) -> bool:
        """The same of one partition."""
        return (
            self._node not in self._ring.preference_lists[partition]
            and not self._records.forest.is_empty(partition)
            and self._node not in self._ring.holders(partition)
        )

    async def run(self) -> None:
        """Let go of what is left over, for ever."""
        while True:
            await self._runtime.clock.sleep_ms(RING_PERIOD_MS * (0.5 + self._runtime.random.random()))
            await self._records.build_forest()
            if self._ring.state.phase == STABLE and self._ring.settled_epoch == self._ring.epoch:
                orphaned = self.orphaned
                for first in range(0, len(orphaned), CLEANUP_PARTITIONS):
                    few = orphaned[first : first + CLEANUP_PARTITIONS]
                    walks = (self._let_go(partition, at_once=len(few)) for partition in few)
                    if not all(await asyncio.gather(*walks)):
                        break  # somebody is away, or the ring changed: later

    async def _let_go(self, partition: int, *, at_once: int) -> bool:
        """Offer one partition, and delete it; False: not all of it. at_once: so many share the throttle of deleting."""
        epoch, owners = self._ring.epoch, self._ring.preference_lists[partition]
        if not all(self._members.is_alive(owner) for owner in owners):
            return False
        rows = self._records.held_in(partition)
        refused_by: list[str] = []
        for owner in owners:
            self._quiescence.disturb(partition)
            try:
                if partition not in await self._exchange.give_to(owner, (partition,)):
                    return False
            except TooLate:
                refused_by.append(owner)
        if refused_by:
            names = ",".join(refused_by)
            self._runtime.log("came_back_too_late", partition=partition, records=len(rows), refused_by=names)
        self._quiescence.disturb(partition)
        left = iter(rows.items())
        while batch := dict(islice(left, CLEANUP_BATCH_RECORDS)):
            if self._ring.epoch != epoch:
                return False
            self.dropped_count += len(batch)
            try:
                await self._records.drop(partition, batch)
            except OSError as error:
                self._runtime.log("drop_failed", level="error", partition=partition, error=str(error))
                return False
            await self._runtime.clock.sleep_ms(
                at_once * CLEANUP_PERIOD_MS * len(batch) / CLEANUP_BATCH_RECORDS
            )
        return True
