"""What can be wrong with a data file that was closed long ago, and how a corrupt one goes into quarantine.

A file is whole or it is not used. SQLite's own check finds pages that are no pages, rows out of order and what is
missing between them. It does not look at four things that matter here, so this does: the tables' own definitions, the
rows that say who this store is, commits in a log (ours, log.py, or SQLite's own) that would be passed over in silence,
and rows that our log counted as flushed and the tables lack: with them the reservation of dots may be gone that other
replicas have already seen. A corrupt file keeps its bytes under another name; the node begins again as an empty store
with a fresh identity, and the other replicas rebuild it.

Must not live here: a row whose record is not what was written, which costs that row alone (records/scrub.py).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from kvnode.storage.files import delete, make_way, stamp, sync_directory, trouble_with_file
from kvnode.storage.log import LOG_SIDES, Log
from kvnode.storage.rows import trouble_in_definitions, trouble_in_meta
from kvnode.storage.tables import connect, flushed_generation_of

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
_NOTHING_OF_OURS = ("-shm", "-journal")  # SQLite makes them anew
_SIDES = ("", "-wal", "-shm", *LOG_SIDES)
_GENERATION_MAX = 2**30  # SQLite keeps 31 bits
_MARK_BYTES_MAX = 1000
_LOG_HEAD, _FRAME_HEAD = 32, 24


def is_corruption(error: sqlite3.Error) -> bool:
    """Whether SQLite says, while a file is in use, that its content makes no sense."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "Could not decode to UTF-8" in str(
        error
    )


def corruption_of(path: Path, log: Log, *, without_room: bool = False) -> str | None:
    """What is wrong with this file or its log, in a few words; None if they are whole, or not there.

    without_room: the disk is full; what can only be seen by writing is not looked at.

    Raises sqlite3.Error for trouble that is not the file's own: a full disk, no permission.
    """
    if _mark(path).is_symlink() or _mark(path).exists():
        return _text_of_mark(path) or "it was being set aside"
    if log.corruption is not None:
        return log.corruption
    for side in _NOTHING_OF_OURS:
        make_way(Path(f"{path}{side}"))
    for side in ("", "-wal"):
        if (trouble := trouble_with_file(Path(f"{path}{side}"))) is not None:
            return trouble
    if not path.exists() or not path.stat().st_size:
        return "it is gone, and its log is not" if log.commits or log.flushed_generation else None
    try:
        with contextlib.closing(connect(path, without_room=without_room)) as database:
            return _corruption_in(database, path, log, without_room=without_room)
    except sqlite3.Error as error:
        if is_trouble_of_the_computer(error, path):
            raise
        return str(error)


def is_trouble_of_the_computer(error: sqlite3.Error, path: Path) -> bool:
    """Whether something else than the content of the file is to blame."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    return code in _TROUBLE_OF_THE_COMPUTER or not os.access(path, os.W_OK)


def _corruption_in(database: sqlite3.Connection, path: Path, log: Log, *, without_room: bool) -> str | None:
    if database.execute("pragma encoding").fetchone() != ("UTF-8",):
        return "its text is said to be in another encoding"
    if (trouble := trouble_in_definitions(database)) is not None:
        return trouble
    found: str = database.execute("pragma integrity_check(1)").fetchone()[0]
    if found != "ok":
        return " ".join(found.split())
    if not without_room and _commit_beyond(Path(f"{path}-wal"), _valid_frames(database)):
        return "SQLite's log holds a commit after a damaged one"
    flushed_generation = flushed_generation_of(database)
    if flushed_generation < log.flushed_generation:
        return "it lacks rows that were moved to it from the log: a commit is gone"
    if flushed_generation > _GENERATION_MAX:
        return f"it counts {flushed_generation} turns of the log"
    return trouble_in_meta(database)


def _valid_frames(database: sqlite3.Connection) -> int:
    return max(0, int(database.execute("pragma wal_checkpoint(passive)").fetchone()[1]))


def _commit_beyond(log: Path, valid_frames: int) -> bool:
    """Whether the log goes on, in its present generation, after a commit that SQLite did not accept.

    A crash leaves one unfinished commit at the end, and nothing after it: each is synced before the next is written.
    That the very last one is gone shows by the generations of our own log, which it had counted.
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


def mark_corrupt(path: Path, why: str) -> None:
    """Remember that this file was found corrupt while it was in use: the next start puts it into quarantine."""
    with contextlib.suppress(
        OSError
    ):  # the disk is full, or something stands in its place: its name is enough
        _mark(path).write_text(why)


def _text_of_mark(path: Path) -> str:
    if trouble_with_file(_mark(path)) is not None:
        return ""
    return _mark(path).read_bytes()[:_MARK_BYTES_MAX].decode(errors="replace")


def _mark(path: Path) -> Path:
    return path.with_name(f"{path.name}.is-damaged")


def set_aside(path: Path) -> Path:
    """Give the file another name, its logs with it; the oldest of more than three such files are deleted.

    If that is interrupted, the mark says at the next start that what is left must not be used.
    """
    if not _mark(path).exists():
        mark_corrupt(path, "")
    sync_directory(path.parent)
    others = set_aside_files(path)
    kept = path.with_name(f"{path.name}.corrupt-{stamp()}")
    for side in _SIDES:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{side}").replace(f"{kept}{side}")
    sync_directory(path.parent)
    delete(_mark(path))
    for old in others[: max(0, len(others) + 1 - _SET_ASIDE_COUNT_MAX)]:
        for side in _SIDES:
            delete(Path(f"{old}{side}"))
    return kept


def set_aside_files(path: Path) -> list[Path]:
    """The files in quarantine that are still there, oldest first."""
    found = path.parent.glob(f"{path.name}.corrupt-*")
    return sorted(file for file in found if not file.name.endswith(_SIDES[1:]))
