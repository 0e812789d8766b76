"""The rules of covering, and the cards that show them: clicks are those of a student."""

from __future__ import annotations

from typing import Any

import ipywidgets  # type: ignore[import-untyped]
import pandas
import pytest

from labkit.course.cards import Guess
from labkit.course.prediction import Measured, Prediction
from labkit.course.questions import BadAnswer, Choice, Curve, Number
from labkit.errors import LabError

SEES = Choice("old", "new", "an error")


def guess_of(**more: Any) -> Guess:
    return Guess(Prediction("02.bob", "What does Bob see?", SEES, **more))


def shown(card: Any) -> str:
    return " ".join(child.value for child in card.children if isinstance(child, ipywidgets.HTML))


def test_a_measurement_is_covered_until_the_guess_is_locked() -> None:
    guess = guess_of()
    card = guess.reveal("old", source="your cluster")
    assert "covered: lock your guess" in shown(card)
    assert "<b>old</b>" not in shown(card)
    guess.card.form.fill("new")
    guess.card.lock_button.click()
    assert "<b>old</b>" in shown(card)
    assert "<b>new</b>" in shown(card)
    assert "Something else happened" in shown(card)


def test_a_table_is_covered_as_a_picture_is_and_what_is_neither_is_refused() -> None:
    guess = guess_of()
    table = guess.cover(lambda: pandas.DataFrame([{"who": "Bob", "value": "<old>"}]))
    assert table.shown is None
    guess.skip()
    assert "&lt;old&gt;" in table.children[-1].value
    with pytest.raises(LabError, match="A str cannot be shown here"):
        guess.cover(lambda: "old")


def test_a_skip_uncovers_and_is_written_down() -> None:
    guess = guess_of()
    card = guess.reveal("old")
    guess.card.skip_button.click()
    assert "<b>old</b>" in shown(card)
    assert guess.prediction.as_json()["state"] == "skipped"


def test_what_was_seen_is_asked_before_the_measurement_is_shown() -> None:
    guess = guess_of()
    saw = guess.saw("02.bob.saw", SEES)
    card = guess.reveal("old")
    guess.lock("new")
    assert "say first what you saw" in shown(card)
    saw.lock("old")
    assert "<span>You saw</span><b>old</b>" in shown(card)
    assert guess.saw("02.bob.saw", SEES) is saw


def test_a_picture_that_gives_it_away_is_not_even_made_before_the_guess_is_closed() -> None:
    guess, made = guess_of(), []

    def picture() -> Any:
        made.append(1)
        return ipywidgets.HTML("Bob sees old")

    covered = guess.cover(picture)
    assert not made
    assert not covered.shown
    guess.lock("new")
    assert covered.shown.value == "Bob sees old"
    guess.prediction.vote({"old": 1})
    assert made == [1]


def test_nothing_chosen_is_not_locked_and_says_so() -> None:
    guess = guess_of()
    guess.card.lock_button.click()
    assert guess.prediction.state == "open"
    assert "nothing is chosen yet" in shown(guess.card)


def test_a_locked_guess_stays_until_somebody_begins_again() -> None:
    guess = guess_of().lock("new")
    with pytest.raises(BadAnswer, match="locked already"):
        guess.lock("old")
    guess.card.lock_button.click()
    assert guess.prediction.guess == "new"
    guess.card.again_button.click()
    assert guess.prediction.state == "open"


def test_what_is_locked_can_neither_be_locked_nor_skipped_and_what_is_skipped_can_be_locked() -> None:
    card = guess_of().card

    def usable() -> list[bool]:
        return [not card.lock_button.disabled, not card.skip_button.disabled]

    assert usable() == [True, True]
    card.prediction.skip()
    assert usable() == [True, False]
    card.prediction.lock("new")
    assert usable() == [False, False]
    card.prediction.again()
    assert usable() == [True, True]


def test_a_locked_answer_jumps_back_when_somebody_changes_it() -> None:
    guess = guess_of().lock("new")
    guess.card.form.widget.value = "old"
    assert guess.card.form.widget.value == "new"


def test_after_a_skip_a_guess_can_still_be_locked() -> None:
    assert guess_of().skip().lock("new").prediction.state == "locked"


def test_two_votes_of_a_class_are_shown_beside_each_other() -> None:
    guess = guess_of(takes_hands=True)
    card = guess.reveal("old")
    guess.prediction.vote({"old": 3, "new": 20})
    guess.prediction.vote({"old": 15, "new": 8})
    guess.prediction.vote({"old": 16, "new": 7})
    guess.lock("new")
    assert "vote 1" in shown(card) and "vote 2" in shown(card) and "vote 3" not in shown(card)
    assert guess.prediction.hands == [
        {"old": 3, "new": 20, "an error": 0},
        {"old": 16, "new": 7, "an error": 0},
    ]
    with pytest.raises(BadAnswer, match="expected counts"):
        guess.prediction.vote({"blue": 1})


def test_a_curve_with_an_empty_box_is_not_locked() -> None:
    guess = Guess(Prediction("c", "How fresh?", Curve(at=(0, 50))))
    boxes = guess.card.form.widget.children
    boxes[0].value = "10"
    guess.card.lock_button.click()
    assert "write a number into each of the 2 boxes" in shown(guess.card)
    boxes[1].value = "60 %"
    guess.card.lock_button.click()
    assert guess.prediction.guess == {0.0: 10.0, 50.0: 60.0}


def test_nought_can_be_guessed() -> None:
    guess = Guess(Prediction("n", "How many are lost?", Number("%", 0, 100)))
    guess.card.form.widget.children[0].value = "0"
    guess.card.lock_button.click()
    assert guess.prediction.guess == 0.0


def test_what_a_student_or_a_node_writes_is_shown_as_text() -> None:
    guess = Guess(Prediction("x", "<b>bold</b>?", Choice("<i>a</i>", "b")))
    guess.lock("<i>a</i>")
    guess.reveal("b", source="<script>")
    card = guess.reveal("b", source="<script>")
    assert "<i>a" not in shown(card) and "<script>" not in shown(card) and "<b>bold" not in shown(guess.card)


def test_the_receipt_has_guess_measurement_and_observation() -> None:
    prediction = Prediction("c", "How fresh?", Curve(at=(0, 50)))
    prediction.lock([1, 2])
    prediction.measure(Measured({0.0: 3.0, 50.0: 64.0}, "± 4", "600 reads"))
    told = prediction.as_json()
    assert told["guess"] == {"0": 1.0, "50": 2.0}
    assert told["measured"] == {"value": {"0": 3.0, "50": 64.0}, "spread": "± 4", "source": "600 reads"}
