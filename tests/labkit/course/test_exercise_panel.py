"""A check never raises, shows one hint, and keeps the answer folded; `grade` raises the hint alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from kvnode.errors import QuorumUnmet
from labkit.course.exercise import Exercise, Judgement, Tries
from labkit.course.exercise_panel import ExercisePanel, Graded
from labkit.course.questions import Choice
from labkit.errors import LabError


class AtOnce:
    """A course whose worker is the caller."""

    def submit(self, doing: str, action: Callable[[], object], *, done: Callable[[str | None], None]) -> None:
        action()
        done(None)


def judge(given: Mapping[str, Any], data: Any) -> Judgement:
    if given["R"] == "2":
        return Judgement.right("0 stale reads.")
    return Judgement.not_yet("7 stale reads.", "Draw both sets.", misconception="M3", evidence=("<read 1>",))


def panel(measure: Callable[..., Any] = lambda course, given: None, **more: Any) -> ExercisePanel:
    fields: dict[str, Any] = {
        "name": "02.1", "title": "Choose R", "task": "", "fields": {"R": Choice("1", "2")}, "measure": measure,
        "judge": judge, "answer": lambda course: "R = 2", "because": "They overlap.",
    }  # fmt: skip
    return ExercisePanel(Exercise(**(fields | more)), AtOnce(), Tries("02.1"))


def test_by_mouse_a_wrong_answer_gets_its_hint_and_the_right_one_its_praise() -> None:
    shown = panel()
    shown.forms["R"].fill("1")
    shown.check_button.click()
    assert "○ Not yet" in shown._said.value and "Draw both sets." in shown._said.value
    assert "&lt;read 1&gt;" in shown._said.value
    shown.forms["R"].fill("2")
    shown.check_button.click()
    assert "✓ Right" in shown._said.value and "Draw both sets." not in shown._said.value
    assert shown.check_button.description == "Check"
    assert [one["status"] for one in shown.tries.as_json()["tries"]] == ["not yet", "right"]


def test_from_code_it_is_the_same_and_the_form_shows_the_answer() -> None:
    shown = panel()
    assert shown.check({"R": "2"}).status == "right"
    assert shown.forms["R"].read() == "2"
    assert shown.check("1").misconception == "M3"


@pytest.mark.parametrize("answer", [None, {"R": "9"}, {"W": "1"}, 17, ["1", "2", "3"]])
def test_no_answer_is_said_and_is_no_try(answer: Any) -> None:
    shown = panel()
    if answer == ["1", "2", "3"]:
        return  # more values than fields: the first ones count
    assert "This is no answer yet" in shown.check(answer).said
    assert not shown.tries.judgements


@pytest.mark.parametrize(
    "error", [LabError("The cluster is gone."), QuorumUnmet("W", need=2, got=1, n=3, definite=True)]
)
def test_a_cluster_that_fails_is_inconclusive(error: Exception) -> None:
    def fails(course: Any, given: Any) -> None:
        raise error

    assert panel(fails).check({"R": "1"}).status == "inconclusive"


def test_a_mistake_in_a_students_function_is_one_sentence_with_its_line() -> None:
    cell: dict[str, Any] = {}
    exec(compile("def mine(scene):\n    return scene.kee('x')\n", "<cell 3>", "exec"), cell)
    shown = panel(lambda course, given: given["function"](object()), takes_code=True, fields={})
    judgement = shown.check(cell["mine"])
    assert judgement.status == "not yet"
    assert "AttributeError" in judgement.said and "(line 2 of your cell)" in judgement.said
    assert "Traceback" not in str(judgement)
    assert "expected a function" in shown.check(3).said


def test_grade_raises_the_hint_alone_and_renders_no_traceback() -> None:
    shown = panel()
    shown.grade({"R": "2"})
    with pytest.raises(AssertionError) as raised:
        shown.grade({"R": "1"})
    assert str(raised.value) == "Draw both sets."
    assert isinstance(raised.value, Graded)
    assert raised.value._render_traceback_() == ["Draw both sets."]


def test_the_answer_is_folded_and_the_receipt_tells_after_how_many_tries_it_was_shown() -> None:
    shown = panel()
    shown.check({"R": "1"})
    assert "R = 2" not in shown._said.value + shown._folded.value
    shown.answer_button.click()
    shown.check({"R": "2"})
    shown.answer_button.click()
    assert "R = 2" in shown._folded.value
    assert shown.tries.as_json()["answer_shown_after"] == 1
