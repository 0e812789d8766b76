"""The cards of predictions: a question with its form, what was seen, and the guess beside the measurement.

Nothing here blocks a cell. A card keeps its state in the kernel, so a page that is reloaded shows it again.
Must not live here: the rules of covering (prediction.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import ipywidgets  # type: ignore[import-untyped]

from labkit.course.inputs import Form, form_for
from labkit.course.pictures import widget_of
from labkit.course.prediction import Measured, Prediction
from labkit.course.questions import BadAnswer, Choice, Question
from labkit.errors import LabError
from labkit.panels.controls import Button
from labkit.panels.style import card_parts

Here = Callable[[], Callable[[Callable[[], Any]], Any]]


class PredictionCard(ipywidgets.VBox):  # type: ignore[misc]
    """The question with its form, *Lock my answer* and *Skip*; on request a show of hands."""

    def __init__(self, prediction: Prediction) -> None:
        self.prediction = prediction
        self.form: Form = form_for(prediction.question)
        kicker = "What did you see?" if prediction.is_observation else "Predict, before you run on"
        self._head = ipywidgets.HTML(
            f'<div class="lab-kicker">{kicker}</div><div class="lab-question">{escape(prediction.text)}</div>'
        )
        self.lock_button = _button("Lock my answer", "lab-lock", self._lock)
        self.skip_button = _button("Skip", "lab-skip", self._skip)
        self.again_button = _button("Begin again", "lab-again", self._again)
        self._said = ipywidgets.HTML()
        bar = ipywidgets.HBox([self.lock_button, self.skip_button, self.again_button])
        bar.add_class("lab-bar")
        rows = [*card_parts(), self._head, self.form.widget, bar, self._said]
        if prediction.takes_hands and isinstance(prediction.question, Choice):
            rows.append(self._hands(prediction.question))
        super().__init__(rows)
        self.add_class("lab-panel")
        self.add_class("lab-card")
        prediction.on_change(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the state."""
        prediction = self.prediction
        is_open = prediction.state == "open"
        self.form.keep(False)
        if prediction.state == "locked":
            self.form.fill(prediction.guess)
            self.form.keep(True)
        self.lock_button.description = "Locked" if prediction.state == "locked" else "Lock my answer"
        self.skip_button.description = "Skipped" if prediction.state == "skipped" else "Skip"
        self.lock_button.disabled = prediction.state == "locked"
        self.skip_button.disabled = not is_open  # what is locked or skipped is closed; *Begin again* opens it
        self.again_button.layout.display = "none" if is_open else None
        (self.add_class if is_open else self.remove_class)("lab-open")
        if prediction.state == "locked":
            words = escape(prediction.question.words(prediction.guess))
            label = "You saw" if prediction.is_observation else "Your guess"
            self._say(f"✓ {label}: <b>{words}</b>")
        elif prediction.state == "skipped":
            self._say("Skipped: nothing is covered any more. You can still lock a guess.")
        else:
            self._say("")

    def _lock(self) -> None:
        if self.prediction.state == "locked":
            return
        try:
            answer = self.form.read()
            if answer is None:
                raise BadAnswer("nothing is chosen yet")
            self.prediction.lock(answer)
        except BadAnswer as problem:
            self._say(f'<span class="lab-warn">Not locked: {escape(str(problem))}.</span>')

    def _skip(self) -> None:
        self.prediction.skip()

    def _again(self) -> None:
        self.prediction.again()

    def _say(self, html: str) -> None:
        self._said.value = f'<div class="lab-said" role="status">{html}</div>' if html else ""

    def _hands(self, question: Choice) -> Any:
        boxes = [
            ipywidgets.IntText(
                0, description=option, style={"description_width": "initial"}, layout={"width": "auto"}
            )
            for option in question.options
        ]

        def vote() -> None:
            try:
                counts = {option: box.value for option, box in zip(question.options, boxes, strict=True)}
                self.prediction.vote(counts)
                self._say(f"Vote {len(self.prediction.hands)} is noted. After a discussion, count again.")
            except BadAnswer as problem:
                self._say(f'<span class="lab-warn">{escape(str(problem))}</span>')

        button = _button("Note the hands", "lab-vote", vote)
        inside = ipywidgets.VBox([*boxes, button])
        fold = ipywidgets.Accordion(
            [inside], titles=("Show of hands (for the teacher)",), selected_index=None
        )
        fold.add_class("lab-hands")
        return fold


