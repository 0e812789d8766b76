"""Every exercise: its answer passes, wrong answers fail each with a hint of its own, and luck is no verdict."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from labkit.course import ex02, ex04
from labkit.course.exercise import Exercise, Judgement
from labkit.course.operations import Operation
from labkit.course.trials import FreshTrial, QuorumTrial

EXERCISES = {**ex02.EXERCISES, **ex04.EXERCISES}


def quorum_trial(r: int, w: int, **more: Any) -> QuorumTrial:
    """What the cluster does with these sizes, as it was measured on it."""
    facts: dict[str, Any] = {
        "reads": 60,
        "stale": {(1, 1): 52, (1, 2): 15, (2, 1): 16}.get((r, w), 0),
        "refused_by": {"writes": 12 if w == 3 else 0, "reads": 12 if r == 3 else 0},
        "tried_while_dead": 24,
        "round_trip_ms": 150.0,
        "killed": "node-3",
    }
    return QuorumTrial(**(facts | more))


def judged_quorum(r: int, w: int, **more: Any) -> Judgement:
    return ex02.judge_quorum({"R": str(r), "W": str(w)}, quorum_trial(r, w, **more))


SIZES = [(r, w) for r in (1, 2, 3) for w in (1, 2, 3)]


def test_02_1_only_two_and_two_is_right_and_each_other_pair_has_a_hint_of_its_own() -> None:
    found = {pair: judged_quorum(*pair) for pair in SIZES}
    assert [pair for pair, one in found.items() if one.status == "right"] == [(2, 2)]
    hints = [one.hint for one in found.values() if one.status == "not yet"]
    assert len(hints) == len(set(hints)) == 8
    assert found[1, 1].misconception == "M3"


@pytest.mark.parametrize(
    ("r", "w", "facts"),
    [
        (1, 1, {"stale": 0}),
        (2, 2, {"stale": 1}),
        (1, 1, {"round_trip_ms": 5.0}),
        (2, 2, {"reads": 3}),
        (3, 1, {"refused_by": {"writes": 0, "reads": 0}}),
        (2, 2, {"refused_by": {"writes": 2, "reads": 0}}),
    ],
)
def test_02_1_data_that_cannot_tell_is_inconclusive(r: int, w: int, facts: dict[str, Any]) -> None:
    assert judged_quorum(r, w, **facts).status == "inconclusive"


def judged_change(scene: Any, option: str) -> Judgement:
    return ex02.judge_change({"change": option}, scene)


def test_02_2_two_changes_let_bob_see_new_and_the_others_have_hints_of_their_own(
    operation: Callable[..., Operation], scene_of: Callable[..., Any]
) -> None:
    found = {}
    for option, change in ex02.CHANGES.items():
        sees = "new" if change.get("r") == 3 or change.get("bob_waits") else "old"
        found[option] = judged_change(scene_of(operation("Bob", "get", sees, at_ms=100)), option)
    right = [option for option, one in found.items() if one.status == "right"]
    assert right == ["R = 3: Bob asks all replicas", "Bob asks once the write is acknowledged"]
    hints = {one.hint for one in found.values() if one.status == "not yet"}
    assert len(hints) == 3
    assert all(one.evidence for one in found.values())


def test_02_2_a_scene_that_missed_says_nothing_about_the_answer(
    operation: Callable[..., Operation], scene_of: Callable[..., Any]
) -> None:
    option = next(iter(ex02.CHANGES))
    missed = scene_of(operation("Bob", "get", "old"), conclusive=False)
    assert judged_change(missed, option).status == "inconclusive"
    silent = scene_of(operation("Bob", "get", outcome="unknown", answered_ms=None, detail="no answer"))
    assert judged_change(silent, option).status == "inconclusive"
    right_one = scene_of(operation("Bob", "get", "old"))
    assert judged_change(right_one, "R = 3: Bob asks all replicas").status == "inconclusive"


def fresh_trial(**more: Any) -> FreshTrial:
    facts: dict[str, Any] = {"reads": 480, "percent": 86.2, "low": 82.8, "high": 89.0, "predicted": 87.0}
    return FreshTrial(**(facts | more))


def test_02_3_five_points_either_way_are_right_and_each_belief_has_its_hint() -> None:
    said = {
        guess: ex02.judge_fresh({"fresh": guess}, fresh_trial())
        for guess in (82, 86, 91, 100, 98, 63, 43, 75)
    }
    assert [guess for guess, one in said.items() if one.status == "right"] == [82, 86, 91]
    hints = [one.hint for one in said.values() if one.status == "not yet"]
    assert len(hints) == len(set(hints)) == 5


@pytest.mark.parametrize("facts", [{"reads": 20}, {"predicted": 60.0}])
def test_02_3_a_disturbed_measurement_is_inconclusive(facts: dict[str, Any]) -> None:
    assert ex02.judge_fresh({"fresh": 10}, fresh_trial(**facts)).status == "inconclusive"


def lunch() -> list[dict[str, Any]]:
    """Soup, then Alice's two; Bob, five seconds later, has seen the soup alone."""

    def version(value: str, dot: str, under: dict[str, int], timestamp: float) -> dict[str, Any]:
        store, _, counter = dot.rpartition(":")
        return {
            "value": value, "dot": dot, "issued_under": under, "timestamp": timestamp,
            "vector_clock": {**under, store: int(counter)},
        }  # fmt: skip

    return [
        version(ex04.SOUP, "a:1", {}, 0),
        version(ex04.SALAD, "a:2", {"a": 1}, 10),
        version(ex04.BREAD, "a:3", {"a": 2}, 20),
        version(ex04.PIZZA, "b:1", {"a": 1}, 5020),
    ]


