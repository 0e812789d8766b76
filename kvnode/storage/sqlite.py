"""A durable disk: a commit log with group commit, and SQLite tables that follow it.

A commit is acknowledged when it stands in the log (log.py) and that is synced. The commits of one turn of the event
loop, and those that arrive while a sync runs, share one append and one sync. Their rows stay in memory (memtable.py),
where readers see them at once, until some thousand have come together; then these are flushed into the tables
(tables.py), a few at a time between other work (flusher.py), and their segment of the log is begun again. So a write
costs one append and no look at a page, and a key that is written often is flushed once.

The sync is fdatasync, or F_FULLFSYNC on macOS, where fsync does not reach the platter. On a fast disk it is done at
once, since handing it to another thread takes longer than the sync. When the running mean exceeds INLINE_SYNC_MS_MAX
the next ones run on a thread of their own, so that a slow disk delays acknowledgements but never probes and reads. The
end of a flush, which syncs the tables, always runs on another thread.

A sync of the log that fails ends the node: what the kernel has dropped once it will not report again ("fsyncgate",
2018). A full disk is an ordinary error: those writes fail, reads go on.

A store also opens on a disk that is full at the start (no_room.py): it serves what it holds, refuses all writes, and
takes them again once there is room.

A file that is corrupt when the disk is opened goes into quarantine (corruption.py); one that turns out to be corrupt
while it is in use ends the process, and goes there at the next start.

A student may open the file while the node runs: `pandas.read_sql("select * from records", ...)`. It says what had been
flushed; POST /maintenance {"work": ["checkpoint"]} flushes the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kvnode.observe import Samples
from kvnode.runtime import ANY, DiskStats, LowBits, Row, SyncStats
from kvnode.storage.corruption import (
    corruption_of,
    is_corruption,
    is_trouble_of_the_computer,
    mark_corrupt,
    set_aside,
    set_aside_files,
)
from kvnode.storage.files import StorageError, lock, sync_directory, sync_function
from kvnode.storage.flusher import Flusher
from kvnode.storage.log import CommitLog, Log, read_log, remove_log
from kvnode.storage.memtable import Memtable, with_checksums
from kvnode.storage.no_room import NoLog, has_room_again, is_no_room, tables_to_read
from kvnode.storage.read_view import ReadView
from kvnode.storage.tables import Tables

INLINE_SYNC_MS_MAX = 2.0
_PATIENCE_TURNS = 4
_MEAN_SHARE = 0.1  # one slow sync (a busy computer) does not make a slow disk
_ROOM_EVERY_S = 1.0
_LOG_BYTES_MAX = 32_000_000
"""Of one segment: beyond that, writes wait until rows were flushed, or are refused if the tables take none."""


class SqliteDisk:
    """runtime.Disk on `directory`/data.sqlite and its log. One process at a time: a second one is refused.

    corruption: why the file that was found went into quarantine just now, and under which name. dropped: what it held
    that is not a row (rows.py); it counts as forgotten. on_corruption: called when a file turns out to be corrupt while
    it is in use; it must not return. no_room: why this store takes no writes since its start; empty if it does.
    Invariant: every acknowledged row is in the tables, durably, or in a segment that is read back after a crash.
    """

    def __init__(
        self,
        directory: Path,
        *,
        delay_ms: Callable[[], float] = lambda: 0.0,
        on_corruption: Callable[[str], None] = lambda why: None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._path = directory / "data.sqlite"
        self._delay_ms = delay_ms
        self._on_corruption = on_corruption
        self._lock = lock(directory)
        self._sync_file = sync_function()
        self.corruption: tuple[str, Path] | None = None
        self.dropped: list[str] = []
        self.no_room = ""
        self._left_in_log = Memtable()
        self._log: CommitLog | NoLog
        try:
            try:
                self._open_files()
            except (sqlite3.Error, OSError) as error:
                if not is_no_room(error, directory):
                    raise
                self._open_without_room(error)
        except (sqlite3.Error, OSError) as error:
            raise StorageError(f"cannot use {self._path}: {error}") from error
        self._set_aside = [file.name for file in set_aside_files(self._path)]
        self._group: asyncio.Future[None] | None = None
        self._begin_to_serve()
        self._syncing = False
        self._disk_is_fast = True
        self._mean_sync_ms = 0.0
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run_syncs, name="sync", daemon=True)
        self._thread.start()
        self.sync_ms = Samples()
        self.commit_count = 0
        self.record_count = 0

    def _open_files(self) -> None:
        self._open_tables()
        self._log = CommitLog(
            self._path, last_generation=self._tables.flushed_generation, sync=self._sync_now
        )
        sync_directory(self._path.parent)  # the names are durable before the first commit is

    def _begin_to_serve(self) -> None:
        """What stands over the files."""
        self._tables.hold()
        self._read_view = ReadView(self._tables)
        self._read_view.immutable = self._left_in_log
        self._flusher = Flusher(self._path, self._log, self._tables, self._read_view, self._refuse_if_corrupt)

    def _open_without_room(self, error: Exception) -> None:
        """The disk is full: read what there is, refuse every write, and look again and again (no_room.py)."""
        self._close_tables()
        self._tables, self._left_in_log = tables_to_read(self._path, error)
        self.no_room = getattr(error, "strerror", None) or str(error)
        self._log = NoLog(self.no_room)
        self._look_for_room = self._loop.call_later(_ROOM_EVERY_S, self._leave_if_there_is_room)

    def _leave_if_there_is_room(self) -> None:
        """Become an ordinary store: what the log holds goes to the tables, as at any start after a crash."""
        self._look_for_room = self._loop.call_later(_ROOM_EVERY_S, self._leave_if_there_is_room)
        if not has_room_again(self._path):
            return
        unlogged = self._read_view.unlogged
        self._tables.close()
        try:
            self._tables = Tables(self._path)
            self._read_log_back(read_log(self._path))
            self._log = CommitLog(
                self._path, last_generation=self._tables.flushed_generation, sync=self._sync_now
            )
        except (sqlite3.Error, OSError) as error:
            self._refuse_if_corrupt(error)
            self._close_tables()
            self._tables = Tables(self._path, without_room=True)
        else:
            self._look_for_room.cancel()
            self.no_room, self._left_in_log = "", Memtable()
        self._begin_to_serve()
        self._read_view.unlogged = unlogged

    def _close_tables(self) -> None:
        if hasattr(self, "_tables"):
            with contextlib.suppress(sqlite3.Error):
                self._tables.close()

    def _open_tables(self) -> None:
        """Whatever the files hold, there are tables afterwards: of what is whole, or empty ones."""
        log = read_log(self._path)
        why = corruption_of(self._path, log)
        if why is None:
            try:
                self._tables = Tables(self._path)
                self.dropped = self._tables.drop_what_is_no_row()
                self._read_log_back(log)
                return
            except sqlite3.Error as error:
                if is_trouble_of_the_computer(error, self._path):
                    raise
                why = str(error)
                if hasattr(self, "_tables"):
                    self._tables.close()
        self.corruption = (why, set_aside(self._path))
        self._tables = Tables(self._path)
        self._read_log_back(Log([]))

    def _read_log_back(self, log: Log) -> None:
        """After a crash: what the log holds goes to the tables, the newest row of each key."""
        rows = Memtable()
        for commit in log.commits:
            rows.put(commit)
        for table, some in rows.in_order():
            self._tables.put(table, some)
        self._tables.commit(max(log.last_generation, self._tables.flushed_generation))
        self._tables.shorten_log()

    def _refuse_if_corrupt(self, error: Exception) -> None:
        """If the file turns out to be corrupt, nothing that it says can be relied on any more: do not return."""
        if not isinstance(error, sqlite3.Error) or not is_corruption(error):
            return
        self.give_up(str(error))

    def give_up(self, why: str) -> None:
        """Nothing that the files say can be relied on: the next start puts them into quarantine. Does not return."""
        mark_corrupt(self._path, why)
        why = f"{self._path} is damaged: {why}"
        self._on_corruption(why)
        print(f"kvnode: {why}; stopping: the next start sets it aside", file=sys.stderr, flush=True)
        os._exit(70)

    # --- reading ------------------------------------------------------------------------------------------

    def get(self, table: str, partition: int, key: str) -> tuple[bytes, int] | None:
        """See runtime.Disk."""
        try:
            return self._read_view.get(table, partition, key)
        except sqlite3.DatabaseError as error:
            self._refuse_if_corrupt(error)
            raise

    def scan(self, table: str, partition: int, *, after: str = "", limit: int = 1000) -> Sequence[Row]:
        """See runtime.Disk."""
        with self._reading():
            return self._read_view.scan(table, partition, after, limit)

    def checksums(
        self, table: str, partition: int | None = None, *, low_bits: LowBits = ANY
    ) -> Iterator[tuple[int, str, int]]:
        """See runtime.Disk."""
        with self._reading():
            partitions = self._read_view.partitions(table) if partition is None else [partition]
        for each in partitions:
            with self._reading():
                found = self._read_view.checksums(table, each, low_bits)
            yield from found

    def count(self, table: str) -> int:
        """See runtime.Disk."""
        with self._reading():
            return self._read_view.count(table)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            self._refuse_if_corrupt(error)
            raise

    # --- writing ------------------------------------------------------------------------------------------

    def commit(self, rows: Sequence[Row]) -> asyncio.Future[None]:
        """See runtime.Disk. Writes made while a sync runs share the next one and the same future."""
        if self._group is None:
            self._group = self._loop.create_future()
            self._group.add_done_callback(_retrieve)
            if not self._syncing:
                # Not at the end of this turn but of the next: first the messages of this turn leave, so that the
                # replicas sync while this node does, and what has arrived meanwhile joins the group.
                self._loop.call_soon(self._loop.call_soon, self._flush_when_still, 1, _PATIENCE_TURNS)
        self._read_view.unlogged.put(with_checksums(rows))
        return self._group

    def _flush_when_still(self, before: int, generations: int) -> None:
        """Under load every turn brings more: some turns are waited for, and the same sync serves more writes."""
        now = self._read_view.unlogged.row_count
        if now > before and generations:
            self._loop.call_soon(self._flush_when_still, now, generations - 1)
        else:
            self._flush()

    def _flush(self) -> None:
        group = self._group
        if group is None or self._syncing:
            return
        if self._log_is_full():
            self._flusher.begin_if_due()  # into the other segment
            if self._log_is_full() and self._flusher.tells_end(self._flush):
                return
        self._group, unlogged, self._read_view.unlogged = None, self._read_view.unlogged, Memtable()
        rows = list(unlogged.rows())
        if self.no_room and not rows:
            group.set_result(None)  # what can be read is durable: there is nothing else
            return
        try:
            if self._flusher.trouble and self._log_is_full():
                raise OSError(f"the log is long enough, and the tables take no rows: {self._flusher.trouble}")
            self._log.append(rows)
        except OSError as error:
            group.set_exception(StorageError(f"cannot write to {self._path}: {error.strerror or error}"))
            return
        self._read_view.active.put(rows)
        self._syncing = True
        self.commit_count += 1
        self.record_count += len(rows)
        if self._disk_is_fast and not self._delay_ms():
            self._synced(group, self._sync(self._log.descriptor))
        else:
            descriptor = self._log.descriptor
            self._work.put(lambda: self._sync_on_thread(group, descriptor))

    def _log_is_full(self) -> bool:
        return self._log.written_bytes > _LOG_BYTES_MAX

    def _sync_now(self, descriptor: int) -> None:
        self._sync_file(descriptor)

    def _sync(self, descriptor: int) -> float:
        """Make everything appended so far durable; returns how long that took (ms)."""
        started = time.monotonic()
        try:
            self._sync_file(descriptor)
        except OSError as error:
            why = f"kvnode: sync of {self._path} failed: {error}; stopping, since nothing is certain now"
            print(why, file=sys.stderr, flush=True)
            os._exit(70)
        return (time.monotonic() - started) * 1000.0

    def _sync_on_thread(self, group: asyncio.Future[None], descriptor: int) -> None:
        time.sleep(self._delay_ms() / 1000.0)
        duration_ms = self._sync(descriptor)
        with contextlib.suppress(RuntimeError):  # the loop has been closed: the process is ending
            self._loop.call_soon_threadsafe(self._synced, group, duration_ms)

    def _synced(self, group: asyncio.Future[None], duration_ms: float) -> None:
        self._syncing = False
        self._mean_sync_ms += _MEAN_SHARE * (min(duration_ms, 10.0 * INLINE_SYNC_MS_MAX) - self._mean_sync_ms)
        self._disk_is_fast = self._mean_sync_ms < INLINE_SYNC_MS_MAX
        self.sync_ms.add(duration_ms, now_ms=time.monotonic() * 1000.0)
        group.set_result(None)
        if self._group is not None:
            self._loop.call_soon(self._flush)
        self._flusher.begin_if_due()

    def _run_syncs(self) -> None:
        while (work := self._work.get()) is not None:
            work()

    # --- maintenance -------------------------------------------------------------------------------------------

    async def checkpoint(self) -> dict[str, Any]:
        """See runtime.Disk."""
        before = self._flusher.flushed_count
        await self._flusher.flush_everything()
        return {
            "rows_moved": self._flusher.flushed_count - before,
            "log_bytes": self._log.written_bytes,
            **self._tables.sizes(),
        }

    def describe(self) -> DiskStats:
        """See runtime.Disk."""
        sync = self.sync_ms.summary(time.monotonic() * 1000.0)
        return DiskStats(
            commits_total=self.commit_count,
            records_total=self.record_count,
            batch_mean=round(self.record_count / self.commit_count, 2) if self.commit_count else None,
            sync_ms=SyncStats(sync.p50_ms, sync.p95_ms, sync.max_ms),
            log_bytes=self._log.written_bytes,
            rows_moved_total=self._flusher.flushed_count,
            no_room=self.no_room,
            set_aside=self._set_aside,
            dropped=self.dropped,
        )

    async def close(self) -> None:
        """Sync what is waiting, flush it into the tables and close the files."""
        if self.no_room:
            self._look_for_room.cancel()
        self._flusher.in_haste = True
        with contextlib.suppress(OSError):  # a full disk: the next start reads the log back
            await self.commit([])
        self._work.put(None)
        self._thread.join()
        flushed = False
        with contextlib.suppress(OSError):
            await self._flusher.flush_everything()
            flushed = True
        self._flusher.stop()
        self._log.close()
        self._tables.close()
        if flushed and not self.no_room:
            remove_log(self._path)
        os.close(self._lock)


def _retrieve(future: asyncio.Future[None]) -> None:
    """Nobody may be waiting for it; its failure is counted where it is noticed."""
    if not future.cancelled():
        future.exception()
