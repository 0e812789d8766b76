"""The exercises of 03: the answer passes, wrong answers fail each with a hint of its own, and luck is no verdict."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from labkit.course import ex03
from labkit.course.exercise import Judgement
from labkit.course.operations import Operation
from labkit.errors import LabError

Make = Callable[..., Operation]
SceneOf = Callable[..., Any]


def split(operation: Make, scene_of: SceneOf, **more: Any) -> Any:
    """split_likes as the notebook plays it for the exercise: 7 at node-1, 8 at node-2, 12 together."""

    def count(node: str, r: int, value: int, actors: dict[str, tuple[int, int]]) -> Operation:
        told = {name: {"increments": given, "decrements": taken} for name, (given, taken) in actors.items()}
        return operation("Alice", "count", value, node=node, answer={"r": r, "actors": told})

    return scene_of(
        count("node-1", 1, 7, {"alice": (7, 0)}),
        count("node-2", 1, 8, {"alice": (3, 0), "bob": (9, 4)}),
        count("node-1", 3, 12, {"alice": (7, 0), "bob": (9, 4)}),
        **more,
    )


WRONG_SUMS = (15, 7, 8, 16, 99)


def test_03_1_the_merged_value_is_right_and_each_way_to_miss_it_has_its_hint(
    operation: Make, scene_of: SceneOf
) -> None:
    scene = split(operation, scene_of)
    assert ex03.judge_merge({"value": 12.0}, scene).status == "right"
    wrong = {answer: ex03.judge_merge({"value": answer}, scene) for answer in WRONG_SUMS}
    assert {one.status for one in wrong.values()} == {"not yet"}
    assert wrong[7].hint == wrong[8].hint  # one belief: a replica alone knows
    assert len({one.hint for one in wrong.values()}) == 4
    assert wrong[15].misconception == "M5"
    assert all("12" not in str(one) and "12" not in " ".join(one.evidence) for one in wrong.values())


def test_03_1_without_a_run_nothing_is_judged(operation: Make, scene_of: SceneOf) -> None:
    assert ex03.judge_merge({"value": 12}, None).status == "inconclusive"
    missed = split(operation, scene_of, conclusive=False)
    assert ex03.judge_merge({"value": 15}, missed).status == "inconclusive"


class NoRuns:
    """A course in which nothing was played."""

    def last_scene(self, function: Any) -> None:
        return None


def test_03_1_the_answer_says_what_is_missing() -> None:
    with pytest.raises(LabError, match="no conclusive run"):
        ex03.EXERCISES["03.1"].answer(NoRuns())


def smaller(operation: Make, scene_of: SceneOf, shown: int = 5, **more: Any) -> Any:
    return scene_of(
        operation("Alice", "increment", 5), operation("Alice", "increment", 4), operation("Alice", "count", shown),
        **more,
    )  # fmt: skip


WRONG_REASONS = [("4", ex03.LAST), ("an error", ex03.REFUSED), ("9", ex03.MERGED)]
WRONG_REASONS += [("5", why) for why in (ex03.REFUSED, ex03.SLOW, ex03.LAST)]


def test_03_2_a_smaller_total_is_old_news_and_each_other_belief_has_its_hint(
    operation: Make, scene_of: SceneOf
) -> None:
    scene = smaller(operation, scene_of)
    assert ex03.judge_smaller({"a read shows": "5", "because": ex03.MERGED}, scene).status == "right"
    found = [
        ex03.judge_smaller({"a read shows": shows, "because": why}, scene) for shows, why in WRONG_REASONS
    ]
    assert {one.status for one in found} == {"not yet"}
    assert len({one.hint for one in found}) == len(WRONG_REASONS)
    assert found[0].misconception == "M8"


def test_03_2_a_scene_that_missed_is_inconclusive(operation: Make, scene_of: SceneOf) -> None:
    missed = smaller(operation, scene_of, conclusive=False)
    assert ex03.judge_smaller({"a read shows": "4", "because": ex03.LAST}, missed).status == "inconclusive"


def sent(operation: Make, *likes: list[dict[str, Any]], final: int = 2, first: str = "unknown") -> ex03.Sent:
    """Messages as a student's function sends them; the very first one meets `first`."""
    made: list[tuple[Operation, ...]] = []
    outcome = first
    for like in likes:
        tries = []
        for one in like:
            fields = {
                "outcome": outcome,
                "options": {name: one[name] for name in one if name in ("actor", "w")},
            }
            tries.append(
                operation("Alice", "increment", one.get("total", 1), **(fields | one.get("more", {})))
            )
            outcome = "ok"
        made.append(tuple(tries))
    return ex03.Sent(tuple(made), operation("Bob", "count", final))


ALICE_1, ALICE_2 = {"actor": "alice", "total": 1}, {"actor": "alice", "total": 2}


