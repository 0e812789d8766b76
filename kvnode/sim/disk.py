"""A simulated disk: a crash may lose every commit whose sync had not ended, and nothing else.

Like the real one it makes a group of commits durable with one sync; the sync takes a random time, longer now and
then. Commits become durable in order, each group whole or not at all. The group that is being synced at a crash may
have reached the platter all the same, though nobody was told.

It fails like the real one, too: a full disk refuses every group, and keeps what it holds; a failing one refuses some of
them. A refused group is undone: the node reads again what is durable. A row may be damaged: other bytes, the checksum
of what was written.

Must not live here: when a disk fails, and which (disk_faults.py).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

from kvnode.records.kinds import is_whole
from kvnode.runtime import ROWS_DROPPED, DiskStats, Row
from kvnode.sim.gate import Gate
from kvnode.storage import StorageError
from kvnode.storage.memory import Tables
from kvnode.storage.memtable import with_checksums

_SYNC_MS = 0.3
_SLOW_SYNC_MS = 30.0
_SLOW_SHARE = 0.02
_REACHED_SHARE = 0.3
"""How often the group that was being synced at a crash is on the platter afterwards."""


class DurableState:
    """What survives a crash of the node. Wiping the disk is taking a new one.

    is_full: it takes no rows. failing_share: of the groups, that it refuses.
    """

    def __init__(self) -> None:
        self.tables = Tables()
        self.is_full = False
        self.failing_share = 0.0

    def corrupted_rows(self) -> list[tuple[int, str]]:
        """(partition, disk key) of the records that are not what was written, in order."""
        return [
            (partition, key)
            for partition, key, record in self.tables.rows_of("records")
            if not is_whole(key, record, self._checksum_of(partition, key))
        ]

    def drop_rows(self, rows: Sequence[tuple[int, str]]) -> None:
        """What a start does with records that are no rows any more: drops them, and says so (storage/rows.py)."""
        partitions = sorted({partition for partition, _ in rows})
        self.tables.apply([Row("records", partition, key, None) for partition, key in rows])
        told = Row("meta", 0, ROWS_DROPPED, str(partitions).encode())
        self.tables.apply(list(with_checksums([told])))

    def _checksum_of(self, partition: int, key: str) -> int:
        row = self.tables.get("records", partition, key)
        assert row is not None
        return row[1]


class SimDisk(Tables):
    """runtime.Disk on a platter, from one start of the node to its crash.

    on_durable hears which rows are about to reach the platter. acknowledges_early plants a bug: a commit is called
    durable when its sync begins.
    """

    def __init__(
        self,
        durable_state: DurableState,
        chance: random.Random,
        gate: Gate,
        *,
        commit_watchers: Sequence[Callable[[], None]] = (),
        on_durable: Callable[[Sequence[Row]], None] = lambda rows: None,
        acknowledges_early: bool = False,
    ) -> None:
        super().__init__()
        self.__dict__.update(durable_state.tables.copy().__dict__)
        self._durable_state = durable_state
        self._chance = chance
        self._gate = gate
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Row] = []
        self._group: asyncio.Future[None] | None = None
        self._syncing: list[Row] = []
        self._is_syncing = False
        self._commit_watchers = commit_watchers
        self._on_durable = on_durable
        self._acknowledges_early = acknowledges_early
        self._opened_full = durable_state.is_full
        self.delay_ms = 0.0
        self.sync_count = 0
        self.refused_count = 0

    def commit(self, rows: Sequence[Row]) -> asyncio.Future[None]:
        """See runtime.Disk."""
        written = list(with_checksums(rows))
        self.apply(written)
        self._waiting.extend(written)
        if self._group is None:
            self._group = self._loop.create_future()
            self._group.add_done_callback(_retrieve)
            if not self._is_syncing:
                self._loop.call_soon(self._gate.run, self._start_sync)
            for watch in tuple(self._commit_watchers):
                watch()
        return self._group

    @property
    def unsynced_count(self) -> int:
        """How many rows a crash would lose now."""
        return len(self._waiting) + len(self._syncing)

    def crash(self) -> bool:
        """The power is gone; whether what was being synced has reached the platter."""
        reached = bool(self._syncing) and self._chance.random() < _REACHED_SHARE
        if reached:
            self._on_durable(self._syncing)
            self._durable_state.tables.apply(self._syncing)
        return reached

    def damage(self, partition: int, key: str) -> bool:
        """One bit of a durable record is another one from now on; False if the row is about to be written again."""
        row = self._durable_state.tables.get("records", partition, key)
        if row is None or any(each.key == key for each in (*self._waiting, *self._syncing)):
            return False
        for tables in (self._durable_state.tables, self):
            tables.apply([damaged(Row("records", partition, key, *row), self._chance)])
        return True

    async def checkpoint(self) -> dict[str, Any]:
        """See runtime.Disk: there is nothing to tidy up."""
        return {}

    def describe(self) -> DiskStats:
        """See runtime.Disk."""
        return DiskStats(commits_total=self.sync_count)

    def _start_sync(self) -> None:
        group = self._group
        if group is None or self._is_syncing:
            return
        rows, self._group, self._waiting = self._waiting, None, []
        if self._refuses(rows):
            self._undo(rows)
            self.refused_count += 1
            group.set_exception(StorageError("cannot write: no space left on the simulated disk"))
            return
        self._syncing, self._is_syncing = rows, True
        slow = self._chance.random() < _SLOW_SHARE
        duration_ms = self.delay_ms + self._chance.expovariate(1.0 / (_SLOW_SYNC_MS if slow else _SYNC_MS))
        if self._acknowledges_early:
            group.set_result(None)
            duration_ms += 10.0 * _SLOW_SYNC_MS
        self._loop.call_later(duration_ms / 1000.0, self._gate.run, self._end_sync, group)

    def _refuses(self, rows: Sequence[Row]) -> bool:
        """A store that was opened on a full disk takes empty commits: what it holds is durable (storage/no_room.py)."""
        durable_state = self._durable_state
        if durable_state.is_full:
            return bool(rows) or not self._opened_full
        self._opened_full = False
        return durable_state.failing_share > 0.0 and self._chance.random() < durable_state.failing_share

    def _undo(self, rows: Sequence[Row]) -> None:
        """These were not written: nothing else is on its way, so what the platter holds is what there is."""
        for row in rows:
            durable = self._durable_state.tables.get(row.table, row.partition, row.key) or (None, 0)
            self.apply([Row(row.table, row.partition, row.key, *durable)])

    def _end_sync(self, group: asyncio.Future[None]) -> None:
        self._on_durable(self._syncing)
        self._durable_state.tables.apply(self._syncing)
        self._syncing, self._is_syncing = [], False
        self.sync_count += 1
        if not group.done():
            group.set_result(None)
        if self._group is not None:
            self._loop.call_soon(self._gate.run, self._start_sync)


def damaged(row: Row, chance: random.Random) -> Row:
    """The same row with one bit of its record turned over, under the checksum of what was written."""
    assert row.record
    place = chance.randrange(8 * len(row.record))
    record = bytearray(row.record)
    record[place // 8] ^= 1 << place % 8
    return row._replace(record=bytes(record))


def _retrieve(future: asyncio.Future[None]) -> None:
    """Nobody may be waiting for it; its failure is counted where it is noticed."""
    if not future.cancelled():
        future.exception()
