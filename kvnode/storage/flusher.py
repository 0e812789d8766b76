"""Flushing rows from the log into the tables: some thousand together, a few at a time between other work.

A flush goes through these states: idle; stepping (rows are put into one transaction of the tables); ending (a thread
commits that, and empties the segment); idle. If stepping or committing fails, it is given up and stepped again after
_RETRY_S; if only emptying fails, that alone is tried again. Meanwhile readers find the rows in memory, and after a
crash they are in the log.

Must not live here: commits and their syncs (sqlite.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from kvnode.runtime import Row
from kvnode.storage.corruption import is_corruption
from kvnode.storage.files import StorageError
from kvnode.storage.log import CommitLog
from kvnode.storage.memtable import Memtable
from kvnode.storage.no_room import NoLog
from kvnode.storage.read_view import ReadView
from kvnode.storage.tables import Tables

_FLUSH_AT_ROWS = 8192  # or
_FLUSH_AT_BYTES = 8_000_000
_HASTE_AT_BYTES = 2 * _FLUSH_AT_BYTES  # the store is filled faster than rows are flushed: no pauses
_STEP_ROWS_MIN, _STEP_ROWS_MAX = 64, 1024  # 64 small ones take about a millisecond
_BYTES_LIKE_A_ROW = 4096  # so many bytes take as long as one small row
_STEP_SHARE = 32  # a longer backlog is flushed in longer steps
_STEP_PAUSE_S = 0.004
_RETRY_S = 1.0


class Flusher:
    """Flushes one log into its tables. in_haste: the end is near, so without pauses.

    flushed_count: rows that were flushed so far. trouble: why the last try failed; empty if it did not.
    refuse_if_corrupt: does not return if an error means corruption.
    Invariant: during a flush (_flush is not None) its rows stand in ReadView.immutable and in the segment not in use.
    """

    def __init__(
        self,
        path: Path,
        log: CommitLog | NoLog,
        tables: Tables,
        read_view: ReadView,
        refuse_if_corrupt: Callable[[Exception], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._path = path
        self._log = log
        self._tables = tables
        self._read_view = read_view
        self._refuse_if_corrupt = refuse_if_corrupt
        self._flush: asyncio.Future[None] | None = None
        self._steps: Iterator[tuple[str, list[Row]]] = iter(())
        self._stepped_count = 0
        self.trouble = ""
        self._is_committed = False  # the rows are in the tables, and only their segment is not emptied yet
        self._retry: asyncio.TimerHandle | None = None
        self.in_haste = False
        self.flushed_count = 0

    def begin_if_due(self) -> None:
        """Begin a flush if enough has come together and none is under way."""
        if self._flush is None and (
            self._read_view.active.row_count > _FLUSH_AT_ROWS or self._log.written_bytes > _FLUSH_AT_BYTES
        ):
            with contextlib.suppress(OSError):  # the disk is full: after the next commit again
                self._begin()

    def tells_end(self, on_end: Callable[[], None]) -> bool:
        """Whether a flush is under way that may succeed; if so, `on_end` is called when it has ended."""
        if self._flush is None or self.trouble:
            return False
        self._flush.add_done_callback(lambda flush: on_end())
        return True

    def _begin(self) -> asyncio.Future[None]:
        """Flush what the segment in use holds; the other one is free. OSError: it cannot be begun."""
        self._log.begin()
        self._read_view.immutable, self._read_view.active = self._read_view.active, Memtable()
        self._flush = self._loop.create_future()
        self._flush.add_done_callback(_retrieve)
        self._is_committed = False
        self._loop.call_soon(self._begin_steps)
        return self._flush

    def _begin_steps(self) -> None:
        self._retry = None
        self._stepped_count = 0
        self._steps = self._read_view.immutable.in_order()
        self._step()

    def _step(self) -> None:
        room = min(max(_STEP_ROWS_MIN, self._read_view.active.row_count // _STEP_SHARE), _STEP_ROWS_MAX)
        in_haste = self.in_haste or self._log.written_bytes > _HASTE_AT_BYTES
        try:
            while (room > 0 or in_haste) and (step := next(self._steps, None)) is not None:
                table, rows = step
                self._tables.put(table, rows)
                self._stepped_count += len(rows)
                room -= len(rows) + sum(len(row.record or b"") for row in rows) // _BYTES_LIKE_A_ROW
        except sqlite3.Error as error:
            self._flush_failed(error)
            return
        if room > 0 or in_haste:
            self._begin_end()
        else:
            self._loop.call_later(_STEP_PAUSE_S, self._step)

    def _begin_end(self) -> None:
        self._retry = None
        self._tables.let_go()
        threading.Thread(target=self._end_flush_on_thread, name="checkpoint", daemon=True).start()

    def _end_flush_on_thread(self) -> None:
        report: Callable[[], None] = self._flush_ended
        try:
            if not self._is_committed:
                self._tables.commit(self._log.generation - 1)
                self._is_committed = True
            self._log.empty_other()
            self._shorten()
        except Exception as error:  # noqa: BLE001 - whatever it is, the event loop must hear of it
            report = partial(self._flush_failed, error)
        with contextlib.suppress(RuntimeError):  # the loop has been closed: the process is ending
            self._loop.call_soon_threadsafe(report)

    def _shorten(self) -> None:
        try:
            self._tables.shorten_log()
        except sqlite3.Error as error:
            if is_corruption(error):
                raise  # else another time: what was flushed is durable in SQLite's own log

    def _flush_ended(self) -> None:
        flush, self._flush, self._read_view.immutable = self._flush, None, Memtable()
        self._tables.hold()
        self.flushed_count += self._stepped_count
        self.trouble = ""
        assert flush is not None
        flush.set_result(None)

    def _flush_failed(self, error: Exception) -> None:
        """Nothing is lost, it is all in the log: tell whoever waits, and try again in a while."""
        self._refuse_if_corrupt(error)
        self._tables.hold()
        if not isinstance(error, sqlite3.Error | OSError):
            raise error  # a fault of ours, which ends the node
        self.trouble = str(error)
        flush, self._flush = self._flush, self._loop.create_future()
        self._flush.add_done_callback(_retrieve)
        assert flush is not None
        flush.set_exception(StorageError(f"cannot write to {self._path}: {error}"))
        if not self._is_committed:
            self._tables.rollback()
        self._retry = self._loop.call_later(
            _RETRY_S, self._begin_end if self._is_committed else self._begin_steps
        )

    async def flush_everything(self) -> None:
        """All that stands in the log now is in the tables when this ends. StorageError: it cannot be."""
        if self._flush is not None:
            await asyncio.shield(self._flush)
        while self._flush is not None:  # somebody else waited too, and has begun the next one
            await asyncio.shield(self._flush)
        if not self._read_view.active.row_count:
            self._tables.let_go()  # readers see what stands in the file now, whoever wrote it
            self._tables.hold()
            return
        try:
            flush = self._begin()
        except OSError as error:
            raise StorageError(f"cannot write to {self._path}: {error.strerror}") from error
        await asyncio.shield(flush)

    def stop(self) -> None:
        """No more tries."""
        if self._retry is not None:
            self._retry.cancel()


def _retrieve(future: asyncio.Future[None]) -> None:
    """Nobody may be waiting for it; the failure is tried again."""
    if not future.cancelled():
        future.exception()