def wrong_retries(operation: Make) -> dict[str, ex03.Sent]:
    """What people write: each with the count that the cluster ends with."""
    refused = {"more": {"outcome": "refused"}}
    return {
        "no actor": sent(operation, [{}, {}], [{}], final=3),
        "a new actor each try": sent(operation, [{"actor": "a"}, {"actor": "b"}], [{"actor": "c"}], final=3),
        "the total grows with each try": sent(
            operation, [ALICE_1, ALICE_2], [ALICE_2 | {"total": 3}], final=3
        ),
        "the total stays 1": sent(operation, [ALICE_1, ALICE_1], [ALICE_1], final=1),
        "no retry": sent(operation, [ALICE_1], [ALICE_2]),
        "gives up": sent(operation, [ALICE_1, ALICE_1 | refused], [ALICE_2]),
        "w=1": sent(operation, [ALICE_1 | {"w": 1}], [ALICE_2], first="ok"),
        "a total too large": sent(operation, [ALICE_1, ALICE_1], [ALICE_1 | {"total": 9}], final=9),
        "nothing": sent(operation, [], []),
    }


def test_03_3_a_running_total_is_right_and_so_is_a_name_for_each_like(operation: Make) -> None:
    total = sent(operation, [ALICE_1, ALICE_1], [ALICE_2])
    named = sent(operation, [{"actor": "like-0"}, {"actor": "like-0"}], [{"actor": "like-1"}])
    assert [ex03.judge_retry({}, one).status for one in (total, named)] == ["right", "right"]


def test_03_3_each_way_to_miss_it_has_its_hint(operation: Make) -> None:
    found = {name: ex03.judge_retry({}, one) for name, one in wrong_retries(operation).items()}
    assert {one.status for one in found.values()} == {"not yet"}
    assert len({one.hint for one in found.values()}) == len(found) - 1  # "gives up" is a way of "no retry"
    assert found["a new actor each try"].misconception == "M6"
    assert found["no retry"].misconception == "M10"


def test_03_3_an_error_that_did_not_come_is_inconclusive(operation: Make) -> None:
    for first in ("ok", "refused"):
        lucky = sent(operation, [{}], [{}], first=first)
        assert ex03.judge_retry({}, lucky).status == "inconclusive"
    unread = ex03.Sent(sent(operation, [ALICE_1, ALICE_1], [ALICE_2]).likes, None)
    assert ex03.judge_retry({}, unread).status == "inconclusive"


class Faults:
    """Writes down what a scene broke, and between which messages."""

    def __init__(self, operation: Make) -> None:
        self.log: list[Any] = []
        self._operation = operation

    def fault(self, verb: str, node: int) -> None:
        self.log.append((verb, node))

    def increment(self, key: str, **options: Any) -> Operation:
        self.log.append(options)
        return self._operation("Alice", "increment", 1)


def test_03_3_two_nodes_stand_still_for_the_first_message_alone_and_no_function_goes_on_for_ever(
    operation: Make,
) -> None:
    faults = Faults(operation)
    alice = ex03.Shaken(faults, faults)  # type: ignore[arg-type]
    alice.increment("likes", w=2)
    alice.increment("likes", w=2)
    pauses, resumes = [("pause", 2), ("pause", 3)], [("resume", 2), ("resume", 3)]
    assert faults.log == [*pauses, {"w": 2}, *resumes, {"w": 2}]
    with pytest.raises(LabError, match="more than 8 messages"):
        while True:
            alice.increment("likes")


def every_hint(operation: Make, scene_of: SceneOf) -> dict[str, list[Judgement]]:
    scene = smaller(operation, scene_of)
    return {
        "03.1": [ex03.judge_merge({"value": answer}, split(operation, scene_of)) for answer in WRONG_SUMS],
        "03.2": [
            ex03.judge_smaller({"a read shows": shows, "because": why}, scene) for shows, why in WRONG_REASONS
        ],
        "03.3": [ex03.judge_retry({}, one) for one in wrong_retries(operation).values()],
    }


@pytest.mark.parametrize("name", ex03.EXERCISES)
def test_no_hint_has_more_than_two_sentences_or_gives_the_answer_away(
    operation: Make, scene_of: SceneOf, name: str
) -> None:
    secrets = ex03.EXERCISES[name].secrets
    assert secrets
    for judgement in every_hint(operation, scene_of)[name]:
        hint = judgement.hint
        assert hint and len(re.findall(r"[.?!](?:\s|$)", hint)) <= 2, hint
        assert not [secret for secret in secrets if secret.lower() in hint.lower()], hint


def test_03_3_the_folded_answer_is_a_function_of_three() -> None:
    cell: dict[str, Any] = {}
    exec(ex03.RETRY_ANSWER, cell)
    assert cell["like"].__code__.co_varnames[:3] == ("alice", "key", "likes_before")
