"""Asks the nodes how they are, beside the traffic and never in its way.

Here: one task a node, /health each half second and /stats each second, with the observer's own connections and
timeouts.
Must not live here: what is concluded (table.py), which nodes there are (membership.py).
"""

from __future__ import annotations

import asyncio

from traffic.clock import Clock, monotonic
from traffic.nodes.table import NodeTable
from traffic.stores.base import Observer, StoreError

HEALTH_EVERY_S = 0.4
STATS_EVERY_S = 1.0


class HealthPoller:
    """Keeps a NodeTable up to date until it is cancelled."""

    def __init__(self, observer: Observer, table: NodeTable, *, clock: Clock = monotonic) -> None:
        self._clock = clock
        self._observer = observer
        self._table = table

    async def run(self) -> None:
        tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                for name in self._table.nodes:
                    for kind, work in (("health", self._health), ("stats", self._stats)):
                        task = tasks.get((name, kind))
                        if task is None or task.done():  # it is new, or has come again
                            tasks[name, kind] = group.create_task(work(name))
                await asyncio.sleep(HEALTH_EVERY_S)

    async def look_once(self) -> None:
        """One round of /health over all nodes, so that the first operations know where to go."""
        await asyncio.gather(*(self._ask_health(name) for name in self._table.nodes))

    async def _health(self, name: str) -> None:
        """Until the node leaves, as `_stats`."""
        while name in self._table.nodes:
            await self._ask_health(name)
            await asyncio.sleep(HEALTH_EVERY_S)

    async def _ask_health(self, name: str) -> None:
        try:
            members = await self._observer.health(name)
        except StoreError:
            self._table.refresh(self._clock())
        else:
            self._table.answered(name, members, self._clock())

    async def _stats(self, name: str) -> None:
        while (node := self._table.nodes.get(name)) is not None:
            try:
                observed = await self._observer.stats(name)
            except StoreError:
                node.replication_lag_ms = {}  # nothing new is known; old lag would look like news
                node.hints_pending = None
            else:
                node.hints_pending = observed.hints_pending
                node.keys = observed.keys
                node.replication_lag_ms = observed.replication_lag_ms
            await asyncio.sleep(STATS_EVERY_S)
