"""What the checker of session guarantees says of the people of a scene.

People who tell each other what they saw are one session: whoever is told knows it, though the database does not.
Must not live here: the checker (kvnode.checkers.sessions) and how a verdict looks (pictures.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kvnode.checkers.observed import Acknowledged, Seen, Write
from kvnode.checkers.sessions import Sessions
from kvnode.checkers.verdict import Verdict
from labkit.course.operations import Operation

QUORUM = 2  # what the database uses where a request names none


@dataclass(frozen=True)
class _Sibling:
    dot: str
    vector_clock: Mapping[str, int]
    issued_under: Mapping[str, int] | None
    issued_under_dots: Sequence[str]

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> _Sibling:
        return cls(
            told["dot"], told["vector_clock"], told.get("issued_under"), told.get("issued_under_dots") or ()
        )


def judged(operations: Sequence[Operation], told: Sequence[tuple[str, str]], *, n: int) -> list[Verdict]:
    """Read your writes, and monotonic reads, over the answers in their order; times are those of the scene."""
    acknowledged = Acknowledged(n)
    sessions = Sessions(acknowledged)
    circle_of = {who: " and ".join(sorted(circle)) for circle in circles(told) for who in circle}
    for operation in sorted((one for one in operations if one.ok), key=lambda one: one.end_ms):
        reader = circle_of.get(operation.who, operation.who)
        answer = operation.answer or {}
        if operation.verb in ("put", "delete") and "dot" in answer:
            write = Write.of_put(
                answer["dot"], answer["vector_clock"], at_s=operation.end_ms / 1000.0, w=int(answer["w"]),
                issued_under=answer.get("issued_under"), issued_under_dots=answer.get("issued_under_dots") or (),
            )  # fmt: skip
            acknowledged.add(operation.key, write)
            sessions.wrote(reader, operation.key, write)
        elif operation.verb == "get":
            seen = Seen.of_siblings([_Sibling.of(one) for one in operation.siblings])
            sessions.read(
                reader, operation.key, seen, started_s=operation.sent_ms / 1000.0,
                answered_s=operation.end_ms / 1000.0, r=int(answer.get("r", QUORUM)),
            )  # fmt: skip
    return [_in_values(verdict, operations) for verdict in sessions.verdicts()]


def _in_values(verdict: Verdict, operations: Sequence[Operation]) -> Verdict:
    """The evidence names versions by their dots; who reads it knows them by their values."""
    values = {one["dot"]: one.get("value") for operation in operations for one in operation.siblings}
    values |= {operation.dot: operation.value for operation in operations if operation.dot is not None}
    evidence = []
    for line in verdict.evidence:
        for dot, value in values.items():
            line = re.sub(re.escape(dot) + r"(?!\d)", f"“{value}”", line)
        evidence.append(line)
    return replace(verdict, evidence=tuple(evidence))


def circles(told: Sequence[tuple[str, str]]) -> list[frozenset[str]]:
    """The people who know from each other what they saw."""
    found: list[set[str]] = []
    for pair in told:
        touching = [circle for circle in found if circle & set(pair)]
        found = [circle for circle in found if circle not in touching] + [set(pair).union(*touching)]
    return [frozenset(circle) for circle in found]
