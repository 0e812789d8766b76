"""All that was committed, as readers see it: rows in memory, newest first, over the tables.

A flush may end on its thread at any moment. So the rows in memory are looked at first: what has reached the tables
meanwhile stands there as well, until the event loop hears of the end.

Must not live here: when rows go from one layer to the next (sqlite.py).
"""

from __future__ import annotations

from kvnode.runtime import LowBits, Row
from kvnode.storage.memtable import Memtable, Place
from kvnode.storage.tables import Tables


class ReadView:
    """unlogged: not in the log yet. active: in the segment in use. immutable: in the other one, and being flushed."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.unlogged = Memtable()
        self.active = Memtable()
        self.immutable = Memtable()

    def get(self, table: str, partition: int, key: str) -> tuple[bytes, int] | None:
        """(record, checksum) or None."""
        place = (table, partition)
        for newer in (self.unlogged, self.active, self.immutable):
            row = newer.get(place, key)
            if row is not None:
                return None if row.record is None else (row.record, row.checksum)
        return self._tables.get(table, partition, key)

    def scan(self, table: str, partition: int, after: str, limit: int) -> list[Row]:
        """Rows of one partition in key order, from the first key beyond `after`."""
        newer = self._newer((table, partition))
        while True:
            rows, is_early = self._tables.scan(table, partition, after, limit + len(newer))
            last = rows[-1].key if rows else after
            if newer:
                rows = [row for row in rows if row.key not in newer]
                rows += (
                    row
                    for key, row in newer.items()
                    if row.record is not None and key > after and (key <= last or not is_early)
                )
                rows = sorted(rows)[:limit]
            if rows or not is_early:
                return rows
            after = last  # all that was read has been deleted since

    def checksums(self, table: str, partition: int, low_bits: LowBits) -> list[tuple[int, str, int]]:
        """(partition, key, checksum) of every row of one partition under this mask, in key order."""
        newer = self._newer((table, partition))
        found = self._tables.checksums(table, partition, low_bits)
        if not newer:
            return found
        mask, wanted = low_bits
        found = [each for each in found if each[1] not in newer]
        found += (
            (partition, key, row.checksum)
            for key, row in newer.items()
            if row.record is not None and row.checksum & mask in wanted
        )
        return sorted(found)

    def partitions(self, table: str) -> list[int]:
        """The partitions of which a table may have rows, in order."""
        return sorted(self._places(table) | self._tables.partitions(table))

    def count(self, table: str) -> int:
        """How many rows a table has."""
        with self._tables.snapshot():
            count = self._tables.count(table)
            for partition in self._places(table):
                for key, row in self._newer((table, partition)).items():
                    was_there = self._tables.get(table, partition, key) is not None
                    count += (row.record is not None) - was_there
        return count

    def _places(self, table: str) -> set[int]:
        return {p for each in (self.unlogged, self.active, self.immutable) for p in each.places(table)}

    def _newer(self, place: Place) -> dict[str, Row]:
        return {**self.immutable.at(place), **self.active.at(place), **self.unlogged.at(place)}
