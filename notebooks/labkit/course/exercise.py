"""Exercises: an answer is judged against the student's own measurements.

A judgement is *right*, *not yet* with one hint, or *inconclusive*: the data cannot tell, run it again. An inconclusive
run never says "not yet". Every known wrong answer names its misconception. The answer is folded, not withheld.
Must not live here: the exercises themselves (ex02.py, ex04.py), and their widgets (exercise_panel.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any, Literal

from labkit.course.questions import BadAnswer, Question

Status = Literal["right", "not yet", "inconclusive"]
SIGNS: dict[Status, str] = {"right": "✓ Right", "not yet": "○ Not yet", "inconclusive": "? Inconclusive"}
CLASSES: dict[Status, str] = {"right": "lab-good", "not yet": "lab-warn", "inconclusive": "lab-warn"}


@dataclass(frozen=True)
class Judgement:
    """How an answer stands. said: what was measured, in one sentence. hint: at most two sentences, without the answer.

    misconception: the belief behind a wrong answer, by its name in the course (M1 to M16), or "".
    """

    status: Status
    said: str
    hint: str = ""
    misconception: str = ""
    evidence: tuple[str, ...] = ()

    @classmethod
    def right(cls, said: str, *evidence: str) -> Judgement:
        """The measurements agree with the answer."""
        return cls("right", said, evidence=evidence)

    @classmethod
    def not_yet(
        cls, said: str, hint: str, *, misconception: str = "", evidence: tuple[str, ...] = ()
    ) -> Judgement:
        """The measurements contradict the answer."""
        return cls("not yet", said, hint, misconception, evidence)

    @classmethod
    def inconclusive(cls, said: str) -> Judgement:
        """The measurements cannot tell."""
        return cls("inconclusive", said, "Run it again: this says nothing about your answer.")

    def __str__(self) -> str:
        hint = (
            f" Hint: {self.hint}"
            if self.hint and self.status == "not yet"
            else f" {self.hint}"
            if self.hint
            else ""
        )
        return f"{SIGNS[self.status]}: {self.said}{hint}"

    def __repr__(self) -> str:
        return str(self)

    def html(self) -> str:
        """The judgement as a panel shows it."""
        hint = f'<div class="lab-hint">{escape(self.hint)}</div>' if self.hint else ""
        seen = "".join(f"<li>{escape(line)}</li>" for line in self.evidence[:5])
        return (
            f'<div class="lab-judgement" role="status"><b class="{CLASSES[self.status]}">{SIGNS[self.status]}.</b> '
            f"{escape(self.said)}{hint}{f'<ul>{seen}</ul>' if seen else ''}</div>"
        )


@dataclass(frozen=True)
class Exercise:
    """One exercise. fields: its form, by name. measure: gathers data for an answer (it may run a scene). judge: pure.

    answer: what passes, in words. because: why, shown with the folded answer. secrets: words that give the answer away,
    which no hint may hold.
    """

    name: str
    title: str
    task: str
    fields: Mapping[str, Question]
    measure: Callable[[Any, Mapping[str, Any]], Any]
    judge: Callable[[Mapping[str, Any], Any], Judgement]
    answer: Callable[[Any], str]
    because: str
    secrets: tuple[str, ...] = ()
    takes_code: bool = False

    def given(self, answer: Any) -> dict[str, Any]:
        """The answer by field; BadAnswer says what was expected."""
        if self.takes_code:
            if not callable(answer):
                raise BadAnswer("expected a function of the scene: exercise.check(my_function)")
            return {"function": answer}
        if not isinstance(answer, Mapping):
            names = list(self.fields)
            values = answer if isinstance(answer, list | tuple) else [answer]
            answer = dict(zip(names, values, strict=False))
        missing = set(self.fields) - set(answer)
        if missing or set(answer) - set(self.fields):
            raise BadAnswer(
                f"expected {', '.join(self.fields)}; got {', '.join(map(str, answer)) or 'nothing'}"
            )
        return {name: question.check(answer[name]) for name, question in self.fields.items()}


@dataclass
class Tries:
    """What became of one exercise in this session. shown: whether its answer was unfolded, after how many tries."""

    name: str
    judgements: list[Judgement] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    shown_after: int | None = None

    @property
    def last(self) -> Judgement | None:
        """The newest judgement."""
        return self.judgements[-1] if self.judgements else None

    def as_json(self) -> dict[str, Any]:
        """For the receipt."""
        return {
            "name": self.name,
            "tries": [
                {"answer": answer, "status": one.status, "said": one.said, "misconception": one.misconception}
                for answer, one in zip(self.answers, self.judgements, strict=True)
            ],
            "answer_shown_after": self.shown_after,
        }  # fmt: skip
