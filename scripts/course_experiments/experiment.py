"""An experiment of a lesson, and what one run of it came to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from labkit import Session

RUNS_SHORT, RUNS_LONG, LONG_S = 20, 6, 10.0


@dataclass(frozen=True)
class Found:
    """What one run came to. detail: what it showed, in a few words."""

    conclusive: bool
    effect: bool
    detail: str


@dataclass(frozen=True)
class Experiment:
    """One experiment of a lesson. takes_s: about how long; it decides how often. within_s: the goal for each run."""

    lesson: str
    name: str
    expected: str
    takes_s: float
    run: Callable[[Session], Found]
    within_s: float | None = None

    @property
    def runs(self) -> int:
        """How often it is repeated."""
        return RUNS_SHORT if self.takes_s < LONG_S else RUNS_LONG


def comes_to(scene_of: Callable[..., str], outcome: str) -> Callable[[Session], Found]:
    """A scene of two writers whose outcome does not depend on speed."""

    def run(session: Session) -> Found:
        scene = session.play(scene_of, tries=1)
        return Found(scene.conclusive, scene.outcome == outcome, f"{scene.status}; {scene.outcome}")

    return run
