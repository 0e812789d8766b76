"""Why the copies of a key are equal, told from what was seen and not from a book.

Three mechanisms could make them equal, and two facts tell them apart. Where one leader orders all writes, every write
is numbered by one disk. Where nodes vote, a node that can ask nobody acknowledges nothing, or is overruled later. Where
each replica merges what it hears, neither holds.
Pure.
Must not live here: the experiment (scenes.py, `nobody_to_ask`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from labkit.errors import LabError

VOTE = "they vote, and the majority wins"
LEADER = "one node leads, and the others copy it"
MERGE = "each node merges what it hears of"
UNEQUAL = "they are not equal"
REASONS = (VOTE, LEADER, MERGE, UNEQUAL)
WRITES_MIN = 2


class Run(Protocol):
    """What is read of the scene."""

    @property
    def conclusive(self) -> bool:
        """Whether its fault bit."""

    @property
    def status(self) -> str:
        """In words."""

    @property
    def outcome(self) -> str:
        """ "siblings" if both writes were there in the end."""

    def of(self, who: str) -> list[Any]:
        """One person's operations."""


def why_equal(*, equal: bool, dots: Iterable[str], alone: Run) -> str:
    """One of REASONS.

    equal: whether all replicas hold the same. dots: of writes that users sent to different nodes. alone: a run of
    `nobody_to_ask`. LabError if they cannot tell.
    """
    disks = [dot.rpartition(":")[0] for dot in dots]
    if len(disks) < WRITES_MIN or not alone.conclusive:
        why = alone.status if not alone.conclusive else f"only {len(disks)} writes are known"
        raise LabError(
            "This run cannot tell why the copies are equal.", why=why, do="run the cells above again"
        )
    if not equal:
        return UNEQUAL
    if len(set(disks)) == 1:
        return LEADER
    hers_stands = all(one.ok for one in alone.of("Alice")) and alone.outcome == "siblings"
    return MERGE if hers_stands else VOTE
