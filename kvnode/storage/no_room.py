"""Opening a store on a full disk: everything is read, nothing is written.

A start usually writes a little: SQLite's shared memory, the rows that a crash left in the log, the heads of the log.
On a disk without room that fails; but what stands there can be read all the same. The tables are opened without a file
of shared memory (SQLite's "unix-excl", which keeps it on the heap and the file to this process), the rows of the log
stay in memory, and the log stays as it is for the next start, or for the moment when there is room again.

Must not live here: the modes of the disk (sqlite.py).
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from kvnode.runtime import Row
from kvnode.storage.corruption import corruption_of
from kvnode.storage.log import LOG_SIDES, read_log
from kvnode.storage.memtable import Memtable, with_checksums
from kvnode.storage.tables import Tables

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_ROOM_FOR_SHARED_MEMORY_BYTES = 65_536
_ROOM_BESIDE_THE_LOG_BYTES = 1_000_000


def is_no_room(error: Exception, directory: Path) -> bool:
    """Whether this error says that the disk is full, and nothing else."""
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE):
        return True
    unclear = (
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_CANTOPEN,
    )  # what SQLite says of a quota, for instance
    return code in unclear and free_bytes(directory) < _ROOM_FOR_SHARED_MEMORY_BYTES


def free_bytes(directory: Path) -> int:
    """What this process may still write there."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


def has_room_again(path: Path) -> bool:
    """Whether the rows in the log of the data file `path` can be flushed, and some writes be taken after that."""
    log_bytes = sum(
        Path(f"{path}{side}").stat().st_size for side in LOG_SIDES if Path(f"{path}{side}").exists()
    )
    return free_bytes(path.parent) > 2 * log_bytes + _ROOM_BESIDE_THE_LOG_BYTES


def tables_to_read(path: Path, error: Exception) -> tuple[Tables, Memtable]:
    """The tables of a store on a full disk, and the rows that only its log holds.

    error: what the disk said; raised again where there is no store yet. OSError: the files are corrupt, too.
    """
    if not path.exists() or not path.stat().st_size:
        raise error
    log = read_log(path)
    if (corruption := corruption_of(path, log, without_room=True)) is not None:
        raise OSError(f"the disk is full, and {corruption}") from error
    rows = Memtable()
    for commit in log.commits:
        rows.put(with_checksums(commit))
    return Tables(path, without_room=True), rows


class NoLog:
    """In place of the commit log: takes no commit. What it says is the error that the disk gave."""

    written_bytes = 0
    generation = 0
    descriptor = -1

    def __init__(self, why: str) -> None:
        self._why = why

    def append(self, rows: Sequence[Row]) -> None:
        """See CommitLog."""
        raise OSError(errno.ENOSPC, self._why)

    def begin(self) -> None:
        """See CommitLog."""
        raise OSError(errno.ENOSPC, self._why)

    def empty_other(self) -> None:
        """See CommitLog."""
        raise OSError(errno.ENOSPC, self._why)

    def close(self) -> None:
        """See CommitLog."""
