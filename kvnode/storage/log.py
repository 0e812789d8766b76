"""The commit log: every commit is appended here and synced before it is acknowledged, and read back after a crash.

One append and one sync a group of commits, however many tables and pages its rows belong to: that is what makes a
write cheap (Gray and Reuter, "Transaction Processing", 1993, chapter 9; Cassandra and every LSM tree have one). The
tables follow later, many rows at a time (sqlite.py).

Two files alternate as *segments*. While the rows of one are flushed into the tables, the other takes what comes. Once
they are flushed, the segment is emptied, durably: read back later, it would put old rows over newer ones. Then it is
begun again from its first byte, so that a sync overwrites blocks that the file has already. Each beginning is a
*generation*, counted over all lives; it draws a salt that every commit of it carries, which tells them from what an
earlier generation has left.

A crash may leave one unfinished commit, at the end of the newest generation: each is synced before the next is
appended. Anything else that is not whole was corrupted later, and read_log says so, with one exception that cannot be
told from such an end: corruption from some commit to the end of the newest generation takes those commits with it,
unnoticed. (What a node may forget that way is forgiven: after a crash it goes on under a fresh store id, and the other
replicas mend it.)

Must not live here: what the rows mean, and when a segment may be begun anew.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from struct import Struct
from typing import NamedTuple

import msgspec

from kvnode.runtime import Row
from kvnode.storage.files import trouble_with_file
from kvnode.storage.rows import are_rows

LOG_SIDES = ("-log0", "-log1")
_SALT_BYTES = 8
_EMPTIED = bytes(_SALT_BYTES)  # in place of a salt
_HEAD = Struct(
    ">8sQQ8sI"
)  # magic, generation, where the one before ends in the other file, salt, CRC-32 of these
_COMMIT = Struct(">8sII")  # salt, length of the payload, CRC-32 of the payload
_READ_BYTES_MAX = 2**30
_MAGIC = b"kvlog\x00\x00\x01"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Row]).decode


class Log(NamedTuple):
    """What was found on disk. commits: in the order in which they were made.

    last_generation: the greatest that was begun. flushed_generation: up to this one everything is in the tables.
    corruption: what is wrong, if anything.
    """

    commits: list[list[Row]]
    last_generation: int = 0
    flushed_generation: int = 0
    corruption: str | None = None


class _Segment(NamedTuple):
    name: str
    generation: int
    end_before: int
    is_emptied: bool
    commits: list[list[Row]]
    end: int


class CommitLog:
    """The log beside the data file `path`. OSError from any method: the disk refused.

    last_generation: everything up to it is durable in the tables; both files are emptied, the older one first.
    written_bytes: of the segment in use. Invariant: what was appended stands whole in front of whatever follows it.
    """

    def __init__(self, path: Path, *, last_generation: int, sync: Callable[[int], None]) -> None:
        self._files = [os.open(f"{path}{side}", os.O_RDWR | os.O_CREAT, 0o600) for side in LOG_SIDES]
        self._sync = sync
        self._generation = last_generation
        self._salt = b""
        self.written_bytes = 0
        for generation in (last_generation - 1, last_generation):
            self._empty(generation)
        self.begin()

    @property
    def generation(self) -> int:
        """Which generation the segment in use is."""
        return self._generation

    @property
    def descriptor(self) -> int:
        """What has to be synced to make all that was appended durable."""
        return self._files[self._generation % 2]

    def begin(self) -> None:
        """From here on use the other segment, from its first byte; it must be empty. The next sync covers its head."""
        generation, salt = self._generation + 1, os.urandom(_SALT_BYTES)
        _write_all(self._files[generation % 2], _head(generation, self.written_bytes, salt), 0)
        self._generation, self._salt, self.written_bytes = generation, salt, _HEAD.size

    def append(self, rows: Sequence[Row]) -> None:
        """One commit. After an OSError the log is as if it had not been tried."""
        payload = _encode(rows)
        head = _COMMIT.pack(self._salt, len(payload), zlib.crc32(payload))
        _write_all(self.descriptor, head + payload, self.written_bytes)
        self.written_bytes += len(head) + len(payload)

    def empty_other(self) -> None:
        """What stands in the segment that is not in use is durable in the tables: forget it, durably."""
        self._empty(self._generation - 1)

    def _empty(self, generation: int) -> None:
        file = self._files[generation % 2]
        _write_all(file, _head(max(generation, 0), 0, _EMPTIED), 0)
        self._sync(file)

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            os.close(file)


def _head(generation: int, end_before: int, salt: bytes) -> bytes:
    check = zlib.crc32(_HEAD.pack(_MAGIC, generation, end_before, salt, 0))
    return _HEAD.pack(_MAGIC, generation, end_before, salt, check)


def _write_all(file: int, data: bytes, at: int) -> None:
    while data:
        written = os.pwrite(file, data, at)
        data, at = data[written:], at + written


class _Corrupt(Exception):
    """A segment is not what was written."""


def read_log(path: Path) -> Log:
    """The log beside the data file `path`, as it was left."""
    try:
        found = [_read_segment(Path(f"{path}{side}")) for side in LOG_SIDES]
        segments = sorted(
            (each for each in found if each is not None), key=lambda segment: segment.generation
        )
        live = [segment for segment in segments if not segment.is_emptied]
        if live and len(segments) < 2:
            raise _Corrupt(f"{live[0].name} stands alone; both files have a head before either is used")
        if len(live) == 2 and live[1].commits and live[0].end != live[1].end_before:
            raise _Corrupt(f"{live[0].name} lacks a commit before those of {live[1].name}")
    except _Corrupt as error:
        return Log([], corruption=str(error))
    last = max((segment.generation for segment in segments), default=0)
    # Before a generation is begun in a file, the one that stood there, two before, was flushed.
    flushed = max(
        (each.generation if each.is_emptied else each.generation - 2 for each in segments), default=0
    )
    return Log([commit for segment in live for commit in segment.commits], last, max(flushed, 0))


def _read_segment(file: Path) -> _Segment | None:
    if (trouble := trouble_with_file(file)) is not None:
        raise _Corrupt(trouble)
    try:
        if file.stat().st_size > _READ_BYTES_MAX:
            raise _Corrupt(f"{file.name} is longer than a log ever gets")
        data = file.read_bytes()
    except FileNotFoundError:
        return None
    if not data.strip(b"\x00"):
        return None  # the file was made, and nothing in it was synced yet
    if len(data) < _HEAD.size:
        raise _Corrupt(f"{file.name} has no whole head")
    magic, generation, end_before, salt, check = _HEAD.unpack_from(data)
    if magic != _MAGIC or zlib.crc32(_HEAD.pack(magic, generation, end_before, salt, 0)) != check:
        raise _Corrupt(f"the head of {file.name} is not what was written")
    commits: list[list[Row]] = []
    at = _HEAD.size
    if salt == _EMPTIED:
        return _Segment(file.name, generation, end_before, True, commits, at)
    while (commit := _commit_at(data, at, salt)) is not None:
        rows, at = commit
        if not are_rows(rows):
            raise _Corrupt(f"{file.name} holds a commit of rows that are none")
        commits.append(rows)
    if data.find(salt, at + 1) >= 0:
        raise _Corrupt(f"{file.name} holds a commit after a damaged one")
    return _Segment(file.name, generation, end_before, False, commits, at)


def _commit_at(data: bytes, at: int, salt: bytes) -> tuple[list[Row], int] | None:
    """The rows of the commit that begins here, and where it ends; None if there is no whole one."""
    if len(data) - at < _COMMIT.size:
        return None
    mark, length, check = _COMMIT.unpack_from(data, at)
    payload = data[at + _COMMIT.size : at + _COMMIT.size + length]
    if mark != salt or not length or len(payload) != length or zlib.crc32(payload) != check:
        return None
    try:
        return _decode(payload), at + _COMMIT.size + length
    except msgspec.MsgspecError:
        return None


def remove_log(path: Path) -> None:
    """Delete the files: all that they held is durable in the tables, and they were emptied."""
    for side in LOG_SIDES:
        Path(f"{path}{side}").unlink(missing_ok=True)
