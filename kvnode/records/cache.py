"""The durable records of the keys that were used last, so that a hot key costs no look at the disk.

Each entry says exactly what the disk holds: it is put here when a write is durable or a row was read and verified,
and discarded when the row goes. What is on its way to disk is not here (records.py keeps that apart).

Entries live in two generations. When the young one is full it becomes the old one, and what was old is forgotten;
whatever is asked for in time becomes young again. That is nearly as good as forgetting the least recently used one,
and costs no bookkeeping per use.
"""

from __future__ import annotations

from typing import NamedTuple

from kvnode.config import CACHE_BYTES_MAX

_OVERHEAD_BYTES = 400  # of an entry beyond its record, about


class Known(NamedTuple):
    """A durable record. stored_at: wall ms at which it became so; None: before this process, or long ago."""

    record: bytes
    checksum: int
    stored_at: float | None = None


class RecordCache:
    """Durable records by disk key. Invariant: each generation takes at most CACHE_BYTES_MAX / 2 and one record."""

    __slots__ = ("_old", "_young", "_young_bytes")

    def __init__(self) -> None:
        self._young: dict[str, Known] = {}
        self._old: dict[str, Known] = {}
        self._young_bytes = 0

    def get(self, disk_key: str) -> Known | None:
        """What is durable under this key, if it is remembered."""
        known = self._young.get(disk_key)
        if known is None:
            known = self._old.get(disk_key)
            if known is not None:
                self.put(disk_key, known)
        return known

    def put(self, disk_key: str, known: Known) -> None:
        """This is durable now."""
        self._young[disk_key] = known
        self._young_bytes += len(known.record) + _OVERHEAD_BYTES
        if self._young_bytes > CACHE_BYTES_MAX // 2:
            self._old, self._young, self._young_bytes = self._young, {}, 0

    def discard(self, disk_key: str) -> None:
        """The row goes, or is not to be trusted."""
        self._young.pop(disk_key, None)
        self._old.pop(disk_key, None)
