"""PN-counters: counters that merge (Shapiro et al., "A comprehensive study of CRDTs", 2011, section 3.1.3).

Every actor (one writing process) keeps its own running totals of increments and decrements of a key, which never
decrease; merging takes the maximum of each. So a total may be sent again, late, twice or through another node
without being counted twice.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

Total = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
Entry = tuple[str, Total, Total]
"""(actor, increments, decrements)."""


class PnCounter(msgspec.Struct, frozen=True, array_like=True):
    """The totals of every actor. Invariant: sorted by actor, actors differ, totals are at least 0."""

    entries: tuple[Entry, ...] = ()

    @classmethod
    def of(cls, actor: str, increments: int, decrements: int = 0) -> PnCounter:
        """A counter that knows one actor."""
        return cls(((actor, increments, decrements),))

    @property
    def value(self) -> int:
        """Increments minus decrements, over all actors."""
        return sum(increments - decrements for _, increments, decrements in self.entries)

    def totals(self, actor: str) -> tuple[int, int]:
        """The (increments, decrements) of one actor; (0, 0) if it is not known."""
        for known, increments, decrements in self.entries:
            if known == actor:
                return increments, decrements
        return 0, 0

    def merge(self, other: PnCounter) -> PnCounter:
        """The counter that knows what either knows: commutative, associative, idempotent."""
        if self.entries == other.entries or not other.entries:
            return self
        if not self.entries:
            return other
        merged = {entry[0]: entry for entry in self.entries}
        for actor, increments, decrements in other.entries:
            _, known_increments, known_decrements = merged.get(actor, (actor, 0, 0))
            merged[actor] = (actor, max(known_increments, increments), max(known_decrements, decrements))
        return PnCounter(tuple(merged[actor] for actor in sorted(merged)))
