"""What the driver asks of a workload, and what a workload may ask at the end of a run.

Here: one protocol. The driver asks for one operation an arrival and tells how each one ended, so that a
workload can let one thing follow from another (a like needs a tweet that was really stored). A check asks
for final quorum reads, so that a workload can judge what became of its own world (was an edit lost? is all
stock accounted for?): reading.py.

A workload derives from `Workload`; whatever it has nothing to say about keeps the default here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from kvnode.checkers import Verdict
from traffic.operations import Operation
from traffic.stores.base import Reply
from traffic.workloads.reading import Reads


class Workload(Protocol):
    """One world of made-up people. A pure function of its seeded random generator, the wall times it is
    given, and what it is told."""

    name: str
    kinds: tuple[str, ...]
    """Every `Operation.kind` that it yields, in the order in which people want to read them."""
    bugs: frozenset[str] = frozenset()
    """The known mistakes that are switched on. A workload that has any takes them at construction; the
    generator may change them while it runs."""
    bugs_known: tuple[str, ...] = ()

    @property
    def active(self) -> int:
        """How many things are live: tweets, documents, products."""
        return 0

    def next_operation(self, now_s: float) -> Operation:
        """The operation for an arrival at the wall time `now_s`. Always has one; never waits: follow-ups that
        are due come first, and thinking is a follow-up that falls due later."""
        ...

    def answered(self, operation: Operation, reply: Reply, now_s: float) -> None:
        """It was acknowledged, or a read was answered; None: there is no such key."""

    def failed(self, operation: Operation, *, definite: bool, now_s: float) -> None:
        """It failed for good. definite: no replica has applied it (perhaps it was never sent). An addition
        that was refused so may yet come about: the next one of its counter carries the same totals."""
        return

    def change_habits(
        self, *, personas: Mapping[str, float] | None = None, read_share: float | None = None
    ) -> None:
        """personas: how busy each kind of people is, times what it usually is (0: they stay at home; a kind that
        is not named goes on). read_share: of what people do, the share that only looks. ValueError says what is
        wrong; then nothing has changed."""
        raise ValueError(f"{self.name} takes neither personas nor a read share")

    def people(self) -> list[dict[str, Any]]:
        """Of each kind of people: {kind, people, busy, actions}; none in a world without."""
        return []

    def homes(self) -> Mapping[str, int]:
        """How many of them live where."""
        return {}

    def counts(self) -> Mapping[str, int]:
        """What this world counts beyond its operations."""
        return {}

    async def check(self, reads: Reads) -> list[Verdict]:
        """How this world's own promises stand, by final reads; nothing to say before anything happened."""
        return []
