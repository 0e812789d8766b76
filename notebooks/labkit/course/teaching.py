"""What a lesson calls: predictions, scenes, exercises and receipts by one short name each.

Must not live here: what they do (course.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from IPython.display import display

from kvnode.client import Client
from kvnode.cluster import LocalCluster
from labkit.course.cards import Guess
from labkit.course.counted_card import CountedCard
from labkit.course.counting import Likes, like_together
from labkit.course.course import Course, Receipt
from labkit.course.editor import Edits, write_together
from labkit.course.exercise_panel import ExercisePanel
from labkit.course.freshness import Freshness
from labkit.course.pictures import Line, drawn, evidence, together
from labkit.course.preflight import Preflight
from labkit.course.questions import Question
from labkit.course.reading import Shares, read_notes
from labkit.course.scene import Scene
from labkit.launch.service import TrafficService
from labkit.panels.picture import Picture


class Teaching:
    """The part of a session that a course needs."""

    course: Course
    cluster: LocalCluster
    traffic: TrafficService
    client: Client

    def predict(self, name: str, text: str, question: Question, *, hands: bool = False) -> Guess:
        """A recorded prediction; hands: with a show of hands for a class."""
        return self.course.predict(name, text, question, hands=hands)

    def scene(self, name: str) -> Scene:
        """A small experiment with people and faults, to be used in a `with` block."""
        return self.course.scene(name)

    def play(self, function: Callable[..., str], *, tries: int = 3, **options: Any) -> Scene:
        """Run a function of a scene, anew while its fault missed, at most `tries` times."""
        return self.course.play(function, tries=tries, **options)

    def exercise(self, name: str) -> ExercisePanel:
        """An exercise of a lesson, such as "02.1"."""
        return self.course.exercise(name)

    def picture(self, name: str, *arguments: Any) -> Picture:
        """A figure of labkit.figures by its name, such as "quorum_sets", 3, 2, 2."""
        picture: Picture = self.course.cells.here()(lambda: drawn(name, *arguments))
        return picture

    def pictures(self, *makers: Callable[[], Any]) -> Any:
        """Several pictures and tables, one below the other."""
        return self.course.cells.here()(lambda: together(*makers))

    def write_together(self, *, seconds: float = 10.0, last_writer_wins: bool = False) -> Edits:
        """People write documents together for that long; a line on the page tells how it goes."""
        line = self.course.cells.here()(Line)
        display(line)  # type: ignore[no-untyped-call]
        return write_together(self, seconds=seconds, last_writer_wins=last_writer_wins, say=line.say)

    def read_notes(self, keys: Sequence[str], *, famous: float = 0.0) -> Shares:
        """Read keys, each from the first node of its list; famous: the share of reads that want the first key.

        By a client of this moment: the session's own hears of a node that has just joined with the next tick.
        """
        return read_notes(self.cluster.client(), keys, famous=famous)

    def evidence(self, edits: Edits) -> Any:
        """What is left of people's edits, and which paragraphs lack some."""
        return self.course.cells.here()(lambda: evidence(edits))

    def like_together(self, *, seconds: float = 20.0, read_add_write: bool = False) -> Likes:
        """A crowd likes posts for that long; a line on the page tells how it goes."""
        line = self.course.cells.here()(Line)
        display(line)  # type: ignore[no-untyped-call]
        return like_together(self, seconds=seconds, read_add_write=read_add_write, say=line.say)

    def counted(self, likes: Likes) -> CountedCard:
        """The ledger's verdict and that of the likes, side by side, with a button that counts again."""
        return self.course.cells.here()(lambda: CountedCard(self.course.session, likes))

    def preflight(self) -> Preflight:
        """Whether this computer and cluster are fit for a lesson."""
        return self.course.preflight()

    def receipt(self, *, who: str = "") -> Receipt:
        """Write down what was predicted, measured and judged, with a seal."""
        return self.course.receipt(who=who)

    def freshness(self, guess: Guess | None = None) -> Freshness:
        """Measure staleness live, by hand; a locked guess is drawn beside it."""
        return self.course.freshness(guess)
