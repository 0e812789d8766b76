"""Which nodes there are: learnt from the nodes themselves, while traffic runs.

Here: asking, and telling the store and the node table who has come and who has gone.
Must not live here: which member is well (health.py, table.py), how members change (kvnode/handover).

How it works. Every LOOK_EVERY_S all nodes that answer are asked who the members are; who knows the latest epoch is
right. A node that refuses an operation because it is not a member any more is a reason to look at once, but never
more often than every PAUSE_S. A member that is new gets its share from then on; one that has left gets nothing more,
and what was counted of it stays counted. Nodes also tell where they listen; the URLs that the traffic was given, and
those of the local cluster's state file, count for more. A member whose URL nobody knows is left alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from traffic.clock import Clock, monotonic
from traffic.nodes.table import NodeTable
from traffic.stores.base import Members, StoreError, TrafficStore

LOOK_EVERY_S = 2.0
PAUSE_S = 0.25


class Membership:
    """Keeps store and table at the members of the cluster until it is cancelled. addresses: what is known of URLs by
    name, at any time, beside those that the store was given."""

    def __init__(
        self,
        store: TrafficStore,
        table: NodeTable,
        *,
        addresses: Callable[[], Mapping[str, str]],
        clock: Clock = monotonic,
    ) -> None:
        self._store = store
        self._table = table
        self._addresses = addresses
        self._clock = clock
        self._urls = {name: store.url(name) for name in store.nodes}  # of those that have left, too
        self._doubt = asyncio.Event()
        table.not_a_member_seen = self._doubt.set

    async def run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._doubt.wait()
            self._doubt.clear()
            await self.look()
            await asyncio.sleep(PAUSE_S)

    async def look(self) -> None:
        """Ask all that answer, and follow whoever knows the latest epoch; if nobody says, nothing changes."""
        now_s = self._clock()
        asked = [name for name, node in self._table.nodes.items() if node.healthy(now_s)]
        answers = await asyncio.gather(*(self._told(name) for name in asked))
        told = [answer for answer in answers if answer is not None]
        if told:
            self._follow(max(told, key=lambda members: members.epoch))

    async def _told(self, node: str) -> Members | None:
        try:
            return await self._store.members(node)
        except StoreError:
            return None

    def _follow(self, members: Members) -> None:
        self._urls = {**members.urls, **self._urls, **self._addresses()}
        there = [name for name in members.names if name in self._urls]
        if not there:
            return
        for name in there:
            if name not in self._table.nodes:
                self._store.admit(name, self._urls[name])
                self._table.admit(name)
        for name in [name for name in self._table.nodes if name not in there]:
            self._store.dismiss(name)
            self._table.dismiss(name)
