"""The commit log: every commit is appended here and synced before it is acknowledged, and read back after a crash.

One append and one sync a group of commits, however many tables and pages its rows belong to: that is what makes a
write cheap (Gray and Reuter, "Transaction Processing", 1993, chapter 9; Cassandra and every LSM tree have one). The
tables follow later, many rows at a time (sqlite.py).

Two files take turns as *segments*. While the rows of one are moved into the tables, the other takes what comes. Once
they are moved, the segment is emptied, durably: read back later, it would put old rows over newer ones. Then it is
begun anew from its first byte, so that a sync overwrites blocks that the file has already. Each beginning draws a salt
that every commit of it carries, which tells them from what an earlier turn has left.

Not here: what the rows mean, and when a segment may be begun anew.
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

LOG_SIDES = ("-log0", "-log1")
_SALT_BYTES = 8
_HEAD = Struct(">8sQ8sI")  # magic, turn, salt, CRC-32 of these
_COMMIT = Struct(">8sII")  # salt, length of the payload, CRC-32 of the payload
_MAGIC = b"kvlog\x00\x00\x01"
_EMPTIED = 0  # in place of a turn
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Row]).decode


class Segment(NamedTuple):
    """What a segment holds. turn: which beginning this was, counted over both files. damage: what is wrong, if any."""

    turn: int
    commits: list[list[Row]]
    damage: str | None = None


class CommitLog:
    """The log beside the data file `path`. OSError from any method: the disk would not.

    written_bytes: of the segment in use. Invariant: what was appended stands whole in front of whatever follows it.
    """

    def __init__(self, path: Path) -> None:
        self._files = [os.open(f"{path}{side}", os.O_RDWR | os.O_CREAT, 0o600) for side in LOG_SIDES]
        self._turn = _EMPTIED
        self._salt = b""
        self.written_bytes = 0
        self.begin()

    @property
    def descriptor(self) -> int:
        """What has to be synced to make all that was appended durable."""
        return self._files[self._turn % 2]

    def begin(self) -> None:
        """From here on use the other segment, from its first byte; it must be empty."""
        turn, salt = self._turn + 1, os.urandom(_SALT_BYTES)
        _write_all(self._files[turn % 2], _head(turn, salt), 0)
        self._turn, self._salt, self.written_bytes = turn, salt, _HEAD.size

    def empty_other(self, sync: Callable[[int], None]) -> None:
        """What stands in the segment that is not in use is durable elsewhere: forget it, durably."""
        file = self._files[(self._turn + 1) % 2]
        _write_all(file, _head(_EMPTIED, bytes(_SALT_BYTES)), 0)
        sync(file)

    def append(self, rows: Sequence[Row]) -> None:
        """One commit. After an OSError the log is as if it had not been tried."""
        payload = _encode(rows)
        head = _COMMIT.pack(self._salt, len(payload), zlib.crc32(payload))
        _write_all(self.descriptor, head + payload, self.written_bytes)
        self.written_bytes += len(head) + len(payload)

    def close(self) -> None:
        """Let go of the files."""
        for file in self._files:
            os.close(file)


def _head(turn: int, salt: bytes) -> bytes:
    return _HEAD.pack(_MAGIC, turn, salt, zlib.crc32(_HEAD.pack(_MAGIC, turn, salt, 0)))


def _write_all(file: int, data: bytes, at: int) -> None:
    while data:
        written = os.pwrite(file, data, at)
        data, at = data[written:], at + written


def read_log(path: Path) -> list[Segment]:
    """The segments beside the data file `path` in the order of their turns; empty ones are left out."""
    found = (_read_segment(Path(f"{path}{side}")) for side in LOG_SIDES)
    return sorted((segment for segment in found if segment is not None), key=lambda segment: segment.turn)


def _read_segment(file: Path) -> Segment | None:
    """A crash leaves at most one unfinished commit, and nothing after it: each is synced before the next is appended.

    So a commit of this turn that stands behind one that is not whole says that bytes were damaged later, and then
    acknowledged commits are gone: a data file without them must not be used.
    """
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return None
    if not data.strip(b"\x00"):
        return None  # the file was made, and nothing in it was synced yet
    if len(data) < _HEAD.size:
        return Segment(0, [], f"{file.name} has no whole head")
    magic, turn, salt, check = _HEAD.unpack_from(data)
    if magic != _MAGIC or zlib.crc32(_HEAD.pack(magic, turn, salt, 0)) != check:
        return Segment(0, [], f"the head of {file.name} is not what was written")
    if turn == _EMPTIED:
        return None
    commits: list[list[Row]] = []
    at = _HEAD.size
    while (commit := _commit_at(data, at, salt)) is not None:
        rows, at = commit
        commits.append(rows)
    damage = f"{file.name} holds a commit after a damaged one" if data.find(salt, at + 1) >= 0 else None
    return Segment(turn, commits, damage)


def _commit_at(data: bytes, at: int, salt: bytes) -> tuple[list[Row], int] | None:
    """The rows of the commit that begins here, and where it ends; None if there is no whole one."""
    if len(data) - at < _COMMIT.size:
        return None
    mark, length, check = _COMMIT.unpack_from(data, at)
    payload = data[at + _COMMIT.size : at + _COMMIT.size + length]
    if mark != salt or len(payload) != length or zlib.crc32(payload) != check:
        return None
    return _decode(payload), at + _COMMIT.size + length


def remove_log(path: Path) -> None:
    """Delete the segments: all that they hold is durable in the tables."""
    for side in LOG_SIDES:
        Path(f"{path}{side}").unlink(missing_ok=True)
