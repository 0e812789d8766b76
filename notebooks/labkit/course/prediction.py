"""A recorded prediction: first the guess, then the run, then what was seen, and only then the measurement.

Paper: Crouch et al., "Classroom demonstrations: Learning tools or entertainment?", American Journal of Physics 72,
2004: students who only watch a demonstration understand no more than those who never saw it; those who predict do.
Paper: Miller et al., "Role of physics lecture demonstrations in conceptual learning", Physical Review Special Topics -
Physics Education Research 9, 2013: an observation that is asked for is likelier to be right.

Invariant: a measurement is covered until the guess is locked or skipped, and so are the observations that belong to
it. Nothing here waits: a cell goes on at once, whether anybody guesses or not.
Must not live here: widgets (cards.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from labkit.course.questions import BadAnswer, Choice, Question

State = Literal["open", "locked", "skipped"]


@dataclass(frozen=True)
class Measured:
    """What was really so. spread: how sure that is, in words. source: how it was measured."""

    value: Any
    spread: str = ""
    source: str = ""


@dataclass
class Prediction:
    """One question, and what became of it. hands: votes of a class, one dictionary a round."""

    name: str
    text: str
    question: Question
    is_observation: bool = False
    takes_hands: bool = False
    state: State = "open"
    guess: Any = None
    measured: Measured | None = None
    hands: list[dict[str, int]] = field(default_factory=list)
    observations: list[Prediction] = field(default_factory=list)
    _listeners: list[Callable[[], None]] = field(default_factory=list, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def lock(self, guess: Any) -> None:
        """This is my guess; it cannot be changed afterwards. BadAnswer if the question cannot take it."""
        with self._lock:
            if self.state == "locked":
                raise BadAnswer(f"the guess is locked already: {self.question.words(self.guess)}")
            self.guess = self.question.check(guess)
            self.state = "locked"
        self._tell()

    def skip(self) -> None:
        """I do not want to guess; a receipt says so."""
        with self._lock:
            if self.state == "open":
                self.state = "skipped"
        self._tell()

    def again(self) -> None:
        """Begin anew: open, without a measurement."""
        with self._lock:
            self.state, self.guess, self.measured, self.hands = "open", None, None, []
        for observation in self.observations:
            observation.again()
        self._tell()

    def measure(self, measured: Measured) -> None:
        """What was really so; shown once it is not covered any more."""
        self.measured = measured
        self._tell()

    def vote(self, counts: Mapping[str, int]) -> None:
        """A show of hands; a second one, after the class has discussed, is kept beside the first."""
        if not isinstance(self.question, Choice):
            raise BadAnswer("only a question with options can be put to a show of hands")
        unknown = set(counts) - set(self.question.options)
        if unknown or any(int(count) < 0 for count in counts.values()):
            raise BadAnswer(f"expected counts for {', '.join(self.question.options)}; got {dict(counts)}")
        with self._lock:
            self.hands = [
                *self.hands[:1],
                {option: int(counts.get(option, 0)) for option in self.question.options},
            ]
        self._tell()

    @property
    def closed(self) -> bool:
        """Whether the guess is locked or skipped."""
        return self.state != "open"

    @property
    def covered(self) -> bool:
        """Whether the measurement must not be shown yet."""
        return not self.closed or any(not observation.closed for observation in self.observations)

    @property
    def waits_for(self) -> str:
        """What still has to be done before the measurement is shown; empty if nothing."""
        if not self.closed:
            return "lock your guess above, or skip it"
        if self.covered:
            return "say first what you saw (above), or skip it"
        return ""

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call this whenever something changes here, or in an observation that belongs to it; gives what ends that."""
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    def observe(self, observation: Prediction) -> None:
        """What was seen belongs to this prediction."""
        if observation not in self.observations:
            self.observations.append(observation)
            observation.on_change(self._tell)

    def as_json(self) -> dict[str, Any]:
        """For the receipt."""
        measured = None if self.measured is None else vars(self.measured)
        return {
            "name": self.name, "question": self.text, "state": self.state, "guess": _plain(self.guess),
            "measured": _plain(measured), "hands": self.hands,
            "saw": [observation.as_json() for observation in self.observations],
        }  # fmt: skip

    def _tell(self) -> None:
        for listener in list(self._listeners):
            listener()


def _plain(value: Any) -> Any:
    """As JSON has it: keys are texts, and tuples are lists."""
    if isinstance(value, Mapping):
        return {f"{key:g}" if isinstance(key, float) else str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
