"""A durable disk on one SQLite file, with group commit: one sync for all the writes that are waiting.

The writes of one turn of the event loop, and those that arrive while a sync runs, are committed together. They wait in
memory until then, so that SQLite gets them in one go, and a key that is written twice only once; a reader that comes
in between sees them too, since they are handed to SQLite before it is asked.

SQLite writes its log (WAL) without syncing it; the sync is ours: fdatasync, or F_FULLFSYNC on macOS, where fsync does
not reach the platter. On a fast disk it is done at once, since handing it to another thread takes longer than the
sync. When the running mean exceeds INLINE_SYNC_MS_MAX the next ones run on a thread of their own, so that a slow disk
delays acknowledgements but never probes and reads. Checkpoints always run on another thread.

A sync that fails ends the node: what the kernel has dropped once it will not report again ("fsyncgate", 2018). A
full disk is an ordinary error: those writes fail, reads go on.

A file that is damaged when the disk is opened is set aside (damage.py); one that turns out to be while it is in use
ends the process, and is set aside at the next start.

A student may open the file while the node runs: `pandas.read_sql("select * from records", ...)`.
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

from kvnode.checksum import checksum
from kvnode.observe import Samples
from kvnode.runtime import ANY, LowBits, Row
from kvnode.storage.damage import damage_of, is_damage, mark_damaged, set_aside, set_aside_files
from kvnode.storage.files import StorageError, lock, sync_directory, sync_function

TABLES = {
    table: f"create table {table} (partition integer not null, key text not null,"
    " record blob not null, checksum integer not null, primary key (partition, key)) without rowid"
    for table in ("records", "hints", "meta")
}
_CHECKPOINT_ROWS = 8192  # each row dirties about one page of 4 kB
_PAGE_BYTES = 2048  # a random write logs a whole page: measured, half the default costs half the CPU a write
INLINE_SYNC_MS_MAX = 2.0
_LOG_PAGES_MAX = 16_384  # 64 MB: then the log is made to begin anew
_MEAN_SHARE = 0.1  # one slow sync (a busy computer) does not make a slow disk


class SqliteDisk:
    """runtime.Disk on `directory`/data.sqlite. One process at a time: a second one is refused.

    damage: why the file that was found was set aside just now, and under which name. on_damage: called when a file
    turns out to be damaged while it is in use; it must not return.
    """

    def __init__(
        self,
        directory: Path,
        *,
        delay_ms: Callable[[], float] = lambda: 0.0,
        on_damage: Callable[[str], None] = lambda why: None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._path = directory / "data.sqlite"
        self._delay_ms = delay_ms
        self._on_damage = on_damage
        self._lock = lock(directory)
        self.damage: tuple[str, Path] | None = None
        try:
            why = damage_of(self._path, TABLES)
            if why is not None:
                self.damage = (why, set_aside(self._path))
            self._set_aside = [file.name for file in set_aside_files(self._path)]
            self._database = self._open()
            self._wal = os.open(f"{self._path}-wal", os.O_RDWR | os.O_CREAT, 0o600)
        except (sqlite3.Error, OSError) as error:
            raise StorageError(f"cannot use {self._path}: {error}") from error
        self._sync_file = sync_function()
        sync_directory(directory)
        self._group: asyncio.Future[None] | None = None
        self._waiting: dict[tuple[str, int, str], Row] = {}
        self._syncing = False
        self._disk_is_fast = True
        self._mean_sync_ms = 0.0
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run_syncs, name="sync", daemon=True)
        self._thread.start()
        self._checkpoint: threading.Thread | None = None
        self.sync_ms = Samples()
        self.commit_count = 0
        self.record_count = 0
        self._checkpointed_at = 0
        self._log_is_long = False
        self._log_pages = self._log_pages_moved = 0

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        database.execute(f"pragma page_size={_PAGE_BYTES}")
        database.execute("pragma journal_mode=wal").fetchone()
        database.execute("pragma synchronous=normal")  # commits do not sync by themselves: _run_syncs does
        database.execute("pragma wal_autocheckpoint=0")
        database.execute("pragma cache_size=-32768")
        for statement in TABLES.values():
            database.execute(statement.replace("create table", "create table if not exists"))
        return database

    def _refuse_if_damaged(self, error: sqlite3.Error) -> None:
        """If the file turns out to be damaged, nothing that it says can be relied on any more: do not return."""
        if not is_damage(error):
            return
        why = f"{self._path} is damaged: {error}"
        mark_damaged(self._path, str(error))
        self._on_damage(why)
        print(f"kvnode: {why}; stopping: the next start sets it aside", file=sys.stderr, flush=True)
        os._exit(70)

    # --- reading ------------------------------------------------------------------------------------------

    def get(self, table: str, partition: int, key: str) -> tuple[bytes, int] | None:
        """See runtime.Disk."""
        self._write_before_reading()
        try:
            row: tuple[bytes, int] | None = self._database.execute(
                f"select record, checksum from {table} where partition=? and key=?", (partition, key)
            ).fetchone()
        except sqlite3.DatabaseError as error:
            self._refuse_if_damaged(error)
            raise
        return row if row is None or type(row[0]) is bytes else (b"", 0)

    def scan(self, table: str, partition: int, *, after: str = "", limit: int = 1000) -> Sequence[Row]:
        """See runtime.Disk."""
        rows = self._select(
            f"select key, record, checksum from {table} where partition=? and key>? order by key limit ?",
            (partition, after, limit),
        )
        return [
            Row(table, partition, key, record, known)
            if type(record) is bytes
            else Row(table, partition, key, b"")
            for key, record, known in rows
        ]

    def checksums(
        self, table: str, partition: int | None = None, *, low_bits: LowBits = ANY
    ) -> Iterator[tuple[int, str, int]]:
        """See runtime.Disk."""
        tests, values = ["true"], list[int]()
        if partition is not None:
            tests.append("partition=?")
            values.append(partition)
        if low_bits is not ANY:
            tests.append(f"checksum & ? in ({','.join('?' * len(low_bits[1]))})")
            values += (low_bits[0], *low_bits[1])
        yield from self._select(
            f"select partition, key, checksum from {table} where {' and '.join(tests)} order by partition, key",
            tuple(values),
        )

    def count(self, table: str) -> int:
        """See runtime.Disk."""
        return int(next(self._select(f"select count(*) from {table}", ()))[0])

    def _select(self, statement: str, values: tuple[Any, ...]) -> Iterator[Any]:
        self._write_before_reading()
        try:
            found = self._database.execute(statement, values)
            while rows := found.fetchmany(1000):
                yield from rows
        except sqlite3.DatabaseError as error:
            self._refuse_if_damaged(error)
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
                self._loop.call_soon(self._loop.call_soon, self._flush)
        for row in rows:
            self._waiting[row[:3]] = row
        return self._group

    def _write(self) -> None:
        """Hand what waits to SQLite, in the open transaction. Raises sqlite3.Error."""
        if not self._database.in_transaction:
            self._database.execute("begin")
        rows, self._waiting = self._waiting.values(), {}
        for table in dict.fromkeys(row.table for row in rows):
            mine = [row for row in rows if row.table == table]
            puts = [
                (row.partition, row.key, row.record, row.checksum or checksum(row.key, row.record))
                for row in mine
                if row.record is not None
            ]
            gone = [(row.partition, row.key) for row in mine if row.record is None]
            self._database.executemany(f"replace into {table} values (?,?,?,?)", puts)
            if gone:
                self._database.executemany(f"delete from {table} where partition=? and key=?", gone)
        self.record_count += len(rows)

    def _write_before_reading(self) -> None:
        """A reader sees all commits; if they cannot be stored, they fail here and it sees none of them."""
        if self._waiting:
            try:
                self._write()
            except sqlite3.Error as error:
                self._fail_group(error)

    def _fail_group(self, error: sqlite3.Error) -> None:
        """The transaction cannot be stored (a full disk): all its writes fail, the next one starts afresh."""
        self._refuse_if_damaged(error)
        group, self._group = self._group, None
        assert group is not None
        with contextlib.suppress(sqlite3.Error):
            self._database.execute("rollback")
        group.set_exception(StorageError(f"cannot write to {self._path}: {error}"))

    def _flush(self) -> None:
        group = self._group
        if group is None or self._syncing:
            return
        try:
            self._write()
            self._database.execute("commit")
        except sqlite3.Error as error:
            self._fail_group(error)
            return
        if self._log_is_long:
            self._begin_log_anew()
        self._group = None
        self._syncing = True
        self.commit_count += 1
        if self._disk_is_fast and not self._delay_ms():
            self._synced(group, self._sync())
        else:
            self._work.put(lambda: self._sync_on_thread(group))

    def _sync(self) -> float:
        """Make everything committed so far durable; returns how long that took (ms)."""
        started = time.monotonic()
        try:
            self._sync_file(self._wal)
        except OSError as error:
            why = f"kvnode: sync of {self._path} failed: {error}; stopping, since nothing is certain now"
            print(why, file=sys.stderr, flush=True)
            os._exit(70)
        return (time.monotonic() - started) * 1000.0

    def _sync_on_thread(self, group: asyncio.Future[None]) -> None:
        time.sleep(self._delay_ms() / 1000.0)
        duration_ms = self._sync()
        with contextlib.suppress(RuntimeError):  # the loop has been closed: the process is ending
            self._loop.call_soon_threadsafe(self._synced, group, duration_ms)

    def _synced(self, group: asyncio.Future[None], duration_ms: float) -> None:
        self._syncing = False
        self._mean_sync_ms += _MEAN_SHARE * (min(duration_ms, 10.0 * INLINE_SYNC_MS_MAX) - self._mean_sync_ms)
        self._disk_is_fast = self._mean_sync_ms < INLINE_SYNC_MS_MAX
        self.sync_ms.add(time.monotonic() * 1000.0, duration_ms)
        group.set_result(None)
        if self._group is not None:
            self._loop.call_soon(self._flush)
        self._checkpoint_if_due()

    def _run_syncs(self) -> None:
        while (work := self._work.get()) is not None:
            work()

    # --- upkeep -------------------------------------------------------------------------------------------

    def _checkpoint_if_due(self) -> None:
        if self._checkpoint is not None and self._checkpoint.is_alive():
            return
        if self.record_count - self._checkpointed_at >= _CHECKPOINT_ROWS:
            self._checkpointed_at = self.record_count
            self._checkpoint = threading.Thread(target=self._run_checkpoint, name="checkpoint", daemon=True)
            self._checkpoint.start()

    def _run_checkpoint(self) -> None:
        """Move the log into the database file. Passive: it never makes a reader or a writer wait."""
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(self._path)) as database:
            _, pages, moved = database.execute("pragma wal_checkpoint(passive)").fetchone()
            self._log_is_long = pages > _LOG_PAGES_MAX and moved > 0
            self._log_pages, self._log_pages_moved = pages, moved

    async def checkpoint(self) -> dict[str, Any]:
        """See runtime.Disk. Pages that deleted rows have freed stay in the file, and are the first to be used again."""
        thread = self._checkpoint
        if thread is None or not thread.is_alive():
            self._checkpointed_at = self.record_count
            thread = self._checkpoint = threading.Thread(
                target=self._run_checkpoint, name="checkpoint", daemon=True
            )
            thread.start()
        await self._loop.run_in_executor(None, thread.join)
        try:
            [pages], [free] = (
                self._database.execute(f"pragma {figure}").fetchone()
                for figure in ("page_count", "freelist_count")
            )
        except sqlite3.Error as error:
            raise StorageError(f"cannot read {self._path}: {error}") from error
        return {
            "log_pages": self._log_pages,
            "log_pages_moved": self._log_pages_moved,
            "file_bytes": pages * _PAGE_BYTES,
            "free_bytes": free * _PAGE_BYTES,
        }

    def _begin_log_anew(self) -> None:
        """Move the rest of the log between two transactions, so that the next one writes at its beginning.

        A checkpoint beside a writer that never pauses is always a few commits behind, and the log grows without a
        bound. What it left is little, so this holds up the loop for two syncs, once in many thousand writes.
        """
        self._log_is_long = False
        with contextlib.suppress(sqlite3.Error):
            self._database.execute("pragma wal_checkpoint(passive)").fetchone()

    def describe(self) -> dict[str, Any]:
        """See runtime.Disk."""
        sync = self.sync_ms.summary(time.monotonic() * 1000.0)
        return {
            "commits_total": self.commit_count,
            "records_total": self.record_count,
            "batch_mean": round(self.record_count / self.commit_count, 2) if self.commit_count else None,
            "sync_ms": {"p50": sync["p50_ms"], "p95": sync["p95_ms"], "max": sync["max_ms"]},
            "set_aside": self._set_aside,
        }

    async def close(self) -> None:
        """Sync what is waiting, checkpoint and let go of the files."""
        await self.commit([])
        self._work.put(None)
        self._thread.join()
        if self._checkpoint is not None:
            self._checkpoint.join()
        self._database.close()
        os.close(self._wal)
        os.close(self._lock)


def _retrieve(future: asyncio.Future[None]) -> None:
    """Nobody may be waiting for a group; its failure is counted where it is noticed."""
    if not future.cancelled():
        future.exception()
