"""The exercises of 01: the answer passes, wrong answers fail each with a hint of its own, and luck is no verdict."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from kvnode.ring import Ring
from labkit.course import ex01
from labkit.course.exercise import Judgement
from labkit.growth import Change

LEFT = ex01.Left(ex01.BEFORE, *(frozenset({"node-2", "node-3", "node-5"}),) * 2)


def lists(*nodes: str) -> tuple[tuple[str, ...], ...]:
    return Ring.build(nodes, replicas=3, partitions=256).preference_lists


FIFTH = Change(
    "join", "node-5", 4.0, lists(*ex01.FIVE[:4]), lists(*ex01.FIVE),
    acknowledged=200, failed=0, gap_before_ms=90, gap_ms=110,
)  # fmt: skip
FULLEST = ex01._fullest(None, {})


def holders(answer: str, left: ex01.Left = LEFT) -> Judgement:
    return ex01.judge_holders({"nodes": answer}, left)


def test_01_1_only_where_the_tweet_really_is_is_right_and_each_other_place_has_its_hint() -> None:
    found = {answer: holders(answer) for answer in ex01.HOLDERS}
    assert [answer for answer, one in found.items() if one.status == "right"] == ["node-2, node-3, node-5"]
    wrong = [one for one in found.values() if one.status == "not yet"]
    assert len(wrong) == len({one.hint for one in wrong}) == 4
    assert found["node-1, node-2, node-3"].misconception == "M4"
    assert found["node-1, node-3, node-5"].misconception == ""


@pytest.mark.parametrize(
    "left",
    [
        replace(LEFT, before=frozenset({"node-1", "node-2", "node-3"})),
        replace(LEFT, after=frozenset({"node-3", "node-4", "node-5"})),
        replace(LEFT, found=frozenset({"node-3"})),
    ],
)
def test_01_1_a_leave_that_did_not_come_about_is_inconclusive(left: ex01.Left) -> None:
    assert {holders(answer, left).status for answer in ex01.HOLDERS} == {"inconclusive"}


def moved(answer: float, change: Change = FIFTH) -> Judgement:
    return ex01.judge_moved({"moved": answer}, change)


def test_01_2_the_slots_are_counted_and_each_way_to_miscount_has_its_hint() -> None:
    assert {moved(answer).status for answer in (19, 19.8, 20, 21)} == {"right"}
    wrong = [moved(answer) for answer in (100, 59.4, 39.6, 16.8, 75, 5)]
    assert {one.status for one in wrong} == {"not yet"}
    assert len({one.hint for one in wrong}) == 5
    assert wrong[0].misconception == "M4"
    assert (
        "lists have changed" in wrong[1].hint and "twice" in wrong[2].hint and "first places" in wrong[3].hint
    )


def test_01_2_without_a_join_there_is_nothing_to_count_in() -> None:
    nothing = replace(FIFTH, after=FIFTH.before)
    assert moved(20, nothing).status == moved(20, replace(FIFTH, problem="it died")).status == "inconclusive"


def partitions(answer: float, fullest: dict[int, float] = FULLEST) -> Judgement:
    return ex01.judge_partitions({"partitions": answer}, fullest)


def test_01_3_the_smallest_that_is_enough_is_right_and_the_others_have_their_hints() -> None:
    assert [count for count in ex01.COUNTS if partitions(count).status == "right"] == [128]
    wrong = [partitions(answer) for answer in (256, 100, 64, 32, 8)]
    assert {one.status for one in wrong} == {"not yet"}
    assert len({one.hint for one in wrong}) == 5


def test_01_3_where_no_number_is_enough_nothing_is_judged() -> None:
    assert partitions(128, {8: 1.5}).status == "inconclusive"


HINTS = {
    "01.1": list(ex01.HOLDER_HINTS.values()),
    "01.2": [moved(answer).hint for answer in (100, 59.4, 39.6, 16.8, 75)],
    "01.3": [partitions(answer).hint for answer in (256, 100, 64, 32, 8)],
}


@pytest.mark.parametrize("name", HINTS)
def test_no_hint_has_more_than_two_sentences_or_gives_the_answer_away(name: str) -> None:
    exercise = ex01.EXERCISES[name]
    assert exercise.secrets
    for hint in HINTS[name]:
        assert len(re.findall(r"[.?!](?:\s|$)", hint)) <= 2, hint
        for secret in exercise.secrets:
            assert secret.lower() not in hint.lower(), (secret, hint)
