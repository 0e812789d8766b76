"""What can be wrong with a data file that was closed long ago, and how a damaged one is set aside.

A file is whole or it is not used. SQLite's own check finds pages that are no pages, rows out of order and what is
missing between them. It does not look at four things that matter here, so this does: the tables' own definitions, the
rows that say who this store is, commits in a log (ours, log.py, or SQLite's own) that would be passed over in silence,
and rows that our log counted as moved and the tables lack: for with them may go the reservation of dots that other
replicas have already seen. A damaged file keeps its bytes under another name; the node begins anew as an empty store
with a fresh identity, and the other replicas rebuild it.

Not here: a row whose record is not what was written, which costs that row alone (replication/scrub.py).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path

from kvnode.checksum import checksum
from kvnode.storage.files import sync_directory
from kvnode.storage.log import LOG_SIDES, Log
from kvnode.storage.tables import TABLES, moved_turn_of

_TROUBLE_OF_THE_COMPUTER = frozenset(
    (
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    )
)
_SET_ASIDE_COUNT_MAX = 3
_SIDES = ("", "-wal", "-shm", *LOG_SIDES)
_LOG_HEAD, _FRAME_HEAD = 32, 24


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says, while a file is in use, that its content makes no sense."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "Could not decode to UTF-8" in str(
        error
    )


def damage_of(path: Path, log: Log) -> str | None:
    """What is wrong with this file or its log, in a few words; None if they are whole, or not there.

    Raises sqlite3.Error for trouble that is not the file's own: a full disk, no permission.
    """
    if _mark(path).exists():
        return _mark(path).read_text(errors="replace") or "it was being set aside"
    if log.damage is not None:
        return log.damage
    if not path.exists() or not path.stat().st_size:
        return "it is gone, and its log is not" if log.commits or log.moved_turn else None
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
            return _damage_in(database, path, log)
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
        if code in _TROUBLE_OF_THE_COMPUTER or not os.access(path, os.W_OK):
            raise
        return str(error)


def _damage_in(database: sqlite3.Connection, path: Path, log: Log) -> str | None:
    if database.execute("pragma encoding").fetchone() != ("UTF-8",):
        return "its text is said to be in another encoding"
    for name, statement in database.execute("select name, sql from sqlite_master order by name"):
        if str(statement).partition("(")[2] != TABLES.get(name, "").partition("(")[2]:
            return f"the definition of table {str(name)[:32]!r} is not ours"
    found: str = database.execute("pragma integrity_check(1)").fetchone()[0]
    if found != "ok":
        return " ".join(found.split())
    valid_frames: int = database.execute("pragma wal_checkpoint(passive)").fetchone()[1]
    if _commit_beyond(Path(f"{path}-wal"), max(0, valid_frames)):
        return "SQLite's log holds a commit after a damaged one"
    if moved_turn_of(database) < log.moved_turn:
        return "it lacks rows that were moved to it from the log: a commit is gone"
    with contextlib.suppress(sqlite3.OperationalError):  # a file of before its tables were made
        for key, record, known in database.execute("select key, record, checksum from meta"):
            if not isinstance(record, bytes) or checksum(str(key), record) != known:
                return f"the row {str(key)[:32]!r} of table meta is not what was written"
    return None


def _commit_beyond(log: Path, valid_frames: int) -> bool:
    """Whether the log goes on, in its present generation, after a commit that SQLite did not accept.

    A crash leaves one unfinished commit at the end, and nothing after it: each is synced before the next is written.
    That the very last one is gone shows by the turns of our own log, which it had counted.
    (The format: sqlite.org/fileformat2.html, "WAL File Format")
    """
    if not log.exists():
        return False
    with log.open("rb") as file:
        head = file.read(_LOG_HEAD)
        page_bytes, salts = int.from_bytes(head[8:12], "big"), head[16:24]
        frame_bytes = _FRAME_HEAD + page_bytes
        size = log.stat().st_size
        if size < _LOG_HEAD + _FRAME_HEAD + 512:
            return False
        if not _is_whole_head(head):
            return True
        commit_refused = False
        for offset in range(_LOG_HEAD + valid_frames * frame_bytes, size, frame_bytes):
            file.seek(offset)
            frame = file.read(_FRAME_HEAD)
            if frame[8:16] == salts:  # else it is of an earlier generation
                if commit_refused:
                    return True
                commit_refused = any(frame[4:8])  # the database's size, in the last frame of a commit
    return False


def _is_whole_head(head: bytes) -> bool:
    order = "big" if head[3] & 1 else "little"
    one = other = 0
    for at in range(0, 24, 8):
        one = (one + int.from_bytes(head[at : at + 4], order) + other) & 0xFFFFFFFF  # type: ignore[arg-type]
        other = (other + int.from_bytes(head[at + 4 : at + 8], order) + one) & 0xFFFFFFFF  # type: ignore[arg-type]
    return head[24:32] == one.to_bytes(4, "big") + other.to_bytes(4, "big")


def mark_damaged(path: Path, why: str) -> None:
    """Remember that this file was found damaged while it was in use, so that the next start sets it aside."""
    _mark(path).write_text(why)


def _mark(path: Path) -> Path:
    return path.with_name(f"{path.name}.is-damaged")


def set_aside(path: Path) -> Path:
    """Give the file another name, its logs with it; the oldest of more than three such files are deleted.

    Should that be interrupted, the mark says at the next start that what is left is not to be used.
    """
    if not _mark(path).exists():
        mark_damaged(path, "")
    sync_directory(path.parent)
    others = set_aside_files(path)
    now_ns = time.time_ns()
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now_ns // 10**9)) + f".{now_ns // 1000 % 10**6:06}"
    kept = path.with_name(f"{path.name}.corrupt-{stamp}")
    for side in _SIDES:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{side}").replace(f"{kept}{side}")
    sync_directory(path.parent)
    _mark(path).unlink(missing_ok=True)
    for old in others[: max(0, len(others) + 1 - _SET_ASIDE_COUNT_MAX)]:
        for side in _SIDES:
            Path(f"{old}{side}").unlink(missing_ok=True)
    return kept


def set_aside_files(path: Path) -> list[Path]:
    """The files that were set aside and are still there, oldest first."""
    found = path.parent.glob(f"{path.name}.corrupt-*")
    return sorted(file for file in found if not file.name.endswith(_SIDES[1:]))
