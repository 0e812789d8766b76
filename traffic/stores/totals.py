"""The running totals of one actor at one counter: what goes over the wire for an addition.

Here: the arithmetic of "as this actor, I have added 17 to this counter so far, and taken 3 away".
Must not live here: all counters of a process (verify/totals.py), sending.
"""

from __future__ import annotations

from typing import NamedTuple


class Totals(NamedTuple):
    """The running totals of one actor at one counter.

    The totals that one actor sends grow in one part at a time, so of any two of them one is at least the
    other in both parts; comparing them as tuples is therefore comparing both parts.
    """

    increments: int = 0
    decrements: int = 0


class CounterTotals:
    """One counter as one actor knows it. Invariant: acknowledged <= sent."""

    __slots__ = ("acknowledged", "actor", "key", "sent")

    def __init__(self, key: str, actor: str) -> None:
        self.key = key
        self.actor = actor
        self.sent = Totals()
        self.acknowledged = Totals()

    def add(self, amount: int) -> Totals:
        """The new running totals, to be sent. A negative amount adds to the decrements."""
        increments, decrements = self.sent
        if amount < 0:
            self.sent = Totals(increments, decrements - amount)
        else:
            self.sent = Totals(increments + amount, decrements)
        return self.sent

    def acknowledge(self, totals: Totals) -> None:
        assert totals <= self.sent, f"{self.key}: {totals} acknowledged, only {self.sent} sent"
        self.acknowledged = max(self.acknowledged, totals)

    @property
    def settled(self) -> bool:
        """Everything that was sent is acknowledged."""
        return self.acknowledged == self.sent
