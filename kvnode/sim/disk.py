"""A simulated disk: a crash loses every commit whose sync had not ended, and nothing else.

Like the real one it makes a group of commits durable with one sync; the sync takes a random time, longer now and
then. Commits become durable in order, each whole or not at all.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

from kvnode.runtime import Row
from kvnode.sim.gate import Gate
from kvnode.storage.memory import Tables

_SYNC_MS = 0.3
_SLOW_SYNC_MS = 30.0
_SLOW_SHARE = 0.02


class Platter:
    """What survives a crash of the node. Wiping the disk is taking a new one."""

    def __init__(self) -> None:
        self.tables = Tables()


class SimDisk(Tables):
    """runtime.Disk on a platter, from one start of the node to its crash.

    on_durable hears which rows are about to reach the platter. acknowledges_early plants a bug: a commit is called
    durable when its sync begins.
    """

    def __init__(
        self,
        platter: Platter,
        chance: random.Random,
        gate: Gate,
        *,
        on_durable: Callable[[Sequence[Row]], None] = lambda rows: None,
        acknowledges_early: bool = False,
    ) -> None:
        super().__init__()
        self.__dict__.update(platter.tables.copy().__dict__)
        self._platter = platter
        self._chance = chance
        self._gate = gate
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Row] = []
        self._group: asyncio.Future[None] | None = None
        self._syncing: list[Row] = []
        self._is_syncing = False
        self._on_durable = on_durable
        self._acknowledges_early = acknowledges_early
        self.delay_ms = 0.0
        self.sync_count = 0

    def commit(self, rows: Sequence[Row]) -> asyncio.Future[None]:
        """See runtime.Disk."""
        self.apply(rows)
        self._waiting.extend(rows)
        if self._group is None:
            self._group = self._loop.create_future()
            if not self._is_syncing:
                self._loop.call_soon(self._gate.run, self._start_sync)
        return self._group

    @property
    def unsynced_count(self) -> int:
        """How many rows a crash would lose now."""
        return len(self._waiting) + len(self._syncing)

    async def checkpoint(self) -> dict[str, Any]:
        """See runtime.Disk: there is nothing to tidy up."""
        return {}

    def describe(self) -> dict[str, Any]:
        """See runtime.Disk."""
        return {"commits_total": self.sync_count}

    def _start_sync(self) -> None:
        group = self._group
        if group is None or self._is_syncing:
            return
        self._group, self._syncing, self._waiting, self._is_syncing = None, self._waiting, [], True
        slow = self._chance.random() < _SLOW_SHARE
        duration_ms = self.delay_ms + self._chance.expovariate(1.0 / (_SLOW_SYNC_MS if slow else _SYNC_MS))
        if self._acknowledges_early:
            group.set_result(None)
            duration_ms += 10.0 * _SLOW_SYNC_MS
        self._loop.call_later(duration_ms / 1000.0, self._gate.run, self._end_sync, group)

    def _end_sync(self, group: asyncio.Future[None]) -> None:
        self._on_durable(self._syncing)
        self._platter.tables.apply(self._syncing)
        self._syncing, self._is_syncing = [], False
        self.sync_count += 1
        if not group.done():
            group.set_result(None)
        if self._group is not None:
            self._loop.call_soon(self._gate.run, self._start_sync)
