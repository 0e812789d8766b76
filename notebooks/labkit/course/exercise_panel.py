"""An exercise on the page: its form, *Check*, the judgement with one hint, and the folded answer.

A check never raises and never prints a traceback, whatever a student's function does; `grade` raises the hint alone,
for graders that want an exception.
Must not live here: judging (exercise.py and the lessons).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any, Protocol

import ipywidgets  # type: ignore[import-untyped]

from kvnode.cluster import ClusterError
from kvnode.errors import KvError
from labkit.course.exercise import Exercise, Judgement, Tries
from labkit.course.inputs import form_for
from labkit.course.questions import BadAnswer
from labkit.errors import LabError
from labkit.panels.controls import Button
from labkit.panels.style import card_parts


class Course(Protocol):
    """What a panel needs of the course."""

    def submit(self, doing: str, action: Callable[[], object], *, done: Callable[[str | None], None]) -> None:
        """Queue work for the one worker thread."""


class Graded(AssertionError):
    """What `grade` raises: the hint alone, without a traceback in a notebook."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class ExercisePanel(ipywidgets.VBox):  # type: ignore[misc]
    """One exercise; the same panel whether it is worked by mouse, by keyboard or from code."""

    def __init__(self, exercise: Exercise, course: Course, tries: Tries) -> None:
        self.exercise, self.tries = exercise, tries
        self._course = course
        self.forms = {name: form_for(question, label=name) for name, question in exercise.fields.items()}
        head = ipywidgets.HTML(
            f'<div class="lab-kicker">Exercise {exercise.name}</div>'
            f'<div class="lab-question">{escape(exercise.title)}</div>'
            f'<div class="lab-task">{escape(exercise.task)}</div>'
        )
        self.check_button = Button(description="Check")
        self.check_button.add_class("lab-check")
        self.check_button.on_click(self._check_clicked)
        self.answer_button = Button(description="Show the answer")
        self.answer_button.add_class("lab-answer")
        self.answer_button.on_click(self.answer)
        self._said = ipywidgets.HTML()
        self._said.add_class("lab-result")
        self._folded = ipywidgets.HTML()
        fields = [form.widget for form in self.forms.values()]
        bar = [self.answer_button] if exercise.takes_code else [self.check_button, self.answer_button]
        buttons = ipywidgets.HBox(bar)
        buttons.add_class("lab-bar")
        super().__init__([*card_parts(), head, *fields, buttons, self._said, self._folded])
        self.add_class("lab-panel")
        self.add_class("lab-card")

    def check(self, answer: Any) -> Judgement:
        """Judge an answer; runs what must be run for it. Never raises."""
        try:
            given = self.exercise.given(answer)
        except BadAnswer as problem:
            return self._show(
                Judgement("not yet", f"This is no answer yet: {problem}."), answer, counts=False
            )
        if not self.exercise.takes_code:
            self._fill(given)
        return self._judge(given)

    def grade(self, answer: Any) -> None:
        """For a grader: nothing if right, otherwise an AssertionError with the hint alone."""
        judgement = self.check(answer)
        if judgement.status != "right":
            raise Graded(judgement.hint or judgement.said)

    def answer(self) -> None:
        """Unfold the answer. Free after a try; before it, a click more says that it was not tried."""
        if self.tries.shown_after is None:
            self.tries.shown_after = len(self.tries.judgements)
        try:
            text = self.exercise.answer(self._course)
        except LabError as problem:
            text = str(problem)
        self._folded.value = (
            f'<div class="lab-said"><b>An answer:</b> <span class="lab-pre">{escape(text)}</span>'
            f"<br>{escape(self.exercise.because)}</div>"
        )

    # --- inside -------------------------------------------------------------------------------------------

    def _check_clicked(self) -> None:
        self.check_button.description = "checking…"
        try:
            given = self.exercise.given({name: form.read() for name, form in self.forms.items()})
        except BadAnswer as problem:
            self._show(Judgement("not yet", f"This is no answer yet: {problem}."), None, counts=False)
            self.check_button.description = "Check"
            return
        self._course.submit(
            f"checking exercise {self.exercise.name}", lambda: self._judge(given), done=self._checked
        )

    def _checked(self, problem: str | None) -> None:
        self.check_button.description = "Check"
        if problem:
            self._show(
                Judgement.inconclusive(f"The check did not come to its end: {problem}."), None, counts=False
            )

    def _judge(self, given: Mapping[str, Any]) -> Judgement:
        self._said.value = '<div class="lab-said">Running it on the cluster …</div>'
        try:
            judgement = self.exercise.judge(given, self.exercise.measure(self._course, given))
        except (LabError, KvError, ClusterError) as problem:
            judgement = Judgement.inconclusive(str(problem))
        except Exception as error:  # noqa: BLE001  (a student's function may raise anything; it gets one sentence)
            judgement = Judgement("not yet", f"It stopped: {type(error).__name__}: {error}{_line_of(error)}.")
        return self._show(judgement, given)

    def _show(self, judgement: Judgement, given: Any, *, counts: bool = True) -> Judgement:
        if counts:
            self.tries.judgements.append(judgement)
            self.tries.answers.append(_words(self.exercise, given))
        self._said.value = judgement.html()
        return judgement

    def _fill(self, given: Mapping[str, Any]) -> None:
        for name, value in given.items():
            self.forms[name].fill(value)


def _words(exercise: Exercise, given: Any) -> str:
    if exercise.takes_code:
        return getattr(given["function"], "__name__", "a function")
    return ", ".join(f"{name} {exercise.fields[name].words(value)}" for name, value in given.items())


def _line_of(error: Exception) -> str:
    """Where in a student's own cell it stopped."""
    place, line = error.__traceback__, 0
    while place is not None:
        name = place.tb_frame.f_code.co_filename
        if "ipykernel" in name or name.startswith("<"):
            line = place.tb_lineno
        place = place.tb_next
    return f" (line {line} of your cell)" if line else ""
