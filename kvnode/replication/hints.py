"""Hinted handoff: what a replica missed is kept for it, durably, and delivered when it is back.

(DeCandia et al., "Dynamo", 2007, section 4.6.) There is at most one hint for a replica and a key: records merge. The
store is bounded in number and age; what is dropped or expires is found by anti-entropy instead. Hints age by the time
in which this node ran (uptime.py), not by the date: no clock that is set wrong deletes one.
A hint counts towards w only where a sloppy request made this node a stand-in (fallback.py).

Hints follow the ring: what was kept for a node that does not own the key any more is kept for its owners instead.
"""

from __future__ import annotations

from asyncio import Future
from collections import Counter
from typing import Annotated

import msgspec

from kvnode.config import HINT_AGE_MS_MAX, HINT_BYTES_MAX, HINT_COUNT_MAX, HINT_REPLAY_PERIOD_MS
from kvnode.context import NodeContext
from kvnode.messages import UNDECODABLE, Refused, Stored, StoreMany
from kvnode.records.batches import first_batch
from kvnode.records.checksum import checksum
from kvnode.records.records import OnDurable, merge_records
from kvnode.replication.uptime import Uptime
from kvnode.runtime import Row
from kvnode.tombstones.quiescence import Quiescence

_TABLE = "hints"


class Hint(msgspec.Struct, frozen=True, array_like=True):
    """One record that `peer` missed, and since when (on the clock of uptime.py)."""

    peer: str
    kind: str
    key: str
    record: bytes
    since_ms: Annotated[float, msgspec.Meta(ge=0.0, le=2.0**53)]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Hint).decode


class HintStats(msgspec.Struct, frozen=True):
    """How many hints wait for each peer, and what became of all since the start."""

    pending: dict[str, int]
    pending_total: int
    stored_total: int
    delivered_total: int
    expired_total: int
    dropped_total: int


