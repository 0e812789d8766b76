"""The journal: what this process has sent and what was acknowledged, where its successor finds it after kill -9.

Here: the file, and reading a dead process's back into a ledger.
Must not live here: judging (kvnode.checkers.ledger), when to write (write_ledger.py).

What is claimed. A process that dies takes its memory along, but not the pages of a file that it had mapped:
the kernel keeps them. So each record is a few stores into a mapped file, about a microsecond, with no system call and
no fsync on the way of an operation; it outlives the process however that ends. It does not outlive a power
failure; then nobody knows what was acknowledged, and the journal may claim less than was, or end in a record
that makes no sense and is left out. A counter's totals are written down before they are sent, an acknowledgement
after it came. Hence for every counter of a dead actor: what the journal calls acknowledged <= what replicas
hold of that actor <= what the journal calls sent.

Layout. A head (magic, whether it was given up, cluster), then records one after the other: length, kind, body. A
counter has one record that is updated in place; a put has one for each acknowledgement. The length is written last, so
a record that was being written when the process died is not there.

Bounds. A segment has SEGMENT_BYTES. When it is full the next one begins and the one before the last is deleted: at
least the last SEGMENT_BYTES of records are remembered, which is more than the ledgers keep. A counter that is
used again gets a record in the new segment.

Given up. A writer that cannot go on (a full disk) says so in the head: nothing in that journal counts, and whoever
finds it knows that nothing is known of that process.

Who is dead. A living writer holds a lock on its segments (flock), which the kernel lets go of with the process.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from kvnode.checkers import Ledger
from traffic.stores.base import PutReply
from traffic.stores.totals import CounterTotals, Totals

SEGMENT_BYTES = 16 * 1024 * 1024
JOURNALS_MAX = 64
SUFFIX = ".journal"
UNKNOWN = ""

_MAGIC = b"QLJ1"
_HEAD_BYTES = 256
_GIVEN_UP_AT = len(_MAGIC)
_CLUSTER_AT = 8
_CLUSTER_BYTES_MAX = 200
_LENGTH = struct.Struct("<H")
_COUNTER = struct.Struct(
    "<cBBxqqqqH"
)  # kind, w, n; sent and acknowledged increments, decrements; actor bytes
_QUORUM = struct.Struct("<BB")
_SENT = struct.Struct("<qq")
_ACKNOWLEDGED = struct.Struct("<qq")
_SENT_AT = 4
_ACKNOWLEDGED_AT = _SENT_AT + _SENT.size
_QUORUM_AT = 1
_PUT_KIND, _COUNTER_KIND = b"P", b"C"


class _Put(Struct, array_like=True):
    """An acknowledged put. The vectors are needed: a later put answers for the earlier ones that it had seen."""

    key: str
    dot: str
    vector_clock: dict[str, int]
    issued_under: dict[str, int] | None
    issued_under_dots: list[str]
    w: int
    n: int


_encode_put = msgspec.msgpack.Encoder().encode
_decode_put = msgspec.msgpack.Decoder(_Put).decode


class Journal:
    """The journal of one living process. `cluster` is "" while it is not known which cluster this is."""

    def __init__(
        self, folder: Path, name: str, *, cluster: str = UNKNOWN, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._name = name
        self._cluster = cluster
        self._segment_bytes = segment_bytes
        self._segments: list[tuple[Path, int]] = []  # with the descriptor that holds the lock
        self._number = 0
        # Invariant: offsets of the records of counters in the present segment, at their kind byte.
        self._at: dict[tuple[str, str], int] = {}
        self._end = _HEAD_BYTES  # where the next record begins
        self._map: mmap.mmap
        self._begin_segment()

    # --- what happened ------------------------------------------------------------------------------------

    def sending(self, counter: CounterTotals) -> None:
        """The totals of `counter` are about to be sent."""
        at = self._at.get((counter.actor, counter.key))
        if at is None:
            self._begin_counter(counter)
        else:
            _SENT.pack_into(self._map, at + _SENT_AT, *counter.sent)

    def acknowledged(self, counter: CounterTotals, totals: Totals, *, w: int, n: int) -> None:
        """These totals of `counter` were acknowledged, by w of n replicas."""
        at = self._at.get((counter.actor, counter.key))
        if at is None:
            at = self._begin_counter(counter)
        _QUORUM.pack_into(self._map, at + _QUORUM_AT, w, n)
        _ACKNOWLEDGED.pack_into(self._map, at + _ACKNOWLEDGED_AT, *max(counter.acknowledged, totals))

    def put(self, reply: PutReply, *, w: int, n: int) -> None:
        """A put was acknowledged."""
        put = _Put(
            reply.key,
            reply.dot,
            reply.vector_clock if reply.issued_under is None else {},
            reply.issued_under,
            reply.issued_under_dots,
            w,
            n,
        )
        self._append(_PUT_KIND + _encode_put(put))

    def belongs_to(self, cluster: str) -> None:
        """It is known by now which cluster this is."""
        if cluster != self._cluster and self._segments:
            self._cluster = cluster
            self._write_cluster()

    def give_up(self) -> None:
        """It cannot go on: what was noted until now must not be taken for all."""
        self._map[_GIVEN_UP_AT] = 1

    def close(self, *, keep: bool = False) -> None:
        """The process ends well: nobody needs the journal any more (keep: as if it had died)."""
        self._map.close()
        for path, descriptor in self._segments:
            if not keep:
                path.unlink(missing_ok=True)
            os.close(descriptor)
        self._segments = []

    # --- inside -------------------------------------------------------------------------------------------

    def _begin_counter(self, counter: CounterTotals) -> int:
        actor = counter.actor.encode()
        head = _COUNTER.pack(_COUNTER_KIND, 0, 0, *counter.sent, *counter.acknowledged, len(actor))
        at = self._append(head + actor + counter.key.encode())
        self._at[counter.actor, counter.key] = at
        return at

    def _append(self, record: bytes) -> int:
        """Where the record begins now, behind its length."""
        if self._end + len(record) + 2 * _LENGTH.size > self._segment_bytes:
            self._begin_segment()
        at = self._end + _LENGTH.size
        self._map[at : at + len(record)] = record
        _LENGTH.pack_into(self._map, self._end, len(record))
        self._end = at + len(record)
        return at

    def _begin_segment(self) -> None:
        self._number += 1
        path = self._folder / f"{self._name}.{self._number}{SUFFIX}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _fill(descriptor, self._segment_bytes)
            fresh = mmap.mmap(descriptor, self._segment_bytes)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        if self._segments:
            self._map.close()
        self._map = fresh
        self._at = {}
        self._end = _HEAD_BYTES
        self._write_cluster()
        self._map[: len(_MAGIC)] = _MAGIC
        self._segments.append((path, descriptor))
        if len(self._segments) > 2:
            old_path, old_descriptor = self._segments.pop(0)
            old_path.unlink(missing_ok=True)
            os.close(old_descriptor)

    def _write_cluster(self) -> None:
        name = self._cluster.encode()[:_CLUSTER_BYTES_MAX]
        self._map[_CLUSTER_AT : _CLUSTER_AT + _LENGTH.size + len(name)] = _LENGTH.pack(len(name)) + name


def _fill(descriptor: int, size: int) -> None:
    """Room for all of it: a hole that a full disk cannot fill would kill us (SIGBUS)."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:  # macOS
        left = size
        while left > 0:
            left -= os.write(descriptor, bytes(min(left, 1 << 20)))


