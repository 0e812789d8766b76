"""A register on a few replicas, in one thread and without time: what the checkers of reads are tried on.

A write reaches some replicas at once and is acknowledged by so many; the rest gets it when `deliver` is called. A read
merges what some replicas hold. Every version knows its ancestors, which is the oracle for what a read covers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from kvnode.checkers import Seen, Write
from kvnode.operations import SiblingView
from kvnode.versions import Context, Dot, Siblings

STORES = ("node-1.aaaaaaaaaaaaaaaa", "node-2.bbbbbbbbbbbbbbbb", "node-3.cccccccccccccccc")


@dataclass
class Register:
    """One key. now_s: goes on by one second with every event."""

    stores: list[str] = field(default_factory=lambda: list(STORES))
    replicas: list[Siblings] = field(default_factory=lambda: [Siblings() for _ in STORES])
    ancestors: dict[Dot, set[Dot]] = field(default_factory=dict)
    now_s: float = 0.0
    _issued: int = 0
    _on_their_way: list[tuple[Siblings, int]] = field(default_factory=list)

    def write(self, reached: Sequence[int], *, blind: bool = False) -> Write:
        """A write through replica reached[0], acknowledged by all that it reached."""
        coordinator = reached[0]
        held = self.replicas[coordinator]
        self._issued += 1
        dot = Dot(self.stores[coordinator], self._issued)
        context = Context() if blind else held.context
        state, version = held.write(dot, b"1", context=context, timestamp=0.0)
        superseded = [one.dot for one in held.versions if version.supersedes(one)]
        self.ancestors[dot] = set(superseded).union(*(self.ancestors[one] for one in superseded))
        for replica in range(len(STORES)):
            if replica in reached:
                self.replicas[replica] = self.replicas[replica].merge(state)
            else:
                self._on_their_way.append((state, replica))
        self.now_s += 1
        shown = SiblingView.of(version)
        return Write.of_put(
            shown.dot,
            shown.vector_clock,
            at_s=self.now_s,
            w=len(reached),
            issued_under=shown.issued_under,
            issued_under_dots=shown.issued_under_dots,
        )

    def deliver(self) -> None:
        """The oldest message that is on its way arrives."""
        if self._on_their_way:
            state, replica = self._on_their_way.pop(0)
            self.replicas[replica] = self.replicas[replica].merge(state)

    def wipe(self, replica: int) -> None:
        """It loses its disk, and comes back under another store id."""
        self.replicas[replica] = Siblings()
        self.stores[replica] += "-again"

    def read(self, asked: Sequence[int]) -> Seen:
        merged = Siblings()
        for replica in asked:
            merged = merged.merge(self.replicas[replica])
        self.now_s += 1
        return Seen.of_siblings([SiblingView.of(version) for version in merged.versions])

    def covers(self, seen: Seen, dot: Dot) -> bool:
        """The oracle: it was returned, or something was that descends from it."""
        return any(dot == one or dot in self.ancestors[one] for one in seen.dots)


@pytest.fixture(scope="session")
def new_register() -> type[Register]:
    """Makes a register: a session's fixture, so that generated examples may each make one of their own."""
    return Register