class Hints:
    """The hints that this node keeps. Invariant: memory and disk hold the same hints, oldest first per peer."""

    def __init__(self, context: NodeContext, quiescence: Quiescence) -> None:
        self._runtime = context.runtime
        self._node = context.name
        self._records = context.records
        self._ring = context.ring
        self._rpc = context.rpc
        self._is_alive = context.members.is_alive
        self._quiescence = quiescence
        self._uptime = Uptime(context.runtime)
        self._pending: dict[str, dict[tuple[str, str], Hint]] = {}
        self._partition_counts: Counter[int] = Counter()
        self._count = 0
        self._bytes = 0
        self._follows = (
            False  # after a start: the ring may have changed, and a crash come before the hints had followed
        )
        self.stored_count = 0
        self.delivered_count = 0
        self.expired_count = 0
        self.dropped_count = 0
        quiescence.add_hiding_place(self.count_in)
        context.ring.subscribe(self.follow_ring)

    def open(self) -> None:
        """Load the hints that were kept before a restart."""
        found: list[Hint] = []
        disk = self._runtime.disk
        for partition, disk_key, _ in list(disk.checksums(_TABLE)):
            hint = self._on_disk(partition, disk_key)
            if hint is not None:
                found.append(hint)
            else:
                self._runtime.log("hint_corrupt", level="error", partition=partition, key=disk_key)
                disk.commit([Row(_TABLE, partition, disk_key, None)])
        # A hint of before this clock was kept says the date: then the clock goes on from there.
        self._uptime.open(at_least_ms=max((hint.since_ms for hint in found), default=0.0))
        self._runtime.spawn(self._uptime.run(is_needed=lambda: self._count > 0), "lived time")
        for hint in sorted(found, key=lambda hint: (hint.since_ms, hint.peer, hint.key)):
            self._pending.setdefault(hint.peer, {})[hint.kind, hint.key] = hint
            self._partition_counts[self._ring.partition_of(hint.key)] += 1
            self._count += 1
            self._bytes += len(hint.record)

    def pending(self) -> dict[str, int]:
        """How many hints wait for each peer."""
        return {peer: len(hints) for peer, hints in sorted(self._pending.items()) if hints}

    def describe(self) -> HintStats:
        """For /stats."""
        pending = self.pending()
        return HintStats(
            pending=pending,
            pending_total=sum(pending.values()),
            stored_total=self.stored_count,
            delivered_total=self.delivered_count,
            expired_total=self.expired_count,
            dropped_total=self.dropped_count,
        )

    def count_in(self, partition: int) -> int:
        """How many hints of one partition wait here, for whomever."""
        return self._partition_counts[partition]

    def oldest_ms(self, peer: str) -> float:
        """How long the oldest hint for this peer has been waiting; 0 if there is none."""
        for hint in self._pending.get(peer, {}).values():
            return max(0.0, self._uptime.now_ms - hint.since_ms)
        return 0.0

    def add(self, peer: str, kind: str, key: str, record: bytes) -> bool:
        """Keep a record for a peer that missed it, or for who owns the key by now; False if there is no room."""
        holders = self._ring.holders(self._ring.partition_of(key))
        if peer in holders:
            return self._keep(peer, kind, key, record)
        if self._node in holders:
            self._records.merge_in(kind, key, record, lambda ok: None)
        kept = [self._keep(owner, kind, key, record) for owner in holders if owner != self._node]
        return all(kept)

    def keep(self, peer: str, kind: str, key: str, record: bytes, on_durable: OnDurable) -> None:
        """Keep a record as a stand-in for `peer`; `then` hears once it is durable (True), or that it is not (False)."""
        if peer not in self._ring.holders(self._ring.partition_of(key)) or not self._keep(
            peer, kind, key, record
        ):
            on_durable(False)
            return

        def durable(future: Future[None]) -> None:
            on_durable(not future.cancelled() and future.exception() is None)

        self._runtime.disk.commit([]).add_done_callback(durable)

    def kept(self, kind: str, key: str) -> bytes | None:
        """The merged record of all that is kept here of one key, for whomever; None if nothing is.

        As the disk has it: what it refused is in memory all the same, and delivered from there, but shown to nobody.
        """
        merged: bytes | None = None
        for _, hints in sorted(self._pending.items()):
            waiting = hints.get((kind, key))
            hint = (
                None if waiting is None else self._on_disk(self._ring.partition_of(key), _disk_key(waiting))
            )
            if hint is not None:
                merged = hint.record if merged is None else merge_records(kind, merged, hint.record)
        return merged

    async def durable(self, kind: str, key: str) -> bytes | None:
        """The same, once all of it survives a crash. OSError if that cannot be."""
        kept = self.kept(kind, key)
        await self._runtime.disk.commit([])
        return kept

    def follow_ring(self) -> None:
        """The ring has changed: aim the hints for former owners at the present ones.

        Where the disk refuses to let go of the old ones they are there again, and followed anew (run).
        """
        self._follows = True
        for peer in list(self._pending):
            moved = [
                hint
                for hint in self._pending[peer].values()
                if peer not in self._ring.holders(self._ring.partition_of(hint.key))
            ]
            if moved:
                self._remove(moved).add_done_callback(self._followed)
            for hint in moved:
                self.add(peer, hint.kind, hint.key, hint.record)

    def _followed(self, removed: Future[None]) -> None:
        self._follows = self._follows and not removed.cancelled() and removed.exception() is None

    def _on_disk(self, partition: int, disk_key: str) -> Hint | None:
        """The hint that stands in a row; None if there is no row, or another one than was written."""
        row = self._runtime.disk.get(_TABLE, partition, disk_key)
        return None if row is None or checksum(disk_key, row[0]) != row[1] else _hint_of(row[0])

    def _keep(self, peer: str, kind: str, key: str, record: bytes) -> bool:
        hints = self._pending.setdefault(peer, {})
        partition = self._ring.partition_of(key)
        self._quiescence.disturb(partition)
        known = hints.get((kind, key))
        if known is None and (self._count >= HINT_COUNT_MAX or self._bytes + len(record) > HINT_BYTES_MAX):
            self.dropped_count += 1
            return False
        if known is not None:
            hint = Hint(peer, kind, key, merge_records(kind, known.record, record), known.since_ms)
            self._bytes -= len(known.record)
        else:
            self._count += 1
            self._partition_counts[partition] += 1
            hint = Hint(peer, kind, key, record, round(self._uptime.now_ms, 3))
        hints[kind, key] = hint
        self.stored_count += 1
        self._bytes += len(hint.record)
        disk_key, row = _disk_key(hint), _encode(hint)
        self._runtime.disk.commit([Row(_TABLE, partition, disk_key, row, checksum(disk_key, row))])
        return True

    async def run(self) -> None:
        """Deliver, for ever: whenever a peer with hints is alive, send it the oldest ones."""
        while True:
            await self._runtime.clock.sleep_ms(HINT_REPLAY_PERIOD_MS)
            if not self._follows:
                self.follow_ring()
            for peer in sorted(self._pending):
                self._expire(peer)
                while self._pending[peer] and self._is_alive(peer) and await self._deliver(peer):
                    pass

    async def _deliver(self, peer: str) -> bool:
        """Send one batch; True if the peer has stored it."""
        waiting = self._pending[peer]
        records = first_batch((hint.kind, hint.key, hint.record) for hint in waiting.values())
        batch = [waiting[kind, key] for kind, key, _ in records]
        try:
            answer = await self._rpc.ask(
                peer, lambda id_: StoreMany(id_, 0, "hint", records, self._ring.epoch)
            )
        except TimeoutError:
            return False
        if isinstance(answer, Refused) and answer.too_late:
            self.dropped_count += len(batch)
        elif not isinstance(answer, Stored):
            return False
        else:
            self.delivered_count += len(batch)
        waiting = self._pending[peer]  # the ring may have changed meanwhile
        try:
            await self._remove([hint for hint in batch if waiting.get((hint.kind, hint.key)) is hint])
        except OSError:
            return False  # the disk is full: they are kept, and delivered again
        return True

    def _expire(self, peer: str) -> None:
        oldest_ms = self._uptime.now_ms - HINT_AGE_MS_MAX
        expired = [hint for hint in self._pending[peer].values() if hint.since_ms < oldest_ms]
        self.expired_count += len(expired)
        self._remove(expired)

    def _remove(self, hints: list[Hint]) -> Future[None]:
        for hint in hints:
            del self._pending[hint.peer][hint.kind, hint.key]
            self._bytes -= len(hint.record)
        self._count -= len(hints)
        partitions = [self._ring.partition_of(hint.key) for hint in hints]
        self._partition_counts.subtract(partitions)
        for partition in partitions:
            self._quiescence.disturb(partition)
        rows = [
            Row(_TABLE, partition, _disk_key(hint), None)
            for partition, hint in zip(partitions, hints, strict=True)
        ]

        def removed(future: Future[None]) -> None:
            if not future.cancelled() and future.exception() is not None:
                for hint in hints:  # they are on disk still, and would come back at the next start
                    if (hint.kind, hint.key) not in self._pending.setdefault(hint.peer, {}):
                        self._pending[hint.peer][hint.kind, hint.key] = hint
                        self._bytes += len(hint.record)
                        self._count += 1
                        self._partition_counts[self._ring.partition_of(hint.key)] += 1

        future = self._runtime.disk.commit(rows)
        future.add_done_callback(removed)
        return future


def _hint_of(row: bytes) -> Hint | None:
    """What stands in a row; None if that is no hint."""
    try:
        return _decode(row)
    except UNDECODABLE:
        return None


def _disk_key(hint: Hint) -> str:
    return f"{hint.peer}/{hint.kind}/{hint.key}"
