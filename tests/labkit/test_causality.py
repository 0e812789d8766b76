"""Which version had seen which, by dots and pasts alone."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.causality import has_seen, relation


def version(dot: str, under: dict[str, int], timestamp: float = 0.0, **more: Any) -> dict[str, Any]:
    store, _, counter = dot.rpartition(":")
    clock = {**under, store: int(counter)}
    return {"dot": dot, "vector_clock": clock, "issued_under": under, "timestamp": timestamp, **more}


SOUP = version("a:1", {}, timestamp=1)
SALAD = version("a:2", {"a": 1}, timestamp=2)
PIZZA = version("b:1", {"a": 1}, timestamp=9)


def test_a_version_written_under_another_comes_after_it() -> None:
    assert relation(SOUP, SALAD) == "<"
    assert relation(SALAD, SOUP) == ">"


def test_two_versions_under_the_same_context_are_concurrent_however_much_later_one_was_written() -> None:
    assert relation(SALAD, PIZZA) == "∥"
    assert relation(PIZZA, SALAD) == "∥"


def test_a_version_is_itself() -> None:
    assert relation(SALAD, SALAD) == "="


def test_without_what_it_was_issued_under_the_clock_tells() -> None:
    told = {name: value for name, value in SALAD.items() if name != "issued_under"}
    assert relation(SOUP, told) == "<"


@pytest.mark.parametrize(("dots", "seen"), [(["c:7"], True), (["c:6"], False), ([], False)])
def test_a_single_dot_beyond_the_vector_counts_as_seen(dots: list[str], seen: bool) -> None:
    assert has_seen(version("a:3", {"a": 2, "c": 5}, issued_under_dots=dots), "c:7") is seen


def test_a_gap_in_the_clock_of_a_dotted_version_is_not_taken_for_knowledge() -> None:
    """b:2 was written without having seen b:1: its clock says b: 2, its past does not."""
    second = version("b:2", {"a": 1})
    assert relation(version("b:1", {"a": 1}), second) == "∥"
