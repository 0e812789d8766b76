"""The exercises of 00 and why copies are equal: answers pass, wrong ones fail each with a hint of its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.course import copies, ex00
from labkit.course.exercise import Judgement
from labkit.course.operations import Operation
from labkit.course.trials import Refused, Waits
from labkit.errors import LabError

# --- 00.1 -----------------------------------------------------------------------------------------------------

WAITS = Waits(tuple(2.0 + number / 100 for number in range(400)), shown_ms=37.0)


def judged_waits(users: float, waits: Waits = WAITS) -> Judgement:
    return ex00.judge_waits({"users": users}, waits)


def test_00_1_ten_of_a_thousand_is_right_and_each_belief_has_its_hint() -> None:
    assert WAITS.longer == 4 and WAITS.p99_ms == pytest.approx(5.95)
    assert judged_waits(10).status == "right"
    assert "10 of 1 000" in judged_waits(10).said
    wrong = [judged_waits(users) for users in (990, 99, 1, 500, 0, 6, 37, 700)]
    assert {one.status for one in wrong} == {"not yet"}
    assert [one.hint for one in wrong[5:7]] == [ex00.HOW_LONG] * 2, "the p99 in ms, counted and shown"
    assert len({one.hint for one in wrong}) == 7


@pytest.mark.parametrize("waits", [Waits((1.0,) * 100), Waits((1.0,) * 400)])
def test_00_1_too_few_waits_or_equal_ones_cannot_tell(waits: Waits) -> None:
    assert judged_waits(7, waits).status == "inconclusive"


# --- 00.2 -----------------------------------------------------------------------------------------------------


def tweets(first_by: str = "a") -> list[dict[str, Any]]:
    """The question by one disk; Bob's answer by disk b, then Alice's by disk a, both under the question alone."""
    numbers = {"a": 40, "b": 70}
    past = {first_by: numbers[first_by] - 5}

    def version(value: str, disk: str, under: dict[str, int], timestamp: float) -> dict[str, Any]:
        number = numbers[disk] if under else past[first_by]
        clock = {**under, disk: number}
        return {
            "value": value, "dot": f"{disk}:{number}", "issued_under": under, "vector_clock": clock,
            "timestamp": timestamp,
        }  # fmt: skip

    return [
        version(ex00.FIRST, first_by, {}, 0),
        version(ex00.HIS, "b", past, 30),
        version(ex00.HERS, "a", past, 40),
    ]


def judged_clocks(*words: str, first_by: str = "a") -> Judgement:
    names = [ex00.pair_name(*pair) for pair in ex00.PAIRS]
    return ex00.judge_clocks(dict(zip(names, words, strict=True)), tweets(first_by))


L, R, N = ex00.LEFT, ex00.RIGHT, ex00.NEITHER
WRONG_CLOCKS = ((L, R, R), (L, L, R), (N, N, N), (R, N, L), (L, N, N))


@pytest.mark.parametrize("first_by", ["a", "b"])
def test_00_2_the_entries_decide_whichever_node_took_the_question(first_by: str) -> None:
    assert judged_clocks(L, N, R, first_by=first_by).status == "right"
    assert judged_clocks(L, L, R, first_by=first_by).status == "not yet"
    assert judged_clocks(L, R, R, first_by=first_by).status == "not yet"


def test_00_2_each_belief_has_its_hint() -> None:
    found = [judged_clocks(*words) for words in WRONG_CLOCKS]
    assert {one.status for one in found} == {"not yet"}
    assert len({one.hint for one in found}) == len(found)
    assert "sums" in found[0].hint and "by time" in found[1].hint


def test_00_2_without_the_run_nothing_is_judged() -> None:
    names = [ex00.pair_name(*pair) for pair in ex00.PAIRS]
    assert ex00.judge_clocks(dict.fromkeys(names, N), tweets()[:2]).status == "inconclusive"


# --- 00.3 -----------------------------------------------------------------------------------------------------


def judged_refused(later: str, **facts: Any) -> Judgement:
    known: dict[str, Any] = {
        "status": 503, "detail": "W=2 unmet", "definite": True, "found_later": False, "killed": "node-2 and node-3",
    }  # fmt: skip
    return ex00.judge_refused({"later": later}, Refused(**(known | facts)))


def test_00_3_the_field_definite_decides_and_each_belief_has_its_hint() -> None:
    assert judged_refused(ex00.CERTAINLY_NOT).status == "right"
    wrong = [judged_refused(one) for one in (ex00.MAYBE, ex00.ONE_HAS_IT, ex00.AS_HINTS)]
    assert {one.status for one in wrong} == {"not yet"}
    assert len({one.hint for one in wrong}) == 3
    assert all("definite: true" in one.evidence[0] for one in wrong)


@pytest.mark.parametrize("facts", [{"definite": None}, {"definite": False}, {"found_later": True}])
@pytest.mark.parametrize("later", [ex00.CERTAINLY_NOT, ex00.MAYBE])
def test_00_3_a_run_that_left_it_open_is_inconclusive(facts: dict[str, Any], later: str) -> None:
    assert judged_refused(later, **facts).status == "inconclusive"


HINTS = {
    "00.1": [*ex00.WAIT_HINTS.values(), ex00.HOW_LONG, ex00.COUNT_THEM],
    "00.2": [judged_clocks(*words).hint for words in WRONG_CLOCKS],
    "00.3": list(ex00.REFUSED_HINTS.values()),
}


@pytest.mark.parametrize("name", list(HINTS))
def test_no_hint_has_more_than_two_sentences_or_gives_the_answer_away(name: str) -> None:
    for hint in HINTS[name]:
        assert len(re.findall(r"[.?!](?:\s|$)", hint)) <= 2, hint
        for secret in ex00.EXERCISES[name].secrets:
            assert re.search(rf"\b{re.escape(secret)}\b", hint) is None, (secret, hint)


# --- why copies are equal -------------------------------------------------------------------------------------


def run_of(alice: Operation, *, outcome: str = "siblings", conclusive: bool = True) -> Any:
    return SimpleNamespace(of=lambda who: [alice], outcome=outcome, conclusive=conclusive, status="it missed")


def test_what_was_seen_tells_merging_from_a_leader_a_vote_and_from_nothing(
    operation: Callable[..., Operation],
) -> None:
    hers = run_of(operation("Alice", "put", "lunch at 1"))
    refused = run_of(operation("Alice", "put", "lunch at 1", outcome="refused", status=503))
    overruled = run_of(operation("Alice", "put", "lunch at 1"), outcome="replaced")
    dots = ["node-1.aa:7", "node-2.bb:9"]
    assert copies.why_equal(equal=True, dots=dots, alone=hers) == copies.MERGE
    assert copies.why_equal(equal=True, dots=dots, alone=refused) == copies.VOTE
    assert copies.why_equal(equal=True, dots=dots, alone=overruled) == copies.VOTE
    assert copies.why_equal(equal=True, dots=["node-1.aa:7", "node-1.aa:8"], alone=hers) == copies.LEADER
    assert copies.why_equal(equal=False, dots=dots, alone=hers) == copies.UNEQUAL


def test_a_run_that_missed_tells_nothing(operation: Callable[..., Operation]) -> None:
    missed = run_of(operation("Alice", "put", "lunch at 1"), conclusive=False)
    with pytest.raises(LabError, match="it missed"):
        copies.why_equal(equal=True, dots=["a:1", "b:1"], alone=missed)
    hers = run_of(operation("Alice", "put", "lunch at 1"))
    with pytest.raises(LabError, match="only 1 writes"):
        copies.why_equal(equal=True, dots=["a:1"], alone=hers)
