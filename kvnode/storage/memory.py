"""A disk in memory, for tests of components: a commit is durable when the event loop next turns."""

from __future__ import annotations

import asyncio
from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from typing import Any

from kvnode.runtime import ANY, DiskStats, LowBits, Row


class Tables:
    """Rows in sorted tables: what the disks in memory have in common."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, int], dict[str, tuple[bytes, int]]] = {}
        self._keys: dict[tuple[str, int], list[str]] = {}

    def get(self, table: str, partition: int, key: str) -> tuple[bytes, int] | None:
        """See runtime.Disk."""
        return self._rows.get((table, partition), {}).get(key)

    def scan(self, table: str, partition: int, *, after: str = "", limit: int = 1000) -> Sequence[Row]:
        """See runtime.Disk."""
        keys = self._keys.get((table, partition), [])
        first = bisect_right(keys, after)
        rows = self._rows.get((table, partition), {})
        return [Row(table, partition, key, *rows[key]) for key in keys[first : first + limit]]

    def checksums(
        self, table: str, partition: int | None = None, *, low_bits: LowBits = ANY
    ) -> Iterator[tuple[int, str, int]]:
        """See runtime.Disk."""
        mask, wanted = low_bits
        for place in sorted(self._keys):
            if place[0] == table and partition in (None, place[1]):
                for key in self._keys[place]:
                    known = self._rows[place][key][1]
                    if known & mask in wanted:
                        yield place[1], key, known

    def count(self, table: str) -> int:
        """See runtime.Disk."""
        return sum(len(keys) for place, keys in self._keys.items() if place[0] == table)

    def apply(self, rows: Sequence[Row]) -> None:
        """Put or delete these rows."""
        for row in rows:
            place = (row.table, row.partition)
            held, keys = self._rows.setdefault(place, {}), self._keys.setdefault(place, [])
            if row.record is None:
                if held.pop(row.key, None) is not None:
                    keys.remove(row.key)
            else:
                if row.key not in held:
                    insort(keys, row.key)
                held[row.key] = (row.record, row.checksum)

    def rows_of(self, table: str) -> Iterator[tuple[int, str, bytes]]:
        """(partition, key, record) of every row of one table, in order."""
        for known_table, partition in sorted(self._keys):
            if known_table == table:
                for key in self._keys[known_table, partition]:
                    yield partition, key, self._rows[known_table, partition][key][0]

    def keys_of(self, table: str) -> list[str]:
        """All keys of one table."""
        return [key for _, key, _ in self.rows_of(table)]

    def copy(self) -> Tables:
        """A second set of tables with the same rows."""
        twin = Tables()
        twin._rows = {place: dict(rows) for place, rows in self._rows.items()}
        twin._keys = {place: list(keys) for place, keys in self._keys.items()}
        return twin


class MemoryDisk(Tables):
    """runtime.Disk without a disk."""

    def commit(self, rows: Sequence[Row]) -> asyncio.Future[None]:
        """Apply at once, durable at the loop's next turn."""
        self.apply(rows)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        loop.call_soon(_end, future)
        return future

    async def checkpoint(self) -> dict[str, Any]:
        """See runtime.Disk: there is nothing to tidy up."""
        return {}

    def describe(self) -> DiskStats:
        """See runtime.Disk."""
        return DiskStats()


def _end(future: asyncio.Future[None]) -> None:
    """Whoever waited for it may have been cancelled."""
    if not future.done():
        future.set_result(None)
