"""Siblings: the versions of one key of which none was written having seen another.

This is the dotted version vector of Preguiça et al. ("Dotted Version Vectors: Logical Clocks for Optimistic
Replication", 2010) in its plainest form. Each version carries its own dot and its *past*: what its writer had seen.
A version is obsolete exactly when some other version's past covers its dot. So merging two replicas' states is:
put all versions together and leave out the obsolete ones. Nothing else is needed, and nothing else is kept.

A past would grow by one entry for every store that ever wrote the key. So what it says of a store may be taken away
where no write of that store is left that it could cover; of one version whose past is shorter at one replica than at
another, merging keeps what both say.

Last-writer-wins (`mode=lww`) fits in the same frame: a past has a second part, the *floor*, the greatest
(timestamp, dot) among the last-writer-wins versions seen; it makes every lww version at or below it obsolete,
whoever wrote it. This is what a skewed clock breaks.

Must not live here: who issues dots, and where states are stored or sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import structs

from kvnode.versions.dots import Counter, DateMs, Dot, StoreId, node_of
from kvnode.versions.vectors import FORGOTTEN, VersionVector

Stamp = tuple[DateMs, StoreId, Counter]
"""What last-writer-wins compares: the coordinator's wall clock in ms, then the dot."""


class Context(msgspec.Struct, frozen=True, array_like=True):
    """What a writer has seen: a version vector, the floor of the last-writer-wins versions, and single dots.

    dots: writes seen without all the earlier ones of their store; a client's own blind write beside siblings.
    Invariant: dots are sorted, differ, and none is covered by the vector.
    """

    vector: VersionVector = VersionVector()
    floor: Stamp | None = None
    dots: tuple[Dot, ...] = ()

    def covers_dot(self, dot: Dot) -> bool:
        """Whether the write event `dot` was seen."""
        return self.vector.covers(dot) or (bool(self.dots) and dot in self.dots)

    def covers(self, version: Version) -> bool:
        """Whether `version` was seen, so that a write under this context supersedes it."""
        if self.covers_dot(version.dot):
            return True
        return version.lww and self.floor is not None and version.stamp <= self.floor

    def merge(self, other: Context) -> Context:
        """The least context that has seen what either has."""
        floor = self.floor
        if floor is None or (other.floor is not None and other.floor > floor):
            floor = other.floor
        return Context.of(self.vector.merge(other.vector), floor, self.dots + other.dots)

    @classmethod
    def of(cls, vector: VersionVector, floor: Stamp | None, dots: tuple[Dot, ...] = ()) -> Context:
        """The context of these parts, in canonical form."""
        if dots:
            dots = tuple(sorted({dot for dot in dots if not vector.covers(dot)}))
        return cls(vector, floor, dots)

    def without(self, events: Mapping[StoreId, int]) -> Context:
        """What is left to say when nothing is left of these events that it would have to cover."""
        dots = tuple(dot for dot in self.dots if dot.counter > events.get(dot.store, 0))
        return Context(self.vector.without(events), self.floor, dots)

    def common(self, other: Context) -> Context:
        """What is left of one and the same context when from two copies of it different stores were taken away."""
        dots = tuple(dot for dot in self.dots if dot in other.dots)
        floors = [floor for floor in (self.floor, other.floor) if floor is not None]
        return Context(self.vector.common(other.vector), max(floors, default=None), dots)

    @property
    def entry_count(self) -> int:
        """How many stores, and single writes, it names."""
        return len(self.vector.entries) + len(self.dots)

    @property
    def bytes_about(self) -> int:
        """How long it is as clients hold it."""
        named = sum(len(store) for store, _ in (*self.vector.entries, *self.dots))
        return (named + 6 * self.entry_count) * 4 // 3

    def as_vector(self) -> VersionVector:
        """The least vector that covers all that was seen: for showing; it may cover a little more."""
        vector = self.vector
        for dot in self.dots:
            vector = vector.with_dot(dot)
        return vector


class Version(msgspec.Struct, frozen=True, array_like=True):
    """One write of one key.

    store, counter: its dot. past: what its writer had seen. value: the JSON text that was written, as bytes.
    timestamp: the coordinator's wall clock in ms. deleted: a tombstone. lww: written with mode=lww.
    """

    store: StoreId
    counter: Counter
    past: Context
    value: bytes
    timestamp: DateMs
    deleted: bool = False
    lww: bool = False

    @property
    def dot(self) -> Dot:
        """The unique name of this write."""
        return Dot(self.store, self.counter)

    @property
    def node(self) -> str:
        """The node that coordinated this write."""
        return node_of(self.store)

    @property
    def stamp(self) -> Stamp:
        """What orders last-writer-wins versions, and picks the sibling to show."""
        return (self.timestamp, self.store, self.counter)

    @property
    def clock(self) -> VersionVector:
        """The vector of this write: its past and its own dot."""
        return self.past.as_vector().with_event(self.store, self.counter)

    @property
    def floor(self) -> Stamp | None:
        """The greatest last-writer-wins stamp among this version and its past."""
        floor = self.past.floor
        return self.stamp if self.lww and (floor is None or self.stamp > floor) else floor

    @property
    def seen(self) -> Context:
        """What a reader has seen who was shown this version with all its siblings."""
        return Context.of(self.past.vector.with_event(self.store, self.counter), self.floor, self.past.dots)

    @property
    def seen_alone(self) -> Context:
        """What its writer has seen, who was shown none of its siblings: nothing that is not in `past`."""
        return Context.of(self.past.vector, self.floor, (*self.past.dots, self.dot))

    def agree(self, other: Version) -> Version:
        """One write as two replicas have it: of its past what both still say. Which is which makes no difference."""
        if self == other:
            return self
        first, second = sorted((self, other), key=_content)
        past = first.past.common(second.past)
        return second if past == second.past else structs.replace(second, past=past)

    def supersedes(self, other: Version) -> bool:
        """Whether this write made `other` obsolete."""
        if self.past.vector.covers_event(other.store, other.counter):
            return True
        if self.past.dots and other.dot in self.past.dots:
            return True
        if not other.lww:
            return False
        return self.past.covers(other) or (self.lww and other.stamp < self.stamp)


