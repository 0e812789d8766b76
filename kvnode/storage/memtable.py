"""The memtable: rows that are in the log and not in the tables yet, by table and partition.

Readers look here first: what stands here is newer than what the tables say.
Paper: Chang et al., "Bigtable", 2006, section 5.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from kvnode.records.checksum import checksum
from kvnode.runtime import Row

STEP_ROWS = 64
STEP_BYTES = 131_072
Place = tuple[str, int]
"""(table, partition)."""


class Memtable:
    """The newest row of each key; a row without a record says that the key was deleted.

    row_count: how many rows were put, also those that were replaced since.
    """

    __slots__ = ("_places", "row_count")

    def __init__(self) -> None:
        self._places: dict[Place, dict[str, Row]] = {}
        self.row_count = 0

    def put(self, rows: Iterable[Row]) -> None:
        """These are newer than what is here."""
        for row in rows:
            place = row[:2]
            keys = self._places.get(place)
            if keys is None:
                keys = self._places[place] = {}
            keys[row[2]] = row
            self.row_count += 1

    def get(self, place: Place, key: str) -> Row | None:
        """The row of one key, or None."""
        keys = self._places.get(place)
        return None if keys is None else keys.get(key)

    def at(self, place: Place) -> dict[str, Row]:
        """{key: row} of one partition of one table."""
        return self._places.get(place, {})

    def places(self, table: str) -> set[int]:
        """The partitions of a table of which anything is here."""
        return {partition for name, partition in self._places if name == table}

    def rows(self) -> Iterator[Row]:
        """All rows, each key once."""
        return chain.from_iterable(keys.values() for keys in self._places.values())

    def in_order(self) -> Iterator[tuple[str, list[Row]]]:
        """(table, some rows in key order) of each place, one after the other: the order in which tables keep them.

        Some: at most STEP_ROWS, and no more than STEP_BYTES and one row.
        """
        for place in sorted(self._places):
            some: list[Row] = []
            room = STEP_BYTES
            for row in sorted(self._places[place].values()):
                some.append(row)
                room -= len(row.record or b"")
                if len(some) == STEP_ROWS or room < 0:
                    yield place[0], some
                    some, room = [], STEP_BYTES
            if some:
                yield place[0], some


def with_checksums(rows: Iterable[Row]) -> Iterator[Row]:
    """The same rows, those with a record with its checksum."""
    for row in rows:
        if row.checksum or row.record is None:
            yield row
        else:
            yield row._replace(checksum=checksum(row.key, row.record))
