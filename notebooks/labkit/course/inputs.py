"""Forms for the kinds of questions: widgets in, an answer out; by mouse, by keyboard and from code.

Must not live here: what becomes of the answer (cards.py, exercise_panel.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import ipywidgets  # type: ignore[import-untyped]

from labkit.course.questions import BadAnswer, Choice, Curve, Number, Order, Question, Several
from labkit.panels import controls

SHORT = 12  # options up to this length stand side by side, all in sight


class NumberBox(controls.Reachable, ipywidgets.Text):  # type: ignore[misc]
    """A box for a number, empty until somebody writes one: a number box would say 0, which nobody guessed."""


@dataclass
class Form:
    """The widget that asks; how to read and to fill it, and how to keep an answer that is locked."""

    widget: Any
    read: Callable[[], Any]
    fill: Callable[[Any], None]
    keep: Callable[[bool], None]


def form_for(question: Question, *, label: str = "") -> Form:
    """The form that takes an answer to this question."""
    if isinstance(question, Choice):
        return _choice(question, label)
    if isinstance(question, Number):
        return _number(question, label)
    if isinstance(question, Curve):
        return _rows(
            [f"after {place:g} {question.at_unit}" for place in question.at], list(question.at), question.unit
        )
    if isinstance(question, Several):
        return _several(question)
    if isinstance(question, Order):
        return _order(question)
    raise TypeError(f"no form for {type(question).__name__}")


def _choice(question: Choice, label: str) -> Form:
    control = controls.Choice(label=label or "Your answer", options=question.options, value=None)
    is_row = bool(label) and max(map(len, question.options)) <= SHORT
    control.add_class("lab-answer-row" if is_row else "lab-answers")
    return Form(control, lambda: control.value, *_keeping(control))


def _words(text: str) -> Any:
    words = ipywidgets.HTML(f'<span class="lab-row-words">{escape(text)}</span>')
    words.add_class("lab-row-label")
    return words


def _keeping(*parts: Any) -> tuple[Callable[[Any], None], Callable[[bool], None]]:
    """How to fill a control, and how to keep what it says: the browser's own radio buttons stay usable for the eye,
    the ear and the keyboard, and jump back."""
    kept: dict[int, Any] = {}

    def fill(answer: Any) -> None:
        parts[0].value = answer

    def keep(is_kept: bool) -> None:
        kept.clear()
        if is_kept:
            kept.update({id(part): part.value for part in parts})

    def changed(change: Any) -> None:
        part = change["owner"]
        if id(part) in kept and change["new"] != kept[id(part)]:
            part.value = kept[id(part)]

    for part in parts:
        part.observe(changed, "value")
    return fill, keep


def _number(question: Number, label: str) -> Form:
    box = NumberBox(
        description=label or "Your number", style={"description_width": "initial"}, layout={"width": "240px"}
    )
    row = ipywidgets.HBox([box, _words(question.unit)], layout={"align_items": "center"})
    return Form(
        row, lambda: _written(box), lambda answer: _write(box, answer), lambda kept: _disable([box], kept)
    )


def _written(box: NumberBox) -> str | None:
    """What stands in the box, with a decimal point; None if nothing does."""
    return box.value.strip().replace(",", ".").rstrip("%").strip() or None


def _write(box: NumberBox, answer: Any) -> None:
    box.value = f"{float(answer):g}"


def _disable(boxes: list[NumberBox], disabled: bool) -> None:
    for box in boxes:
        box.disabled = disabled


def _rows(labels: list[str], places: list[float], unit: str) -> Form:
    boxes = [
        NumberBox(description=label, style={"description_width": "initial"}, layout={"width": "190px"})
        for label in labels
    ]

    def read() -> dict[float, str | None]:
        answer = {place: _written(box) for place, box in zip(places, boxes, strict=True)}
        if None in answer.values():
            raise BadAnswer(f"write a number into each of the {len(boxes)} boxes")
        return answer

    def fill(answer: Any) -> None:
        values = answer if isinstance(answer, list | tuple) else [answer[place] for place in places]
        for box, value in zip(boxes, values, strict=True):
            _write(box, value)

    row = ipywidgets.HBox([*boxes, _words(unit)], layout={"flex_flow": "row wrap", "align_items": "center"})
    return Form(row, read, fill, lambda kept: _disable(boxes, kept))


def _several(question: Several) -> Form:
    choices = [controls.Choice(label=row, options=question.options, value=None) for row in question.rows]
    _, keep = _keeping(*choices)

    def read() -> dict[str, str] | None:
        answer = {row: choice.value for row, choice in zip(question.rows, choices, strict=True)}
        if None in answer.values():
            raise BadAnswer(f"choose an answer in each of the {len(choices)} rows")
        return answer

    def fill(answer: Any) -> None:
        for row, choice in zip(question.rows, choices, strict=True):
            choice.value = answer[row]

    box = ipywidgets.VBox(choices)
    box.add_class("lab-answer-row")
    return Form(box, read, fill, keep)


def _order(question: Order) -> Form:
    places = tuple(str(place) for place in range(1, len(question.items) + 1))
    choices = [controls.Choice(label=item, options=places, value=None) for item in question.items]
    _, keep = _keeping(*choices)

    def read() -> tuple[str, ...]:
        ranks = {item: choice.value for item, choice in zip(question.items, choices, strict=True)}
        if None in ranks.values() or len(set(ranks.values())) != len(ranks):
            raise BadAnswer("give each item a place of its own")
        return tuple(sorted(question.items, key=lambda item: int(ranks[item])))

    def fill(answer: Any) -> None:
        for item, choice in zip(question.items, choices, strict=True):
            choice.value = str(list(answer).index(item) + 1)

    box = ipywidgets.VBox(choices)
    box.add_class("lab-answer-row")
    return Form(box, read, fill, keep)
