"""Version vectors: for each store, how many of its write events have been seen (Parker et al., 1983)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kvnode.versions.dots import Counter, Dot, StoreId

FORGOTTEN: StoreId = "~"
"""Under this name stands of how many stores the entries were taken away, since nothing of them is left anywhere that a
vector would have to cover (tombstones/pruning.py). No store is called so."""


class VersionVector(msgspec.Struct, frozen=True, array_like=True):
    """An immutable map store -> counter, kept as sorted pairs so that equal vectors encode to equal bytes.

    Invariant: entries are sorted by store, stores differ, counters are at least 1.
    """

    entries: tuple[tuple[StoreId, Counter], ...] = ()

    @classmethod
    def of(cls, counters: Mapping[StoreId, int]) -> VersionVector:
        """The vector with these counters; zeros are left out."""
        return cls(tuple(sorted((store, count) for store, count in counters.items() if count > 0)))

    def counter(self, store: StoreId) -> int:
        """How many events of `store` this vector has seen; 0 if none."""
        for known, count in self.entries:
            if known == store:
                return count
        return 0

    def covers(self, dot: Dot) -> bool:
        """Whether the event `dot` is among those seen."""
        return self.covers_event(dot.store, dot.counter)

    def covers_event(self, store: StoreId, counter: int) -> bool:
        """The same for a dot given by its parts (the hot path makes no Dot for it)."""
        for known, count in self.entries:
            if known == store:
                return count >= counter
        return False

    def descends(self, other: VersionVector) -> bool:
        """Whether every event that `other` has seen is seen here too."""
        return self.entries == other.entries or all(
            self.counter(store) >= count for store, count in other.entries
        )

    def merge(self, other: VersionVector) -> VersionVector:
        """The least vector that descends both (pointwise maximum)."""
        if not other.entries or self.entries == other.entries:
            return self
        if not self.entries:
            return other
        merged = dict(self.entries)
        for store, count in other.entries:
            if merged.get(store, 0) < count:
                merged[store] = count
        return VersionVector(tuple(sorted(merged.items())))

    def with_dot(self, dot: Dot) -> VersionVector:
        """This vector after it has also seen `dot` and all earlier events of its store."""
        return self.with_event(dot.store, dot.counter)

    def with_event(self, store: StoreId, counter: int) -> VersionVector:
        """The same for a dot given by its parts."""
        others = []
        for entry in self.entries:
            if entry[0] != store:
                others.append(entry)
            elif entry[1] >= counter:
                return self
        others.append((store, counter))
        others.sort()
        return VersionVector(tuple(others))

    def without(self, events: Mapping[StoreId, int]) -> VersionVector:
        """This vector without the entries that cover no more than these; it says how many are gone."""
        kept = {store: count for store, count in self.entries if count > events.get(store, 0)}
        gone = len(self.entries) - len(kept)
        return VersionVector.of({**kept, FORGOTTEN: kept.get(FORGOTTEN, 0) + gone}) if gone else self

    def common(self, other: VersionVector) -> VersionVector:
        """What is left of one and the same vector when from two copies of it different entries were taken away."""
        theirs = dict(other.entries)
        common = {store: min(count, theirs.get(store, 0)) for store, count in self.entries}
        common[FORGOTTEN] = max(self.counter(FORGOTTEN), other.counter(FORGOTTEN))
        return VersionVector.of(common)

    def as_dict(self) -> dict[StoreId, int]:
        """A plain dictionary, for showing."""
        return dict(self.entries)
