"""What each kind of question takes, and how it compares a guess with a measurement."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.course.questions import BadAnswer, Choice, Curve, Number, Order, Question, Several

CURVE = Curve(at=(0, 20, 50))


@pytest.mark.parametrize(
    ("question", "answer", "taken"),
    [
        (Number("ms"), "12.5", 12.5),
        (Choice("old", "new"), "old", "old"),
        (Order("a", "b", "c"), ["c", "a", "b"], ("c", "a", "b")),
        (CURVE, [10, 20, 30], {0.0: 10.0, 20.0: 20.0, 50.0: 30.0}),
        (CURVE, {0: "1", 20: 2, 50: 3}, {0.0: 1.0, 20.0: 2.0, 50.0: 3.0}),
        (Several(("x", "y"), ("yes", "no")), {"x": "yes", "y": "no"}, {"x": "yes", "y": "no"}),
    ],
)
def test_an_answer_is_taken_in_its_one_form(question: Question, answer: Any, taken: Any) -> None:
    assert question.check(answer) == taken


@pytest.mark.parametrize(
    ("question", "answer", "said"),
    [
        (Number("%", 0, 100), "many", "no number"),
        (Number("%", 0, 100), 120, "expected 0 to 100"),
        (Number("%", 0, 100), "nan", "out of range"),
        (Number(whole=True), 1.5, "no whole number"),
        (Choice("old", "new"), "error", "none of the answers: old, new"),
        (Choice("old", "new"), None, "none of the answers"),
        (Order("a", "b"), ["a", "a"], "a place of its own"),
        (Order("a", "b"), "ab", "a place of its own"),
        (CURVE, [1, 2], "one number for each of 0, 20, 50 ms"),
        (CURVE, [1, 2, 300], "expected 0 to 100"),
        (Several(("x", "y"), ("yes", "no")), {"x": "yes"}, "each of 2 rows"),
        (Several(("x",), ("yes", "no")), {"x": "maybe"}, "none of the answers"),
    ],
)
def test_what_it_cannot_take_is_named_with_what_was_expected(
    question: Question, answer: Any, said: str
) -> None:
    with pytest.raises(BadAnswer, match=said):
        question.check(answer)


@pytest.mark.parametrize(
    ("question", "guess", "measured", "said"),
    [
        (Number("ms"), 10, 11, "close"),
        (Number("ms"), 10, 40, "4.0 times less"),
        (Number("ms"), 40, 10, "4.0 times more"),
        (Number("ms"), 5, 0, "5 ms away"),
        (Choice("old", "new"), "old", "old", "That is what happened"),
        (Choice("old", "new"), "new", "old", "Something else happened"),
        (Order("a", "b", "c"), ("a", "c", "b"), ("a", "b", "c"), "1 of 3"),
        (CURVE, {0.0: 0.0, 20.0: 100.0}, {0.0: 0.0, 20.0: 40.0}, "farthest at 20 ms, by 60 points"),
        (Several(("x", "y"), ("yes", "no")), {"x": "yes", "y": "no"}, {"x": "yes", "y": "yes"}, "1 of 2"),
    ],
)
def test_the_comparison_is_one_sentence(question: Question, guess: Any, measured: Any, said: str) -> None:
    assert said in question.compare(guess, measured)
