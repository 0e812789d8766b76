"""What nodes say to each other to find out what may be forgotten (see tombstones/reaper.py)."""

from __future__ import annotations

import msgspec

from kvnode.versions.bounds import Checksum, Count, DurationMs, Id, Place
from kvnode.versions.dots import Counter

Tombstone = tuple[Place, str, Checksum]
"""(partition, key, checksum): a record of a key that says nothing but that the key was deleted."""


Events = tuple[tuple[str, Counter], ...]
"""(store, counter): of these stores' writes the first so many."""
Prunable = tuple[Place, str, Events]
"""(partition, key, events): no version need say any more that its writer had seen these (tombstones/pruning.py)."""
Reapable = Tombstone | Prunable


class AskReapable(msgspec.Struct, frozen=True, array_like=True, tag="ask-reapable"):
    """May these tombstones go, for all that you know? And these entries of contexts?

    Answered by SweepAnswer, and only in the same settled epoch.
    """

    id: Id
    epoch: Count
    tombstones: tuple[Tombstone, ...]
    prunable: tuple[Prunable, ...] = ()


class ReapableAnswer(msgspec.Struct, frozen=True, array_like=True, tag="reapable-answer"):
    """lacking: the indices of those tombstones that I should hold and do not, durably and exactly so; after them, of
    what is prunable, those that my version does not cover. quiet_ms: for each of their partitions, for how long nothing
    here could have brought back an older value (tombstones/quiescence.py). oldest_ms: how long the oldest request has
    been under way here. store: the store id that I write under now.
    """

    id: Id
    lacking: tuple[Place, ...]
    quiet_ms: tuple[tuple[Place, DurationMs], ...]
    oldest_ms: DurationMs
    store: str = ""


class DropTombstones(msgspec.Struct, frozen=True, array_like=True, tag="drop-tombstones"):
    """Nothing speaks against it anywhere: let go of these, if they still are as they were. Answered by Stored."""

    id: Id
    epoch: Count
    tombstones: tuple[Tombstone, ...]
    prunable: tuple[Prunable, ...] = ()
