"""What this replica holds: merges records in, makes them durable, keeps the Merkle forest true.

A record is the canonical encoding of one key's state (versions/). Two states of a key are told apart: the *latest*,
into which everything that arrived has been merged, and the *durable*, which survives a crash. Writes build on the
latest; readers are shown only the durable (DESIGN: a read sees only what is durable at the replica that answers).

Not here: quorums and peers.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Iterator
from functools import partial
from typing import Generic, TypeVar

import msgspec

from kvnode.config import SAMPLE_COUNT_MAX
from kvnode.messages import COUNTER, KV
from kvnode.replication.merkle import MerkleForest, checksum
from kvnode.ring import Ring
from kvnode.runtime import Row, Runtime
from kvnode.versions import PnCounter, Siblings

State = Siblings | PnCounter
S = TypeVar("S", Siblings, PnCounter)
Then = Callable[[bool], None]
"""Called when a write is durable (True) or could not be made so (False)."""

_TABLE = "records"


class Kind(Generic[S]):
    """One kind of data: how its states are encoded, and which state is the empty one."""

    def __init__(self, name: str, empty: S) -> None:
        self.name = name
        self.empty: S = empty
        self.decode: Callable[[bytes], S] = msgspec.msgpack.Decoder(type(empty)).decode

    def disk_key(self, key: str) -> str:
        """Where a key of this kind stands on disk: kinds never collide."""
        return f"{self.name}/{key}"


KVS = Kind(KV, Siblings())
COUNTERS = Kind(COUNTER, PnCounter())
KINDS: dict[str, Kind[Siblings] | Kind[PnCounter]] = {KV: KVS, COUNTER: COUNTERS}
encode_state = msgspec.msgpack.Encoder().encode


class _Unsynced:
    """A key with writes on their way to disk. Invariant: write_count of them are not durable yet."""

    __slots__ = ("durable", "latest", "write_count")

    def __init__(self, durable: bytes | None) -> None:
        self.durable = durable
        self.latest: bytes = b""
        self.write_count = 0


class Records:
    """The records of one replica, above one Disk."""

    def __init__(self, runtime: Runtime, ring: Ring) -> None:
        self._disk = runtime.disk
        self._runtime = runtime
        self._ring = ring
        self._unsynced: dict[str, _Unsynced] = {}
        self._group: Future[None] | None = None
        self._group_writes: list[tuple[str, bytes, Then]] = []
        self._stored_at: dict[str, float] = {}
        self.forest = MerkleForest(ring.partitions)
        self.row_count = 0
        self.corrupt_count = 0

    def open(self) -> None:
        """Build the Merkle forest from the checksums on disk."""
        for partition, disk_key, known in self._disk.checksums(_TABLE):
            self.forest.change(partition, disk_key, 0, known)
            self.row_count += 1

    # --- reading ------------------------------------------------------------------------------------------

    def durable(self, kind: str, key: str) -> bytes | None:
        """The record that survives a crash, or None."""
        disk_key = f"{kind}/{key}"
        unsynced = self._unsynced.get(disk_key)
        return self._read(key, disk_key) if unsynced is None else unsynced.durable

    def latest(self, kind: str, key: str) -> bytes | None:
        """The record with everything merged in that has arrived, durable or not; or None."""
        disk_key = f"{kind}/{key}"
        unsynced = self._unsynced.get(disk_key)
        return self._read(key, disk_key) if unsynced is None else unsynced.latest

    def is_unsynced(self, kind: str, key: str) -> bool:
        """Whether a write of this key is on its way to disk."""
        return f"{kind}/{key}" in self._unsynced

    def stored_at(self, kind: str, key: str) -> float | None:
        """Wall clock (ms) at which the record became durable here; None if that is not remembered."""
        return self._stored_at.get(f"{kind}/{key}")

    def keys(self, kind: str, *, prefix: str, after: str, limit: int) -> list[str]:
        """The first `limit` keys beyond `after` that start with `prefix`, sorted; deleted ones left out."""
        found: list[str] = []
        for partition in range(self._ring.partitions):
            found.extend(self._keys_in(kind, partition, prefix, after, limit))
        return sorted(found)[:limit]

    def _keys_in(self, kind: str, partition: int, prefix: str, after: str, limit: int) -> Iterator[str]:
        head = f"{kind}/"
        start, count = max(head + after, head + prefix), 0
        # scan() is exclusive: a key equal to the prefix itself is looked up apart.
        if prefix and after < prefix and self._disk.get(_TABLE, partition, head + prefix) is not None:
            count += 1
            yield prefix
        while count < limit:
            rows = self._disk.scan(_TABLE, partition, after=start, limit=limit)
            for row in rows:
                key = row.key[len(head) :]
                if not (row.key.startswith(head) and key.startswith(prefix)):
                    return
                if row.record is not None and not _is_deleted(kind, row.record):
                    count += 1
                    yield key
            if len(rows) < limit:
                return
            start = rows[-1].key

    def entries_under(
        self, partition: int, leaves: frozenset[int], leaf_of: Callable[[str], int]
    ) -> Iterator[Row]:
        """The rows of one partition that stand under these Merkle leaves, in key order."""
        after = ""
        while rows := self._disk.scan(_TABLE, partition, after=after, limit=1000):
            for row in rows:
                if leaf_of(row.key) in leaves:
                    yield row
            after = rows[-1].key

    def _read(self, key: str, disk_key: str) -> bytes | None:
        partition = self._ring.partition_of(key)
        row = self._disk.get(_TABLE, partition, disk_key)
        if row is None:
            return None
        record, known = row
        if checksum(disk_key, record) != known:
            self._refuse_corrupt(partition, disk_key, known)
            return None
        return record

    def _refuse_corrupt(self, partition: int, disk_key: str, known: int) -> None:
        """A row that is not what was written is no record: report it, drop it, let the other replicas rebuild it."""
        self.corrupt_count += 1
        self._runtime.log("record_corrupt", level="error", partition=partition, key=disk_key)
        self.forest.change(partition, disk_key, known, 0)
        self.row_count -= 1
        self._disk.commit([Row(_TABLE, partition, disk_key, None)])

    # --- writing ------------------------------------------------------------------------------------------

    def merge_in(self, kind: str, key: str, record: bytes, then: Then) -> None:
        """Merge a record that a peer sent; `then` is called when the merged state is durable.

        Raises msgspec.MsgspecError if the record is not one of this kind.
        """
        known = self.latest(kind, key)
        merged = record if known is None else merge_records(kind, known, record)
        if merged != known:
            self.write(kind, key, merged, then, known=known)
        elif f"{kind}/{key}" in self._unsynced:
            self._group_writes.append((f"{kind}/{key}", b"", then))  # wait for the sync that is on its way
        else:
            then(True)

    def write(self, kind: str, key: str, record: bytes, then: Then, *, known: bytes | None) -> None:
        """Make `record` the latest state, where `known` was; `then` is called when it is durable."""
        disk_key = f"{kind}/{key}"
        partition = self._ring.partition_of(key)
        after = checksum(disk_key, record)
        future = self._disk.commit([Row(_TABLE, partition, disk_key, record, after)])
        unsynced = self._unsynced.get(disk_key)
        if unsynced is None:
            unsynced = self._unsynced[disk_key] = _Unsynced(known)
        unsynced.latest = record
        unsynced.write_count += 1
        self.forest.change(partition, disk_key, 0 if known is None else checksum(disk_key, known), after)
        self.row_count += known is None
        if future is not self._group:
            self._group, self._group_writes = future, []
            future.add_done_callback(partial(self._synced, self._group_writes))
        self._group_writes.append((disk_key, record, then))

    def _synced(self, writes: list[tuple[str, bytes, Then]], future: Future[None]) -> None:
        ok = not future.cancelled() and future.exception() is None
        now_ms = self._runtime.clock.wall_ms()
        for disk_key, record, then in writes:
            if record:
                unsynced = self._unsynced[disk_key]
                unsynced.write_count -= 1
                if ok:
                    unsynced.durable = record
                    self._remember_time(disk_key, now_ms)
                if not unsynced.write_count:
                    del self._unsynced[disk_key]
                    if unsynced.durable != unsynced.latest:
                        self._forget(disk_key, unsynced)
            then(ok)

    def _forget(self, disk_key: str, failed: _Unsynced) -> None:
        """The last write of this key could not be stored: the forest goes back to what the disk holds."""
        partition = self._ring.partition_of(disk_key.partition("/")[2])
        durable = 0 if failed.durable is None else checksum(disk_key, failed.durable)
        self.forest.change(partition, disk_key, checksum(disk_key, failed.latest), durable)
        self.row_count -= failed.durable is None

    def _remember_time(self, disk_key: str, now_ms: float) -> None:
        self._stored_at.pop(disk_key, None)
        self._stored_at[disk_key] = now_ms
        if len(self._stored_at) > SAMPLE_COUNT_MAX:
            del self._stored_at[next(iter(self._stored_at))]


def _merge(one: State, other: State) -> State:
    if isinstance(one, Siblings):
        assert isinstance(other, Siblings)
        return one.merge(other)
    assert isinstance(other, PnCounter)
    return one.merge(other)


def merge_records(kind: str, one: bytes, other: bytes) -> bytes:
    """The record of the merged state of two records of one kind."""
    if one == other:
        return one
    decode = KINDS[kind].decode
    first, second = decode(one), decode(other)
    merged = _merge(first, second)
    if merged is second:
        return other
    return one if merged is first else encode_state(merged)


def _is_deleted(kind: str, record: bytes) -> bool:
    return kind == KV and not KVS.decode(record).values