class DeadJournal:
    """What one dead process has left: its ledger, and the files (locked, so that only one successor has them)."""

    def __init__(self, name: str, segments: list[tuple[Path, int]]) -> None:
        self.name = name
        self.cluster = UNKNOWN
        self.actors: set[str] = set()
        self.puts = 0
        self.given_up = False  # then nothing else is known of that process
        self.ledger = Ledger()
        self._segments = segments
        self._counters: dict[tuple[str, str], tuple[tuple[int, int], tuple[int, int], int, int]] = {}

    @property
    def counters(self) -> int:
        return len(self._counters)

    @property
    def written_at_s(self) -> float:
        """When something was last written (wall clock, about)."""
        return max((_written_at_s(path) for path, _ in self._segments), default=0.0)

    def read(self, *, r: int) -> None:
        """Fill `ledger`, to be judged by reads from r replicas."""
        self.ledger = Ledger(r=r)
        for path, _ in sorted(self._segments, key=lambda segment: _segment_number(segment[0])):
            self._read_segment(path.read_bytes())
        if self.given_up:
            self.ledger, self.puts, self._counters = Ledger(r=r), 0, {}
        for (actor, key), (sent, acknowledged, w, n) in self._counters.items():
            self.actors.add(actor)
            if acknowledged > (0, 0):
                self.ledger.acknowledged_counter(key, actor, *acknowledged, w=w, n=n)
            self.ledger.unanswered_counter(key, actor, *sent)

    def let_go(self, *, delete: bool) -> None:
        """There is a verdict, so nobody needs it any more; or there is none yet: leave it to the next."""
        for path, descriptor in self._segments:
            if delete:
                with contextlib.suppress(OSError):  # it stays, and is judged once more by the next
                    path.unlink()
            os.close(descriptor)
        self._segments = []

    def _read_segment(self, data: bytes) -> None:
        if len(data) < _HEAD_BYTES or not data.startswith(_MAGIC):
            return
        self.given_up = self.given_up or bool(data[_GIVEN_UP_AT])
        (length,) = _LENGTH.unpack_from(data, _CLUSTER_AT)
        begin = _CLUSTER_AT + _LENGTH.size
        self.cluster = data[begin : begin + length].decode(errors="replace") or self.cluster
        for record in _records(data):
            with contextlib.suppress(
                struct.error, ValueError, msgspec.MsgspecError
            ):  # torn by a power failure
                self._read_record(record)

    def _read_record(self, record: bytes) -> None:
        kind = record[:1]
        if kind == _PUT_KIND:
            put = _decode_put(record[1:])
            self.ledger.acknowledged_put(put.key, put, w=put.w, n=put.n)
            self.puts += 1
        elif kind == _COUNTER_KIND:
            _, w, n, *totals, actor_bytes = _COUNTER.unpack_from(record)
            actor = record[_COUNTER.size : _COUNTER.size + actor_bytes].decode()
            key = record[_COUNTER.size + actor_bytes :].decode()
            # A later segment knows as much or more.
            self._counters[actor, key] = ((totals[0], totals[1]), (totals[2], totals[3]), w, n)


def dead_journals(folder: Path) -> list[DeadJournal]:
    """What dead processes have left in `folder`, oldest first; at most JOURNALS_MAX, older ones are deleted."""
    dead: dict[str, list[tuple[Path, int]]] = {}
    if not folder.is_dir():
        return []
    for path in sorted(folder.glob(f"*{SUFFIX}"), key=_written_at_s):
        descriptor = _take(path)
        if descriptor is not None:
            dead.setdefault(path.name.rsplit(".", 2)[0], []).append((path, descriptor))
    found = [DeadJournal(name, segments) for name, segments in dead.items()]
    for one in found[:-JOURNALS_MAX]:
        one.let_go(delete=True)
    return found[-JOURNALS_MAX:]


def _written_at_s(path: Path) -> float:
    """0 if its writer has deleted it just now."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _take(path: Path) -> int | None:
    """A descriptor that holds the lock; None if its writer, or another reader, is alive."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _segment_number(path: Path) -> int:
    number = path.name.rsplit(".", 2)[1]
    return int(number) if number.isdigit() else 0


def _records(data: bytes) -> Iterator[bytes]:
    at = _HEAD_BYTES
    while at + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        if not length:
            return
        at += _LENGTH.size
        yield data[at : at + length]
        at += length
