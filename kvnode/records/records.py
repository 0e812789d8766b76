"""What this replica holds: merges records in, makes them durable, keeps the Merkle forest true.

A record is the canonical encoding of one key's state (versions/). Two states of a key are told apart: the *latest*,
into which everything that arrived has been merged, and the *durable*, which survives a crash. Writes build on the
latest; readers are shown only the durable (DESIGN: a read sees only what is durable at the replica that answers).

Must not live here: quorums and peers.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Iterable
from functools import partial

import msgspec

from kvnode.messages import KV
from kvnode.records.cache import Known, RecordCache
from kvnode.records.checksum import checksum
from kvnode.records.kinds import COUNTERS as COUNTERS
from kvnode.records.kinds import KINDS, Mutation, is_shown, is_whole
from kvnode.records.kinds import KVS as KVS
from kvnode.records.kinds import encode_state as encode_state
from kvnode.records.kinds import merge_records as merge_records
from kvnode.records.merkle import LEAF_COUNT, MerkleForest
from kvnode.ring import Placement, Ring
from kvnode.runtime import Row, Runtime

OnDurable = Callable[[bool], None]
"""Called when a write is durable (True) or could not be made so (False)."""
_Write = tuple[str, bytes, int, OnDurable]
"""(disk key, record, its checksum, whom to tell); an empty record only waits for the group it stands in."""

_TABLE = "records"


class _Unsynced:
    """A key with writes on their way to disk. Invariant: write_count of them are not durable yet.

    checksum: of the latest. group, writes: the group of its last write, and all that is told when that group is synced.
    """

    __slots__ = ("checksum", "durable", "group", "latest", "write_count", "writes")

    def __init__(self, durable: bytes | None) -> None:
        self.durable = durable
        self.latest: bytes = b""
        self.checksum = 0
        self.write_count = 0
        self.group: Future[None] | None = None
        self.writes: list[_Write] = []


class Records:
    """The records of one replica, above one Disk.

    on_lost: told, before a damaged row is dropped, that what was acknowledged of this partition may be missing here.
    before_write: called before a record, or that a damaged one goes, is committed.
    """

    def __init__(
        self,
        runtime: Runtime,
        ring: Ring | Placement,
        on_lost: Callable[[int], None] = lambda partition: None,
        before_write: Callable[[], None] = lambda: None,
    ) -> None:
        self._forgotten_listeners: list[Callable[[], None]] = []
        self._on_lost = on_lost
        self._before_write = before_write
        self._disk = runtime.disk
        self._runtime = runtime
        self._ring = ring
        self._unsynced: dict[str, _Unsynced] = {}
        self._group: Future[None] | None = None
        self._group_writes: list[_Write] = []
        self._cache = RecordCache()
        self._refused: dict[str, tuple[int, int]] = {}  # damaged rows not deleted yet: partition, checksum
        self.forest = MerkleForest(ring.partitions, self._checksums_in)
        self.row_count = 0
        self.written_count = 0
        self.corrupt_count = 0

    def open(self) -> None:
        """Count what is on disk."""
        self.row_count = self._disk.count(_TABLE)

    def on_forgotten(self, listener: Callable[[], None]) -> None:
        """From now on `listener` is called whenever this replica has forgotten what it wrote (damaged, not stored)."""
        self._forgotten_listeners.append(listener)

    def _has_forgotten(self) -> None:
        for listener in self._forgotten_listeners:
            listener()

    async def build_forest(self, *, is_asked: bool = False) -> None:
        """See MerkleForest.build_all."""
        await self.forest.build_all(self._runtime.clock, is_asked=is_asked)

    def _checksums_in(self, partition: int) -> list[int]:
        refused = self._refused_in(partition)
        return [known for _, _, known in self._disk.checksums(_TABLE, partition) if known not in refused]

    def _refused_in(self, partition: int) -> set[int]:
        return {known for place, known in self._refused.values() if place == partition}

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
        known = self._cache.get(f"{kind}/{key}")
        return None if known is None else known.stored_at

    @property
    def partition_count(self) -> int:
        """How many partitions there are."""
        return self._ring.partitions

    def keys_in(
        self, partition: int, kind: str, prefix: str, after: str, limit: int, *, is_inclusive: bool
    ) -> tuple[list[tuple[str, bool]], int, bool]:
        """The next keys of one partition that start with `prefix`, each with whether it is shown: whole, not deleted.

        Then how many rows were read, and whether there may be more. is_inclusive: `after` itself counts as beyond it.
        """
        head = f"{kind}/"
        start = head + after
        found = self._disk.get(_TABLE, partition, start) if is_inclusive else None
        first = [] if found is None else [Row(_TABLE, partition, start, *found)]
        rows = [*first, *self._disk.scan(_TABLE, partition, after=start, limit=limit)]
        wanted = head + prefix
        ours = [row for row in rows if row.key.startswith(wanted)]
        has_more = bool(rows) and len(ours) == len(rows)
        return [(row.key[len(head) :], is_shown(kind, row)) for row in ours], len(rows), has_more

    def under(self, partition: int, leaves: Iterable[int], *, bits: int = LEAF_COUNT - 1) -> dict[int, str]:
        """{checksum: disk key} of what stands under these Merkle leaves; bits=-1: of what has these checksums."""
        refused = self._refused_in(partition)
        found = self._disk.checksums(_TABLE, partition, low_bits=(bits, tuple(leaves)))
        return {known: disk_key for _, disk_key, known in found if known not in refused}

    def values_in(self, partition: int, after: str, limit: int) -> tuple[list[Row], str | None]:
        """The next values of a partition, tombstones too, and the key to go on after (None: that was the last)."""
        start = max(after, f"{KV}/")
        rows = self._disk.scan(_TABLE, partition, after=start, limit=limit)
        values = [row for row in rows if row.key.startswith(f"{KV}/")]
        return values, values[-1].key if values else None

    def synced(self) -> Future[None]:
        """Resolves when all that was written so far is durable; OSError if it cannot be."""
        return self._disk.commit([])

    def holds(self, partition: int, disk_key: str, known: int) -> bool:
        """Whether a record is held, durably, that has this checksum."""
        row = self._disk.get(_TABLE, partition, disk_key)
        is_record = disk_key not in self._unsynced and disk_key not in self._refused
        return row is not None and row[1] == known and is_record

    def held_in(self, partition: int) -> dict[str, int]:
        """{disk key: checksum} of all that is held of one partition."""
        return {disk_key: known for _, disk_key, known in self._disk.checksums(_TABLE, partition)}

    def drop(self, partition: int, rows: dict[str, int]) -> Future[None]:
        """Let go of these records, each only if it still has this checksum and no write of it is on its way.

        Damaged rows that could not be deleted yet go with them: they are counted nowhere any more.
        """
        gone: list[Row] = []
        counted: dict[str, int] = {}
        for disk_key, known in rows.items():
            row = self._disk.get(_TABLE, partition, disk_key)
            if row is None or row[1] != known or disk_key in self._unsynced:
                continue
            gone.append(Row(_TABLE, partition, disk_key, None))
            if disk_key not in self._refused:
                counted[disk_key] = known
                self.forest.change(partition, known, 0)
                self.row_count -= 1
                self._cache.discard(disk_key)
        future = self._disk.commit(gone)

        def dropped(future: Future[None]) -> None:
            if future.cancelled():
                return
            if future.exception() is None:
                for row in gone:
                    self._refused.pop(row.key, None)
                return
            for disk_key, known in counted.items():
                if (held := self._disk.get(_TABLE, partition, disk_key)) and held[1] == known:
                    self.forest.change(partition, 0, known)
                    self.row_count += 1

        future.add_done_callback(dropped)
        return future

    def _read(self, key: str, disk_key: str) -> bytes | None:
        recent = self._cache.get(disk_key)
        if recent is not None:
            return recent.record
        partition = self._ring.partition_of(key)
        row = self._disk.get(_TABLE, partition, disk_key)
        if row is None:
            return None
        record, known = row
        if not is_whole(disk_key, record, known):
            self._refuse_corrupt(partition, disk_key, known)
            return None
        self._cache.put(disk_key, Known(record, known))
        return record

    def verify(self, partition: int, after: str, limit: int) -> tuple[int, str | None]:
        """Look at the next rows of a partition, and drop those that are not what was written.

        Returns how many were looked at, and the key to go on after (None: that was the last).
        """
        rows = self._disk.scan(_TABLE, partition, after=after, limit=limit)
        for row in rows:
            assert row.record is not None
            home = self._ring.partition_of(row.key.partition("/")[2])
            if home != partition or not is_whole(row.key, row.record, row.checksum):
                self._refuse_corrupt(partition, row.key, row.checksum)
                self._on_lost(home)  # which is another one if it was the partition that was damaged
        return len(rows), rows[-1].key if rows else None

    def _refuse_corrupt(self, partition: int, disk_key: str, known: int) -> None:
        """A row that is not what was written is no record: report it, drop it, let the other replicas rebuild it."""
        if disk_key in self._refused:
            return  # it could not be deleted yet: the disk is full
        self._cache.discard(disk_key)
        self.corrupt_count += 1
        self._runtime.log("record_corrupt", level="error", partition=partition, key=disk_key)
        self._has_forgotten()
        self._on_lost(partition)
        self.forest.change(partition, known, 0)
        self.row_count -= 1
        self._refused[disk_key] = partition, known

        def deleted(future: Future[None]) -> None:
            if not future.cancelled() and future.exception() is None:
                self._refused.pop(disk_key, None)

        self._before_write()
        self._disk.commit([Row(_TABLE, partition, disk_key, None)]).add_done_callback(deleted)

    # --- writing ------------------------------------------------------------------------------------------

    def merge_in(
        self, kind: str, key: str, record: bytes, on_durable: OnDurable, *, base_checksum: int = 0
    ) -> None:
        """Merge a record that a peer sent; `on_durable` is called when the merged state is durable.

        base_checksum: the checksum of the record that the peer made this one from, 0 if it does not say. If that is
        what is held here too, nothing needs merging: the peer has done it.
        Raises msgspec.MsgspecError if the record is not one of this kind.
        """
        if kind not in KINDS:
            raise msgspec.ValidationError(f"no such kind of record: {kind[:32]!r}")
        disk_key = f"{kind}/{key}"
        unsynced = self._unsynced.get(disk_key)
        known = self._read(key, disk_key) if unsynced is None else unsynced.latest
        if known is None:
            KINDS[kind].decode(record)  # or it is none
            merged = record
        elif base_checksum and base_checksum == self._checksum_of_latest(disk_key, known, unsynced):
            merged = record
        else:
            merged = merge_records(kind, known, record)
        if merged != known:
            self._write(key, disk_key, merged, on_durable, known, unsynced)
        elif unsynced is None:
            on_durable(True)
        elif unsynced.group is not None and unsynced.group.done() and unsynced.group.exception():
            self._write(key, disk_key, merged, on_durable, known, unsynced)  # that write failed: try again
        else:
            unsynced.writes.append((disk_key, b"", 0, on_durable))  # wait for the sync that is on its way

    def write(self, mutation: Mutation, on_durable: OnDurable) -> int:
        """Make its record the latest state, where its base was; `on_durable` is called when it is durable.

        Returns the checksum of the base; 0 if there was none, or if the record was merged in.
        """
        kind, key, record, base = mutation.kind, mutation.key, mutation.record, mutation.base
        if record == base:
            self.merge_in(kind, key, record, on_durable)
            return 0
        disk_key = f"{kind}/{key}"
        return self._write(key, disk_key, record, on_durable, base, self._unsynced.get(disk_key))

    def _write(
        self,
        key: str,
        disk_key: str,
        record: bytes,
        on_durable: OnDurable,
        known: bytes | None,
        unsynced: _Unsynced | None,
    ) -> int:
        self.written_count += 1
        partition = self._ring.partition_of(key)
        after = checksum(disk_key, record)
        self._before_write()
        future = self._disk.commit((Row(_TABLE, partition, disk_key, record, after),))
        before = self._checksum_of_latest(disk_key, known, unsynced)
        if unsynced is None:
            unsynced = self._unsynced[disk_key] = _Unsynced(known)
        unsynced.latest, unsynced.checksum = record, after
        unsynced.write_count += 1
        self.forest.change(partition, before, after)
        self.row_count += known is None
        if future is not self._group:
            self._group, self._group_writes = future, []
            future.add_done_callback(partial(self._synced, self._group_writes))
        self._group_writes.append((disk_key, record, after, on_durable))
        unsynced.group, unsynced.writes = future, self._group_writes
        return before

    def _checksum_of_latest(self, disk_key: str, latest: bytes | None, unsynced: _Unsynced | None) -> int:
        return self._checksum_of(disk_key, latest) if unsynced is None else unsynced.checksum

    def _checksum_of(self, disk_key: str, durable: bytes | None) -> int:
        if durable is None:
            return 0
        recent = self._cache.get(disk_key)
        return checksum(disk_key, durable) if recent is None else recent.checksum

    def _synced(self, writes: list[_Write], future: Future[None]) -> None:
        ok = not future.cancelled() and future.exception() is None
        now_ms = self._runtime.clock.wall_ms()
        for disk_key, record, after, on_durable in writes:
            if record:
                unsynced = self._unsynced[disk_key]
                unsynced.write_count -= 1
                if ok:
                    unsynced.durable = record
                    self._refused.pop(disk_key, None)
                    self._cache.put(disk_key, Known(record, after, now_ms))
                if not unsynced.write_count:
                    del self._unsynced[disk_key]
                    if unsynced.durable != unsynced.latest:
                        self._forget(disk_key, unsynced)
            on_durable(ok)

    def _forget(self, disk_key: str, failed: _Unsynced) -> None:
        """The last write of this key could not be stored: the forest goes back to what the disk holds."""
        partition = self._ring.partition_of(disk_key.partition("/")[2])
        self.forest.change(partition, failed.checksum, self._checksum_of(disk_key, failed.durable))
        self.row_count -= failed.durable is None
        self._has_forgotten()
