"""What the checker says of people who tell each other what they saw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labkit.course.operations import Operation
from labkit.course.verdicts import circles, judged


def sibling(value: str, counter: int) -> dict[str, Any]:
    under = {"a": counter - 1} if counter > 1 else {}
    return {"value": value, "dot": f"a:{counter}", "vector_clock": {"a": counter}, "issued_under": under}


OLD, NEW = sibling("old", 1), sibling("new", 2)


def episode(operation: Callable[..., Operation], write_ends_ms: float) -> list[Operation]:
    return [
        operation("Writer", "put", "new", at_ms=10, took_ms=write_ends_ms - 10, answer={**NEW, "w": 2}),
        operation("Alice", "get", "new", at_ms=100, answer={"siblings": [NEW], "r": 2}),
        operation("Bob", "get", "old", at_ms=110, answer={"siblings": [OLD], "r": 2}),
    ]


def status_of(operations: list[Operation], told: list[tuple[str, str]]) -> tuple[str, str]:
    reads = judged(operations, told, n=3)[1]
    return reads.status, " ".join(reads.evidence)


def test_bob_who_was_told_went_back_at_risk_while_the_write_was_under_way(
    operation: Callable[..., Operation],
) -> None:
    status, evidence = status_of(episode(operation, 700), [("Alice", "Bob")])
    assert status == "at risk"
    assert (
        "Alice and Bob read “new”" in evidence and "read “old”" in evidence and "not acknowledged" in evidence
    )


def test_it_is_violated_if_the_write_had_been_acknowledged(operation: Callable[..., Operation]) -> None:
    assert status_of(episode(operation, 50), [("Alice", "Bob")])[0] == "violated"


def test_strangers_may_see_different_things(operation: Callable[..., Operation]) -> None:
    assert status_of(episode(operation, 700), [])[0] == "unknown"


def test_what_was_refused_is_not_judged(operation: Callable[..., Operation]) -> None:
    refused = [operation("Bob", "get", outcome="unknown", answered_ms=None)]
    assert status_of([*episode(operation, 700)[:2], *refused], [("Alice", "Bob")])[0] == "unknown"


def test_who_is_told_by_who_was_told_belongs_to_the_circle() -> None:
    assert circles([("a", "b"), ("c", "d"), ("b", "c")]) == [frozenset("abcd")]
    assert circles([("a", "b"), ("c", "d")]) == [frozenset("ab"), frozenset("cd")]
