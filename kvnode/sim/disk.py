"""A simulated disk: a crash loses every commit whose sync had not ended, and nothing else.

Like the real one it makes a group of commits durable with one sync; the sync takes a random time, longer now and
then. Commits become durable in order, each whole or not at all.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

from kvnode.runtime import Row
from kvnode.storage.memory import Tables

_SYNC_MS = 0.3
_SLOW_SYNC_MS = 30.0
_SLOW_SHARE = 0.02


class Platter:
    """What survives a crash of the node. Wiping the disk is taking a new one."""

    def __init__(self) -> None:
        self.tables = Tables()


class SimDisk(Tables):
    """runtime.Disk on a platter, from one start of the node to its crash."""

    def __init__(self, platter: Platter, chance: random.Random, *, forgets_to_sync: bool = False) -> None:
        super().__init__()
        self.__dict__.update(platter.tables.copy().__dict__)
        self._platter = platter
        self._chance = chance
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Row] = []
        self._group: asyncio.Future[None] | None = None
        self._syncing = False
        self._crashed = False
        self._forgets_to_sync = forgets_to_sync
        self.sync_count = 0

    def commit(self, rows: Sequence[Row]) -> asyncio.Future[None]:
        """See runtime.Disk."""
        self.apply(rows)
        self._waiting.extend(rows)
        if self._group is None:
            self._group = self._loop.create_future()
            if not self._syncing:
                self._loop.call_soon(self._start_sync)
        return self._group

    def crash(self) -> int:
        """Power off: the future of an unfinished sync never resolves. Returns how many rows were lost."""
        self._crashed = True
        return len(self._waiting)

    def describe(self) -> dict[str, Any]:
        """See runtime.Disk."""
        return {"commits_total": self.sync_count}

    def _start_sync(self) -> None:
        group, rows = self._group, self._waiting
        if group is None or self._syncing or self._crashed:
            return
        self._group, self._waiting, self._syncing = None, [], True
        if self._forgets_to_sync:  # the planted bug: acknowledged, and still only in memory
            self._end_sync(group, [])
            self._waiting = rows + self._waiting
            return
        slow = self._chance.random() < _SLOW_SHARE
        duration_ms = self._chance.expovariate(1.0 / (_SLOW_SYNC_MS if slow else _SYNC_MS))
        self._loop.call_later(duration_ms / 1000.0, self._end_sync, group, rows)

    def _end_sync(self, group: asyncio.Future[None], rows: list[Row]) -> None:
        if self._crashed:
            return
        self._platter.tables.apply(rows)
        self._syncing = False
        self.sync_count += 1
        group.set_result(None)
        if self._group is not None:
            self._loop.call_soon(self._start_sync)