class RevealCard(ipywidgets.VBox):  # type: ignore[misc]
    """Guess, class and measurement side by side; covered until the guess is locked or skipped."""

    def __init__(self, prediction: Prediction) -> None:
        self.prediction = prediction
        self._html = ipywidgets.HTML()
        super().__init__([*card_parts(), self._html])
        self.add_class("lab-panel")
        self.add_class("lab-card")
        self.add_class("lab-reveal")
        prediction.on_change(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Cover or show."""
        self._html.value = reveal_html(self.prediction)


class Covered(ipywidgets.VBox):  # type: ignore[misc]
    """Anything that would give the result away, covered until the guess is locked or skipped."""

    def __init__(self, prediction: Prediction, make: Callable[[], Any]) -> None:
        self.prediction = prediction
        self._make: Callable[[], Any] | None = make
        self.shown: Any = None
        """What was covered; None as long as it is."""
        self._note = ipywidgets.HTML()
        self._frame = (*card_parts(), self._note)
        super().__init__(self._frame)
        self.add_class("lab-panel")
        self._forget = prediction.on_change(self.refresh)
        self.refresh()

    def close(self) -> None:
        """Nobody sees it any more."""
        self._forget()
        super().close()

    def refresh(self) -> None:
        """Uncover it once the guess is closed; afterwards it stays."""
        if self._make is not None and self.prediction.closed:
            make, self._make = self._make, None
            self._note.value = ""
            self.shown = widget_of(make())
            self.children = (*self._frame, self.shown)
        elif self._make is not None:
            self._note.value = (
                '<div class="lab-card"><div class="lab-said">▒ The result is covered: lock your guess above, '
                "or skip it. It appears here at once.</div></div>"
            )


class Guess:
    """What `session.predict` gives: the prediction with its card, as the last line of a cell shows it."""

    def __init__(self, prediction: Prediction, *, here: Here | None = None) -> None:
        """here: gives what makes a widget for the cell that is running (cells.py)."""
        self.prediction = prediction
        self.card = PredictionCard(prediction)
        self._here: Here = here or (lambda: lambda make: make())
        self._saw: dict[str, Guess] = {}
        self._reveal: RevealCard | None = None

    @property
    def answer(self) -> Any:
        """What was locked; None if nothing was."""
        return self.prediction.guess

    def lock(self, answer: Any) -> Guess:
        """The same as the button, from code; BadAnswer says what was expected."""
        self.prediction.lock(answer)
        return self

    def skip(self) -> Guess:
        """The same as the button."""
        self.prediction.skip()
        return self

    def vote(self, **counts: int) -> Guess:
        """A show of hands, from code."""
        self.prediction.vote(counts)
        return self

    def saw(self, name: str, question: Question, text: str = "What did you see?") -> Guess:
        """Ask, after the run and before the measurement is shown, what was seen."""
        if name not in self._saw:
            observation = Prediction(name, text, question, is_observation=True)
            self.prediction.observe(observation)
            self._saw[name] = Guess(observation)
        return self._saw[name]

    def cover(self, make: Callable[[], Any]) -> Covered:
        """A picture or table that gives the result away: covered until the guess is locked or skipped."""
        in_this_cell = self._here()
        covered: Covered = in_this_cell(lambda: Covered(self.prediction, lambda: in_this_cell(make)))
        return covered

    def reveal(self, measured: Any, *, spread: str = "", source: str = "") -> RevealCard:
        """What was measured, beside the guess; covered until that is locked or skipped. Goes on at once."""
        try:
            value = self.prediction.question.check(measured)
        except BadAnswer as problem:
            raise LabError(
                "There is no measurement to show.",
                why=str(problem),
                do="run the cell that measures once more",
            ) from problem
        self.prediction.measure(Measured(value, spread, source))
        if self._reveal is None:
            self._reveal = RevealCard(self.prediction)
        return self._reveal

    def _repr_mimebundle_(self, **keywords: Any) -> Any:
        return self.card._repr_mimebundle_(**keywords)

    def __repr__(self) -> str:
        return f"<{self.prediction.name}: {self.prediction.state}>"


def reveal_html(prediction: Prediction) -> str:
    """The card as HTML: covered, or guess, class and measurement."""
    measured = prediction.measured
    question = f'<div class="lab-kicker">{escape(prediction.text)}</div>'
    if measured is None:
        return f'{question}<div class="lab-said">Nothing has been measured yet.</div>'
    if prediction.covered:
        return (
            f'{question}<div class="lab-compare">▒ The measurement is here, and covered: '
            f"{escape(prediction.waits_for)}.</div>"
        )
    more = " · ".join(part for part in (measured.spread, measured.source) if part)
    facts = _facts(prediction, measured.value, more)
    compared = ""
    if prediction.state == "locked":
        sign = "✓" if prediction.guess == measured.value else "→"
        said = escape(prediction.question.compare(prediction.guess, measured.value))
        compared = f'<div class="lab-compare">{sign} {said}</div>'
    return f"{question}{facts}{compared}{_hands_html(prediction)}"


def _facts(prediction: Prediction, measured: Any, more: str) -> str:
    """One value as tiles, several as a table."""
    is_locked, words = prediction.state == "locked", prediction.question.words
    saw = [one.question.words(one.guess) for one in prediction.observations if one.state == "locked"]
    if not isinstance(measured, Mapping):
        tiles = [_fact("Your guess", words(prediction.guess) if is_locked else "skipped")]
        tiles += [_fact("You saw", one) for one in saw]
        return f'<div class="lab-tiles3">{"".join(tiles)}{_fact("Measured", words(measured), more)}</div>'
    rows = "".join(
        f"<tr><td>{escape(place)}</td><td>{escape(guess)}</td><td>{escape(found)}</td></tr>"
        for place, guess, found in prediction.question.rows_of(
            prediction.guess if is_locked else None, measured
        )
    )
    seen = "".join(f'<div class="lab-said">You saw: <b>{escape(one)}</b></div>' for one in saw)
    return (
        f'<table class="lab-compared"><thead><tr><th></th><th>your guess</th><th>measured</th></tr></thead>'
        f'<tbody>{rows}</tbody></table>{seen}<div class="lab-kicker">{escape(more)}</div>'
    )


def _fact(label: str, value: str, more: str = "") -> str:
    small = f"<small>{escape(more)}</small>" if more else ""
    return f'<div class="lab-fact"><span>{label}</span><b>{escape(value)}</b>{small}</div>'


def _hands_html(prediction: Prediction) -> str:
    parts = []
    for number, counts in enumerate(prediction.hands, 1):
        total = max(1, sum(counts.values()))
        rows = "".join(
            f"<span>{escape(option)}</span><i style='width:{100 * count / total:.0f}%'></i><span>{count}</span>"
            for option, count in counts.items()
        )
        parts.append(
            f'<div class="lab-kicker">The class, vote {number}</div><div class="lab-bars">{rows}</div>'
        )
    return "".join(parts)


def _button(label: str, css_class: str, press: Callable[[], None]) -> Button:
    button = Button(description=label)
    button.add_class(css_class)
    button.on_click(press)
    return button
