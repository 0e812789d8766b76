"""The kinds of answers that a student can give, as values: what is allowed, how it reads, how far off it is.

Used by predictions (a guess beside a measurement) and by exercises (the fields of a form).
Must not live here: widgets (inputs.py), and whether an answer is right (the lessons' judges).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

CLOSE = 0.15  # of a number: closer than that is called a hit


class BadAnswer(ValueError):
    """An answer that this question cannot take: one sentence of what was given and what was expected."""


class Question(Protocol):
    """What all kinds can do."""

    def check(self, answer: Any) -> Any:
        """The answer in its one form; BadAnswer says what was expected."""

    def words(self, answer: Any) -> str:
        """The answer as a person reads it."""

    def compare(self, guess: Any, measured: Any) -> str:
        """One sentence: how far the guess is from the measurement."""

    def rows_of(self, guess: Any, measured: Any) -> list[tuple[str, str, str]]:
        """For an answer of several parts: (part, guess, measured), each in words."""


def _one_row(question: Question, guess: Any, measured: Any) -> list[tuple[str, str, str]]:
    return [("", "–" if guess is None else question.words(guess), question.words(measured))]


@dataclass(frozen=True)
class Number:
    """A number with a unit, from `least` to `most`."""

    unit: str = ""
    least: float = 0.0
    most: float = 1e9
    whole: bool = False

    def check(self, answer: Any) -> float:
        try:
            number = float(answer)
        except (TypeError, ValueError):
            raise BadAnswer(f"{answer!r} is no number") from None
        if not math.isfinite(number) or not self.least <= number <= self.most:
            raise BadAnswer(
                f"{number:g} is out of range: expected {self.least:g} to {self.most:g} {self.unit}".strip()
            )
        if self.whole and number != int(number):
            raise BadAnswer(f"{number:g} is no whole number")
        return number

    def words(self, answer: Any) -> str:
        return f"{float(answer):g} {self.unit}".strip() if isinstance(answer, int | float) else str(answer)

    def compare(self, guess: Any, measured: Any) -> str:
        apart = abs(float(guess) - float(measured))
        if apart <= CLOSE * abs(float(measured)):
            return "Your guess is close to what was measured."
        if not measured or not guess:
            return f"Your guess is {self.words(round(apart, 1))} away from what was measured."
        times = max(float(guess), float(measured)) / min(float(guess), float(measured))
        more = "more" if float(guess) > float(measured) else "less"
        return f"You guessed {times:.1f} times {more} than was measured."

    def rows_of(self, guess: Any, measured: Any) -> list[tuple[str, str, str]]:
        return _one_row(self, guess, measured)


@dataclass(frozen=True)
class Choice:
    """One of several options."""

    options: tuple[str, ...]

    def __init__(self, *options: str) -> None:
        object.__setattr__(self, "options", tuple(options))

    def check(self, answer: Any) -> str:
        if answer not in self.options:
            raise BadAnswer(f"{answer!r} is none of the answers: {', '.join(self.options)}")
        return str(answer)

    def words(self, answer: Any) -> str:
        return str(answer)

    def compare(self, guess: Any, measured: Any) -> str:
        if guess == measured:
            return "That is what happened."
        return "Something else happened: what do you know now that you did not use?"

    def rows_of(self, guess: Any, measured: Any) -> list[tuple[str, str, str]]:
        return _one_row(self, guess, measured)


@dataclass(frozen=True)
class Order:
    """The same items, in the order in which they belong."""

    items: tuple[str, ...]

    def __init__(self, *items: str) -> None:
        object.__setattr__(self, "items", tuple(items))

    def check(self, answer: Any) -> tuple[str, ...]:
        given = tuple(answer) if isinstance(answer, Sequence) and not isinstance(answer, str) else ()
        if sorted(given) != sorted(self.items):
            raise BadAnswer(f"each of {', '.join(self.items)} must have a place of its own")
        return given

    def words(self, answer: Any) -> str:
        return " → ".join(map(str, answer))

    def compare(self, guess: Any, measured: Any) -> str:
        right = sum(one == other for one, other in zip(guess, measured, strict=False))
        return f"{right} of {len(self.items)} stand in their place."

    def rows_of(self, guess: Any, measured: Any) -> list[tuple[str, str, str]]:
        return _one_row(self, guess, measured)


@dataclass(frozen=True)
class Curve:
    """A number at each of several places, such as the share of fresh reads 0, 20 and 50 ms after a write."""

    at: tuple[float, ...]
    unit: str = "%"
    at_unit: str = "ms"
    least: float = 0.0
    most: float = 100.0

    def __init__(self, at: Sequence[float], unit: str = "%", at_unit: str = "ms") -> None:
        for name, value in (("at", tuple(at)), ("unit", unit), ("at_unit", at_unit)):
            object.__setattr__(self, name, value)

    def check(self, answer: Any) -> dict[float, float]:
        given = dict(zip(self.at, answer, strict=False)) if isinstance(answer, list | tuple) else answer
        if not isinstance(given, Mapping) or sorted(map(float, given)) != sorted(self.at):
            places = ", ".join(f"{place:g}" for place in self.at)
            raise BadAnswer(f"expected one number for each of {places} {self.at_unit}")
        number = Number(self.unit, self.least, self.most)
        return {float(place): number.check(value) for place, value in given.items()}

    def words(self, answer: Any) -> str:
        return ", ".join(
            f"{place:g} {self.at_unit}: {float(value):.0f}" for place, value in answer.items()
        ) + (f" {self.unit}")

    def compare(self, guess: Any, measured: Any) -> str:
        both = {place: abs(guess[place] - measured[place]) for place in guess if place in measured}
        if not both:
            return "Nothing was measured at these places."
        worst = max(both, key=lambda place: both[place])
        mean = sum(both.values()) / len(both)
        if mean <= 5:
            return f"On average {mean:.0f} points away: close."
        return f"On average {mean:.0f} points away; farthest at {worst:g} {self.at_unit}, by {both[worst]:.0f} points."

    def rows_of(self, guess: Any, measured: Any) -> list[tuple[str, str, str]]:
        return [
            (
                f"after {place:g} {self.at_unit}",
                "–" if guess is None else f"{guess[place]:.0f} {self.unit}",
                f"{value:.0f} {self.unit}",
            )
            for place, value in measured.items()
        ]


@dataclass(frozen=True)
class Several:
    """The same options for each of several rows."""

    rows: tuple[str, ...]
    options: tuple[str, ...]

    def __init__(self, rows: Sequence[str], options: Sequence[str]) -> None:
        object.__setattr__(self, "rows", tuple(rows))
        object.__setattr__(self, "options", tuple(options))

    def check(self, answer: Any) -> dict[str, str]:
        given = dict(zip(self.rows, answer, strict=False)) if isinstance(answer, list | tuple) else answer
        if not isinstance(given, Mapping) or set(given) != set(self.rows):
            raise BadAnswer(f"expected an answer for each of {len(self.rows)} rows: {'; '.join(self.rows)}")
        choice = Choice(*self.options)
        return {row: choice.check(given[row]) for row in self.rows}

    def words(self, answer: Any) -> str:
        return "; ".join(f"{row.partition(':')[0]}: {one}" for row, one in answer.items())

    def compare(self, guess: Any, measured: Any) -> str:
        both = [row for row in self.rows if row in guess and row in measured]
        right = sum(guess[row] == measured[row] for row in both)
        return f"{right} of {len(both)} are as you said."

    def rows_of(self, guess: Any, measured: Any) -> list[tuple[str, str, str]]:
        return [(row, "–" if guess is None else guess[row], one) for row, one in measured.items()]
