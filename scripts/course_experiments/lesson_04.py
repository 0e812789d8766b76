"""Lesson 04: conflicts and causality."""

from __future__ import annotations

from collections.abc import Callable

from course_experiments.experiment import Experiment, Found, comes_to
from labkit import Session
from labkit.course import scenes
from labkit.course.editor import write_together


def bobs_write_is_gone(session: Session) -> Found:
    """The slow watch: a later, acknowledged write is never seen."""
    scene = session.play(scenes.slow_watch, tries=1)
    seen = scene.of("Bob")[-1].values
    return Found(scene.conclusive, seen == ["at 9"], f"{scene.status}; readers see {seen}")


def edits_lost(*, last_writer_wins: bool) -> Callable[[Session], Found]:
    """The editor: with siblings nothing is lost, with the known mistake something is."""

    def run(session: Session) -> Found:
        edits = write_together(session, seconds=10, last_writer_wins=last_writer_wins)
        return Found(
            edits.collisions > 0 or last_writer_wins, (edits.lost > 0) is last_writer_wins, repr(edits)
        )

    return run


EXPERIMENTS = (
    Experiment("04", "lunch break", "siblings", 7.0, comes_to(scenes.lunch_break, "siblings")),
    Experiment("04", "one breath", "replaced", 1.0, comes_to(scenes.one_breath, "replaced")),
    Experiment("04", "two coordinators", "siblings", 1.0, comes_to(scenes.two_coordinators, "siblings")),
    Experiment("04", "without reading", "replaced", 1.0, comes_to(scenes.without_reading, "replaced")),
    Experiment("04", "slow watch", "the later write is never seen", 1.0, bobs_write_is_gone),
    Experiment("04", "editor with siblings", "no edit lost", 14.0, edits_lost(last_writer_wins=False)),
    Experiment("04", "editor, last writer wins", "edits lost", 14.0, edits_lost(last_writer_wins=True)),
)