class Siblings(msgspec.Struct, frozen=True, array_like=True):
    """The state of one key at one replica.

    Invariant: versions are sorted by dot, their dots differ, and none supersedes another.
    """

    versions: tuple[Version, ...] = ()

    @property
    def context(self) -> Context:
        """What a reader of this state has seen."""
        if not self.versions:
            return Context()
        context = self.versions[0].seen
        for version in self.versions[1:]:
            context = context.merge(version.seen)
        return context

    @property
    def values(self) -> tuple[Version, ...]:
        """The versions that are not tombstones."""
        return tuple(version for version in self.versions if not version.deleted)

    @property
    def shown(self) -> Version | None:
        """The sibling a GET shows as `value`: the greatest stamp; for display only. None if all are deleted."""
        return max(self.values, key=lambda version: version.stamp, default=None)

    def write(
        self,
        dot: Dot,
        value: bytes,
        *,
        context: Context,
        timestamp: float,
        deleted: bool = False,
        lww: bool = False,
    ) -> tuple[Siblings, Version]:
        """The state after one write under `context`, and the new version.

        Raises ValueError if the dot is not new to this state (a programmer's error: dots are never reused).
        """
        if context.covers_dot(dot):
            raise ValueError(f"dot {dot} was issued before")
        version = Version(dot.store, dot.counter, context, value, timestamp, deleted, lww)
        if all(version.supersedes(older) for older in self.versions):
            return Siblings((version,)), version
        if any(older.store == dot.store and older.counter == dot.counter for older in self.versions):
            raise ValueError(f"dot {dot} was issued before")
        return Siblings(_without_obsolete([*self.versions, version])), version

    @property
    def past_events(self) -> dict[StoreId, int]:
        """Of which stores the writers of the versions had seen writes, how many, where no version here is of them.

        Single dots do not count: they say nothing of the writes before them.
        """
        events: dict[StoreId, int] = {}
        for version in self.versions:
            for store, counter in version.past.vector.entries:
                events[store] = max(counter, events.get(store, 0))
        for store in (FORGOTTEN, *(version.store for version in self.versions)):
            events.pop(store, None)
        return events

    def without(self, events: Mapping[StoreId, int]) -> Siblings:
        """The same versions, which do not say any more that their writers had seen these events.

        Allowed only where none of them is left anywhere (tombstones/pruning.py); a store of a version here is spared.
        """
        past = self.past_events
        gone = {store: counter for store, counter in events.items() if store in past}
        versions = (structs.replace(version, past=version.past.without(gone)) for version in self.versions)
        return Siblings(tuple(versions)) if gone else self

    def has_taken(self, version: Version) -> bool:
        """Whether a version that was just written into this state is in it, or gave way as mode=lww has it: to a
        greater stamp. If not, something there claims to have seen it before it was written."""
        if version in self.versions:
            return True
        floors = [other.floor for other in self.versions]
        return version.lww and any(floor is not None and floor > version.stamp for floor in floors)

    def context_for_writer(self, version: Version) -> Context:
        """What a client may pass on that has just written `version` into this state.

        Not `version.seen` if siblings remain, or if it gave way itself (mode=lww): that covers the earlier dots of its
        store, and among them may be one that the client was never shown, and would replace.
        """
        return version.seen if self.versions == (version,) else version.seen_alone

    def merge(self, other: Siblings) -> Siblings:
        """The state that has seen both: commutative, associative, idempotent."""
        if not other.versions:
            return self
        if not self.versions:
            return other
        if len(other.versions) == 1 and all(
            other.versions[0].supersedes(version) for version in self.versions
        ):
            return other  # the common case: a newer write arrives
        if self.versions == other.versions:
            return self
        together = {version.dot: version for version in self.versions}
        for version in other.versions:
            known = together.get(version.dot)
            together[version.dot] = version if known is None else known.agree(version)
        return Siblings(_without_obsolete(together.values()))


def _content(version: Version) -> tuple[float, bytes, bool, bool]:
    return version.timestamp, version.value, version.deleted, version.lww


def _without_obsolete(versions: Iterable[Version]) -> tuple[Version, ...]:
    candidates = sorted(versions, key=lambda version: (version.store, version.counter))
    return tuple(
        version
        for version in candidates
        if not any(other is not version and other.supersedes(version) for other in candidates)
    )
