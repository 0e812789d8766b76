"""The course of one session: its predictions, scenes and exercises by name, and the receipt over them.

Re-running a cell gives the same prediction and the same exercise again, with what became of them; a scene is a new run.
Must not live here: rules and widgets of each (prediction.py, scene.py, exercise_panel.py), and the lessons themselves.
"""

from __future__ import annotations

import importlib
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.course import lessons, preflight, receipt
from labkit.course.cards import Guess
from labkit.course.cells import Cells
from labkit.course.exercise import Exercise, Tries
from labkit.course.exercise_panel import ExercisePanel
from labkit.course.freshness import Freshness
from labkit.course.prediction import Prediction
from labkit.course.questions import Question
from labkit.course.scene import Scene
from labkit.errors import LabError

if TYPE_CHECKING:
    from labkit.session import Session

EXERCISE_MODULES = {
    "00": "labkit.course.ex00",
    "01": "labkit.course.ex01",
    "02": "labkit.course.ex02",
    "03": "labkit.course.ex03",
    "04": "labkit.course.ex04",
}
SCENES_KEPT_MAX = 200


class Course:
    """What a session remembers of the lesson."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.cells = Cells(session.made)
        self.lesson = ""
        self.scenes: list[Scene] = []
        self.kept: dict[str, Any] = {}
        """What an exercise has measured once, and need not measure again."""
        self._guesses: dict[str, Guess] = {}
        self._panels: dict[str, ExercisePanel] = {}

    def open(self, number: str) -> None:
        """Begin a lesson: the lab as it needs it. Guesses and tries of an earlier run of the cell stay."""
        lesson = lessons.lesson_of(number)
        lessons.prepare(self.session, lesson)
        self.session.history.clear()
        self.lesson = number

    def predict(self, name: str, text: str, question: Question, *, hands: bool = False) -> Guess:
        """The prediction of this name; asked anew if the question is another one than before."""
        known = self._guesses.get(name)
        if known is None or (known.prediction.text, known.prediction.question) != (text, question):
            known = self._guesses[name] = Guess(
                Prediction(name, text, question, takes_hands=hands), here=self.cells.here
            )
        return known

    def scene(self, name: str) -> Scene:
        """A new scene; use it in a `with` block."""
        return Scene(name, self.session.cluster, ended=self._ended, here=self.cells.here)

    def play(self, function: Callable[..., str], *, tries: int = 3, **options: Any) -> Scene:
        """Run a scene that is a function, anew if its fault missed, at most `tries` times; the last run."""
        name = function.__name__.replace("_", " ")
        for _ in range(max(1, tries)):
            with self.scene(name) as scene:
                scene.about = function(scene, **options)
            if scene.conclusive:
                break
        return scene

    def exercise(self, name: str) -> ExercisePanel:
        """The exercise of this name, such as "02.1"; the same panel each time."""
        if name not in self._panels:
            self._panels[name] = ExercisePanel(exercise_of(name), self, Tries(name))
        return self._panels[name]

    def submit(self, doing: str, action: Callable[[], object], *, done: Callable[[str | None], None]) -> None:
        """Queue work for the session's worker thread."""
        self.session.submit(doing, action, done=done)

    def freshness(self, guess: Guess | None = None) -> Freshness:
        """The live measurement of staleness, with the guess drawn beside it once it is locked."""
        return self.session.panel("freshness", lambda: Freshness(self.session, guess=guess))

    def last_scene(self, function: Callable[..., str]) -> Scene | None:
        """The newest conclusive run of a scene in this session."""
        name = function.__name__.replace("_", " ")
        return next((one for one in reversed(self.scenes) if one.name == name and one.conclusive), None)

    def preflight(self) -> preflight.Preflight:
        """Whether this computer is fit for the lesson."""
        return preflight.look(self.session)

    def receipt(self, *, who: str = "", folder: Path | str = receipt.FOLDER) -> Receipt:
        """Write what was predicted, measured and judged so far."""
        content = {
            "lesson": self.lesson or "none",
            "who": who,
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "python": platform.python_version(),
            "predictions": [guess.prediction.as_json() for guess in self._guesses.values()],
            "exercises": [panel.tries.as_json() for panel in self._panels.values()],
            "scenes": [
                {"name": one.name, "status": one.status, "seconds": round(one.seconds, 2)}
                for one in self.scenes
            ],
        }
        path = receipt.write(content, folder=folder)
        return Receipt(path, receipt.read(path))

    def _ended(self, scene: Scene) -> None:
        self.scenes = [*self.scenes[-SCENES_KEPT_MAX:], scene]


class Receipt:
    """Where it lies and what it holds, in a sentence."""

    def __init__(self, path: Path, content: dict[str, Any]) -> None:
        self.path, self.content = path, content

    def __repr__(self) -> str:
        states = [one["state"] for one in self.content["predictions"]]
        right = sum(
            bool(one["tries"]) and one["tries"][-1]["status"] == "right" for one in self.content["exercises"]
        )
        return (
            f"Receipt in {self.path}: {states.count('locked')} predictions locked, {states.count('skipped')} skipped, "
            f"{states.count('open')} open; {right} of {len(self.content['exercises'])} exercises right. "
            f"Seal {self.content[receipt.SEAL][:12]}…"
        )


def exercise_of(name: str) -> Exercise:
    """An exercise by its name; LabError names those that there are."""
    lesson = name.partition(".")[0]
    module = EXERCISE_MODULES.get(lesson)
    if module is None:
        raise LabError(
            f"There is no exercise {name!r}.", why=f"lessons with exercises: {', '.join(EXERCISE_MODULES)}"
        )
    known: dict[str, Exercise] = importlib.import_module(module).EXERCISES
    if name not in known:
        raise LabError(f"There is no exercise {name!r}.", why=f"there are {', '.join(known)}")
    return known[name]