TRUTH = ("<", ">", "<", "∥", "∥", ">")
BY_TIME = ("<", ">", "<", "<", "<", ">")


def judged_pairs(signs: tuple[str, ...]) -> Judgement:
    names = [ex04.pair_name(*pair) for pair in ex04.PAIRS]
    return ex04.judge_pairs(dict(zip(names, signs, strict=True)), lunch())


def test_04_1_the_clocks_decide_and_each_belief_has_its_hint() -> None:
    assert judged_pairs(TRUTH).status == "right"
    wrong = [
        judged_pairs(signs)
        for signs in (BY_TIME, ("∥",) * 6, (">", "<", ">", "∥", "∥", "<"), ("<", ">", "∥", "∥", "∥", ">"))
    ]
    assert {one.status for one in wrong} == {"not yet"}
    assert len({one.hint for one in wrong}) == 4
    assert "by time" in wrong[0].hint and wrong[0].misconception == "M7"


def test_04_1_without_the_lunch_break_nothing_is_judged() -> None:
    given = {ex04.pair_name(*pair): "<" for pair in ex04.PAIRS}
    assert ex04.judge_pairs(given, lunch()[:2]).status == "inconclusive"


def made(operation: Callable[..., Operation], seen: list[str], final: list[str], **put: Any) -> ex04.Made:
    siblings = [{"value": value, "dot": f"s:{place}"} for place, value in enumerate(seen, 1)]
    operations = (
        operation("Alice", "get", seen, answer={"siblings": siblings}),
        operation("Alice", "put", "together", options=put),
    )
    return ex04.Made("k", operations, tuple({"value": value} for value in final))


def test_04_2_three_then_one_with_all_texts_is_right_and_each_way_to_miss_it_has_its_hint(
    operation: Callable[..., Operation],
) -> None:
    three = ["eggs", "rice", "tea"]
    right = made(operation, three, ["eggs, rice, tea"], context="c")
    assert ex04.judge_three({}, right).status == "right"
    wrong = [
        made(operation, ["eggs", "rice"], ["eggs, rice"], context="c"),
        made(operation, [*three, "oil"], ["eggs, rice, tea, oil"], context="c"),
        made(operation, three, [*three, "eggs, rice, tea"]),
        made(operation, three, ["tea", "eggs, rice, tea"], context="of one put"),
        made(operation, three, ["eggs"], context="c"),
        ex04.Made("k", (operation("Alice", "put", "eggs"),), ({"value": "eggs"},)),
    ]
    found = [ex04.judge_three({}, one) for one in wrong]
    assert {one.status for one in found} == {"not yet"}
    assert len({one.hint for one in found}) == len(wrong)


def slow_watch(operation: Callable[..., Operation], scene_of: Callable[..., Any], seen: str = "at 9") -> Any:
    writes = [
        operation(
            who, "put", text, at_ms=place * 10, answer={"dot": f"s:{place}", "timestamp": 1000.0 * place}
        )
        for place, (who, text) in enumerate((("Alice", "at 8"), ("Alice", "at 9"), ("Bob", "at 10")), 1)
    ]
    read = operation("Bob", "get", seen, at_ms=50, answer={"siblings": [{"value": seen, "dot": "s:2"}]})
    return scene_of(*writes, read)


def test_04_3_the_last_acknowledged_write_is_the_lost_one_and_each_other_answer_has_its_hint(
    operation: Callable[..., Operation], scene_of: Callable[..., Any]
) -> None:
    scene = slow_watch(operation, scene_of)
    found = {answer: ex04.judge_lost({"lost": answer}, scene) for answer in (*ex04.TEXTS, ex04.NONE_LOST)}
    assert [answer for answer, one in found.items() if one.status == "right"] == ["at 10"]
    assert len({one.hint for one in found.values() if one.status == "not yet"}) == 3


def test_04_3_a_last_write_that_was_read_is_inconclusive(
    operation: Callable[..., Operation], scene_of: Callable[..., Any]
) -> None:
    scene = slow_watch(operation, scene_of, seen="at 10")
    assert ex04.judge_lost({"lost": "at 9"}, scene).status == "inconclusive"


def all_hints(exercise: Exercise) -> list[str]:
    """Every hint that stands in the exercise's module as a constant or is given to a known wrong answer."""
    hints = {
        "02.1": [*ex02.FRESH_HINTS.values(), *ex02.DEAD_HINTS.values()],
        "02.2": list(ex02.CHANGE_HINTS.values()),
        "02.3": [ex02.judge_fresh({"fresh": guess}, fresh_trial()).hint for guess in (100, 98, 63, 43, 75)],
        "04.1": [judged_pairs(signs).hint for signs in (BY_TIME, ("∥",) * 6, ("<",) * 6)],
        "04.3": list(ex04.LOST_HINTS.values()),
    }
    return hints.get(exercise.name, [])


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=list(EXERCISES))
def test_no_hint_has_more_than_two_sentences_or_gives_the_answer_away(exercise: Exercise) -> None:
    assert exercise.secrets
    for hint in all_hints(exercise):
        assert len(re.findall(r"[.?!](?:\s|$)", hint)) <= 2, hint
        for secret in exercise.secrets:
            assert secret.lower() not in hint.lower(), (secret, hint)


def test_04_2_no_hint_gives_the_answer_away(operation: Callable[..., Operation]) -> None:
    three = ["eggs", "rice", "tea"]
    for one in (
        made(operation, three[:2], three[:1]),
        made(operation, three, three),
        made(operation, three, three, context="c"),
        made(operation, three, three[:1], context="c"),
    ):
        hint = ex04.judge_three({}, one).hint
        assert len(re.findall(r"[.?!](?:\s|$)", hint)) <= 2, hint
        assert not any(secret in hint for secret in EXERCISES["04.2"].secrets), hint
