"""A survey: what all members said, asked one after the other, of what may be reaped (reaper.py)."""

from __future__ import annotations

from dataclasses import dataclass, field

from kvnode.messages.tombstones import Reapable


@dataclass
class Survey:
    """What all members said of what may be reaped. held: that of which every owner holds what it should.

    began_ms, ended_ms: on the sweeper's clock. quiet_ms: the shortest silence about each partition. oldest_ms: the
    age of the oldest request at any member. stores: the store ids under which the members write now.
    """

    began_ms: float
    ended_ms: float
    held: list[Reapable]
    quiet_ms: dict[int, float]
    oldest_ms: float
    stores: set[str] = field(default_factory=set)
