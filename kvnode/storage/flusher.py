"""Moving rows from the log to the tables: some thousand together, a few at a time between other work.

A move goes through these states: idle; stepping (rows are put into one transaction of the tables); ending (a thread
commits that, and empties the segment); idle. If stepping or committing fails, it is given up and stepped again after
_RETRY_S; if only emptying fails, that alone is tried again. Meanwhile readers find the rows in memory, and a crash
finds them in the log.

Not here: commits and their syncs (sqlite.py).
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
from kvnode.storage.corruption import is_damage
from kvnode.storage.files import StorageError
from kvnode.storage.log import CommitLog
from kvnode.storage.memtable import Memtable
from kvnode.storage.no_room import NoLog
from kvnode.storage.read_view import ReadView
from kvnode.storage.tables import Tables

_MOVE_AT_ROWS = 8192  # or
_MOVE_AT_BYTES = 8_000_000
_HASTE_AT_BYTES = 2 * _MOVE_AT_BYTES  # somebody fills the store faster than rows are moved: no pauses
_STEP_ROWS_MIN, _STEP_ROWS_MAX = 64, 1024  # 64 small ones take about a millisecond
_BYTES_LIKE_A_ROW = 4096  # so many bytes take as long as one small row
_STEP_SHARE = 32  # a longer backlog is moved in longer steps
_STEP_PAUSE_S = 0.004
_RETRY_S = 1.0


class Flusher:
    """Moves between one log and its tables. in_haste: the end is near, so without pauses.

    moved_count: rows that were moved so far. trouble: why the last try failed; empty if it did not.
    refuse_if_damaged: does not return if an error means damage.
    Invariant: while a move is on (_move is not None) its rows stand in layers.frozen and in the segment not in use.
    """

    def __init__(
        self,
        path: Path,
        log: CommitLog | NoLog,
        tables: Tables,
        read_view: ReadView,
        refuse_if_damaged: Callable[[Exception], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._path = path
        self._log = log
        self._tables = tables
        self._read_view = read_view
        self._refuse_if_damaged = refuse_if_damaged
        self._move: asyncio.Future[None] | None = None
        self._steps: Iterator[tuple[str, list[Row]]] = iter(())
        self._stepped_count = 0
        self.trouble = ""
        self._moved = False  # what is frozen, and only its segment is not emptied yet
        self._retry: asyncio.TimerHandle | None = None
        self.in_haste = False
        self.moved_count = 0

    def begin_if_due(self) -> None:
        """Begin a move if enough has come together and none is on."""
        if self._move is None and (
            self._read_view.active.row_count > _MOVE_AT_ROWS or self._log.written_bytes > _MOVE_AT_BYTES
        ):
            with contextlib.suppress(OSError):  # the disk is full: after the next commit again
                self._begin()

    def tells_end(self, then: Callable[[], None]) -> bool:
        """Whether a move is on that may succeed; if so, `then` is called when it has ended."""
        if self._move is None or self.trouble:
            return False
        self._move.add_done_callback(lambda move: then())
        return True

    def _begin(self) -> asyncio.Future[None]:
        """Move what the segment in use holds; the other one is free. OSError: it cannot be begun."""
        self._log.begin()
        self._read_view.frozen, self._read_view.active = self._read_view.active, Memtable()
        self._move = self._loop.create_future()
        self._move.add_done_callback(_retrieve)
        self._moved = False
        self._loop.call_soon(self._begin_steps)
        return self._move

    def _begin_steps(self) -> None:
        self._retry = None
        self._stepped_count = 0
        self._steps = self._read_view.frozen.in_order()
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
            self._move_failed(error)
            return
        if room > 0 or in_haste:
            self._begin_end()
        else:
            self._loop.call_later(_STEP_PAUSE_S, self._step)

    def _begin_end(self) -> None:
        self._retry = None
        self._tables.let_go()
        threading.Thread(target=self._end_move_on_thread, name="checkpoint", daemon=True).start()

    def _end_move_on_thread(self) -> None:
        told: Callable[[], None] = self._move_ended
        try:
            if not self._moved:
                self._tables.commit(self._log.generation - 1)
                self._moved = True
            self._log.empty_other()
            self._shorten()
        except Exception as error:  # noqa: BLE001 - whatever it is, the event loop must hear of it
            told = partial(self._move_failed, error)
        with contextlib.suppress(RuntimeError):  # the loop has been closed: the process is ending
            self._loop.call_soon_threadsafe(told)

    def _shorten(self) -> None:
        try:
            self._tables.shorten_log()
        except sqlite3.Error as error:
            if is_damage(error):
                raise  # else another time: what was moved is durable in SQLite's own log

    def _move_ended(self) -> None:
        move, self._move, self._read_view.frozen = self._move, None, Memtable()
        self._tables.hold()
        self.moved_count += self._stepped_count
        self.trouble = ""
        assert move is not None
        move.set_result(None)

    def _move_failed(self, error: Exception) -> None:
        """Nothing is lost, it is all in the log: say so to who waits, and try again in a while."""
        self._refuse_if_damaged(error)
        self._tables.hold()
        if not isinstance(error, sqlite3.Error | OSError):
            raise error  # a fault of ours, which ends the node
        self.trouble = str(error)
        move, self._move = self._move, self._loop.create_future()
        self._move.add_done_callback(_retrieve)
        assert move is not None
        move.set_exception(StorageError(f"cannot write to {self._path}: {error}"))
        if not self._moved:
            self._tables.rollback()
        self._retry = self._loop.call_later(_RETRY_S, self._begin_end if self._moved else self._begin_steps)

    async def move_everything(self) -> None:
        """All that stands in the log now is in the tables when this ends. StorageError: it cannot be."""
        if self._move is not None:
            await asyncio.shield(self._move)
        while self._move is not None:  # somebody else waited too, and has begun the next one
            await asyncio.shield(self._move)
        if not self._read_view.active.row_count:
            self._tables.let_go()  # readers see what stands in the file now, whoever wrote it
            self._tables.hold()
            return
        try:
            move = self._begin()
        except OSError as error:
            raise StorageError(f"cannot write to {self._path}: {error.strerror}") from error
        await asyncio.shield(move)

    def stop(self) -> None:
        """No more tries."""
        if self._retry is not None:
            self._retry.cancel()


def _retrieve(future: asyncio.Future[None]) -> None:
    """Nobody may be waiting for it; the failure is tried again."""
    if not future.cancelled():
        future.exception()
