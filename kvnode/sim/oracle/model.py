"""The model of a version: a write, what its writer had seen, and what it therefore makes obsolete.

Paper: Preguiça et al., "Dotted Version Vectors: Logical Clocks for Optimistic Replication", 2010.
Must not live here: anything of versions/ but the reading of its records. A model that shares code shares faults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kvnode.versions import FORGOTTEN, Context, Version

Dot = tuple[str, int]
"""(store, counter)."""
Stamp = tuple[float, str, int]


@dataclass(slots=True, frozen=True)
class Past:
    """What a writer or a reader had seen.

    Writes of each store up to a counter (vector), single writes (dots), and all versions of mode=lww up to a stamp
    (floor). forgotten: of how many stores the entries were taken away.
    """

    vector: Mapping[str, int]
    dots: frozenset[Dot] = frozenset()
    floor: Stamp | None = None
    forgotten: int = 0

    def covers(self, dot: Dot) -> bool:
        """Whether this write had been seen."""
        return self.vector.get(dot[0], 0) >= dot[1] or dot in self.dots

    @classmethod
    def of(cls, context: Context) -> Past:
        """What a context of the database says."""
        vector = dict(context.vector.entries)
        forgotten = vector.pop(FORGOTTEN, 0)
        dots = frozenset((dot.store, dot.counter) for dot in context.dots)
        return cls(vector, dots, context.floor, forgotten)

    @classmethod
    def of_json(cls, vector: Mapping[str, int], dots: Sequence[str] = (), floor: Stamp | None = None) -> Past:
        """From `issued_under` and `issued_under_dots` of an answer; they do not tell the floor."""
        kept = dict(vector)
        forgotten = kept.pop(FORGOTTEN, 0)
        return cls(kept, frozenset(map(dot_of, dots)), floor, forgotten)

    def says_no_more_than(self, other: Past) -> bool:
        """Whether the other says all of this, too: as pruning takes away, and never adds."""
        return (
            self.vector.items() <= other.vector.items()
            and self.dots <= other.dots
            and self.floor == other.floor
        )


@dataclass(slots=True, frozen=True, eq=False)
class Made:
    """One write of one key, as it was made."""

    dot: Dot
    past: Past
    value: bytes
    timestamp: float
    deleted: bool
    lww: bool

    @property
    def stamp(self) -> Stamp:
        """What mode=lww compares."""
        return (self.timestamp, *self.dot)

    @property
    def floor(self) -> Stamp | None:
        """The greatest stamp of mode=lww among this write and all that its writer had seen."""
        floor = self.past.floor
        return self.stamp if self.lww and (floor is None or floor < self.stamp) else floor

    def supersedes(self, other: Made) -> bool:
        """Whether this write makes the other obsolete."""
        if self.past.covers(other.dot):
            return True
        if not other.lww:
            return False
        floor = self.past.floor
        return (floor is not None and other.stamp <= floor) or (self.lww and other.stamp < self.stamp)

    def same_write(self, other: Made) -> bool:
        """Whether both are one write, whatever their pasts still say."""
        return (self.value, self.timestamp, self.deleted, self.lww) == (
            other.value,
            other.timestamp,
            other.deleted,
            other.lww,
        )

    @classmethod
    def of(cls, version: Version) -> Made:
        """What stands in a record of the database."""
        return cls(
            (version.store, version.counter),
            Past.of(version.past),
            version.value,
            version.timestamp,
            version.deleted,
            version.lww,
        )

    def __str__(self) -> str:
        return name_of(self.dot)


def reader_has_seen(siblings: Sequence[tuple[Dot, Past, Stamp | None]]) -> Past:
    """What somebody has seen who was shown these siblings: each with its past, and its floor."""
    vector: dict[str, int] = {}
    dots: set[Dot] = set()
    floors: list[Stamp] = []
    forgotten = 0
    for dot, past, floor in siblings:
        for store, counter in (*past.vector.items(), dot):
            vector[store] = max(counter, vector.get(store, 0))
        dots |= past.dots
        forgotten = max(forgotten, past.forgotten)
        floors += [floor] if floor is not None else []
    single = frozenset(dot for dot in dots if vector.get(dot[0], 0) < dot[1])
    return Past(vector, single, max(floors, default=None), forgotten)


def dot_of(text: str) -> Dot:
    """The dot that an answer names."""
    store, _, counter = text.rpartition(":")
    return store, int(counter)


def name_of(dot: Dot) -> str:
    """How answers name a dot."""
    return f"{dot[0]}:{dot[1]}"


def past_in(answer: Mapping[str, Any], floor: Stamp | None = None) -> Past:
    """What an answer, or a sibling in it, says that the writer had seen."""
    return Past.of_json(answer["issued_under"], answer.get("issued_under_dots", ()), floor)
