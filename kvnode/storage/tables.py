"""The tables: one SQLite file into which rows are flushed from the log, many at a time, and from which they are read.

Two connections, in write-ahead mode: what one is still putting is not seen by the other, which reads. A flush is one
transaction, made durable by SQLite at its end. That takes long and releases the interpreter, so it may run on a
thread of its own; everything else is called by the event loop. sqlite3.Error from any method: sqlite.py decides.

Reads share one snapshot, since to begin and end one costs more than to find a row: hold() begins it, let_go() ends it.
While one is held, what SQLite has logged since cannot go into the file (shorten_log).

Must not live here: what is in the log only, and when rows are flushed.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from kvnode.config import SCAN_BYTES
from kvnode.runtime import ANY, LowBits, Row
from kvnode.storage.rows import TABLES, drop_what_is_no_row

_OVER_IT = "on conflict (partition, key) do update set record=excluded.record, checksum=excluded.checksum"
"""A row that is as long as before is overwritten in place; `replace` would delete it and insert another."""
_IS_TEXT = "key>='' and key<x''"  # by SQLite's order of types; a row that is none is found at the next start
_CHECKSUM = "case typeof(checksum) when 'integer' then checksum else 0 end"
_PAGE_BYTES = 2048  # a random write logs a whole page: measured, half the default costs half the CPU a write
_CACHE_KB = 16_384  # of each connection


class Tables:
    """The rows in the file `path`, as of the last flush that was committed."""

    def __init__(self, path: Path, *, without_room: bool = False) -> None:
        """without_room: the disk is full, so nothing is made and nothing may be put (no_room.py)."""
        if without_room:
            self._writer, self._reader = connect(path, without_room=True), connect(path, without_room=True)
            for database in (self._writer, self._reader):
                database.execute("pragma query_only=1")
            return
        self._writer = connect(path)
        self._writer.execute(f"pragma page_size={_PAGE_BYTES}")
        self._writer.execute("pragma journal_mode=wal").fetchone()
        self._writer.execute("pragma synchronous=full")
        self._writer.execute("pragma fullfsync=true")  # macOS: a sync that reaches the platter
        self._writer.execute("pragma wal_autocheckpoint=0")
        for statement in TABLES.values():
            self._writer.execute(statement.replace("create table", "create table if not exists"))
        self._reader = connect(path)
        for database in (self._writer, self._reader):
            database.execute(
                "pragma busy_timeout=0"
            )  # whoever looks into the file may hold it: never wait on the loop

    @property
    def flushed_generation(self) -> int:
        """Up to which generation of the log everything has been flushed here; 0 if nothing was."""
        return flushed_generation_of(self._reader)

    def drop_what_is_no_row(self) -> list[str]:
        """See rows.py."""
        return drop_what_is_no_row(self._writer)

    # --- reading ------------------------------------------------------------------------------------------

    def get(self, table: str, partition: int, key: str) -> tuple[bytes, int] | None:
        """(record, checksum) or None. What is no row reads as a record that fails its checksum."""
        row: tuple[bytes, int] | None = self._reader.execute(
            f"select record, checksum from {table} where partition=? and key=?", (partition, key)
        ).fetchone()
        return row if row is None or (type(row[0]) is bytes and type(row[1]) is int) else (b"", 0)

    def scan(self, table: str, partition: int, after: str, limit: int) -> tuple[list[Row], bool]:
        """Rows of one partition in key order, beyond `after`; True if it ended early (SCAN_BYTES)."""
        found = self._reader.execute(
            f"select key, record, checksum from {table}"
            f" where partition=? and key>? and {_IS_TEXT} order by key limit ?",
            (partition, after, limit),
        )
        rows: list[Row] = []
        room = SCAN_BYTES
        for key, record, known in found:
            if type(record) is not bytes or type(known) is not int:
                record, known = b"", 0
            rows.append(Row(table, partition, key, record, known))
            room -= len(record)
            if room < 0:
                return rows, True
        return rows, False

    def checksums(self, table: str, partition: int, low_bits: LowBits) -> list[tuple[int, str, int]]:
        """(partition, key, checksum) of every row of one partition, in key order; 0 for what is no checksum."""
        test, values = "", [partition]
        if low_bits is not ANY:
            test = f"and checksum & ? in ({','.join('?' * len(low_bits[1]))})"
            values += (low_bits[0], *low_bits[1])
        return self._reader.execute(
            f"select partition, key, {_CHECKSUM} from {table}"
            f" where partition=? and {_IS_TEXT} {test} order by key",
            values,
        ).fetchall()

    def partitions(self, table: str) -> set[int]:
        """The partitions of which a table has rows."""
        found = self._reader.execute(f"select distinct partition from {table}")
        return {partition for (partition,) in found if type(partition) is int}

    def count(self, table: str) -> int:
        """How many rows a table has."""
        return int(self._reader.execute(f"select count(*) from {table}").fetchone()[0])

    def hold(self) -> None:
        """From the next read on, all see the tables as they are then."""
        if not self._reader.in_transaction:
            self._reader.execute("begin")

    def let_go(self) -> None:
        """From here on each read sees the tables as they are."""
        if self._reader.in_transaction:
            self._reader.execute("rollback")

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """What is read within it is of one moment, though a flush may end meanwhile."""
        was_held = self._reader.in_transaction
        self.hold()
        try:
            yield
        finally:
            if not was_held:
                self.let_go()

    # --- flushing -------------------------------------------------------------------------------------------

    def put(self, table: str, rows: Sequence[Row]) -> None:
        """Put (or, without a record, delete) these rows, in the flush under way or in a new one."""
        if not self._writer.in_transaction:
            self._writer.execute("begin")
        puts = [(row.partition, row.key, row.record, row.checksum) for row in rows if row.record is not None]
        gone = [(row.partition, row.key) for row in rows if row.record is None]
        if puts:
            self._writer.executemany(f"insert into {table} values (?,?,?,?) {_OVER_IT}", puts)
        if gone:
            self._writer.executemany(f"delete from {table} where partition=? and key=?", gone)

    def commit(self, flushed_generation: int) -> None:
        """End the flush: all of it is durable, and with it up to which generation of the log that is everything."""
        if not self._writer.in_transaction:
            self._writer.execute("begin")
        self._writer.execute(f"pragma user_version={flushed_generation}")
        self._writer.execute("commit")

    def shorten_log(self) -> None:
        """Put as much of SQLite's own log into the file as can be."""
        self._writer.execute("pragma wal_checkpoint(passive)").fetchone()

    def rollback(self) -> None:
        """Give the flush up."""
        with contextlib.suppress(sqlite3.Error):
            self._writer.execute("rollback")

    def sizes(self) -> dict[str, int]:
        """{"file_bytes", "free_bytes"}: of the file; what deleted rows have freed is the first to be used again."""
        [pages], [free] = (
            self._reader.execute(f"pragma {figure}").fetchone() for figure in ("page_count", "freelist_count")
        )
        return {"file_bytes": pages * _PAGE_BYTES, "free_bytes": free * _PAGE_BYTES}

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
        self._writer.close()


def flushed_generation_of(database: sqlite3.Connection) -> int:
    """See Tables.flushed_generation."""
    return int(database.execute("pragma user_version").fetchone()[0])


def connect(path: Path, *, without_room: bool = False) -> sqlite3.Connection:
    """One connection. without_room: it makes no file of shared memory beside it."""
    where = f"{path.absolute().as_uri()}?vfs=unix-excl" if without_room else path
    database = sqlite3.connect(
        where, uri=without_room, isolation_level=None, check_same_thread=False, cached_statements=64
    )
    database.execute(f"pragma cache_size=-{_CACHE_KB}")
    return database
