"""Lesson 03: counting likes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from course_experiments.experiment import Experiment, Found
from labkit import Session
from labkit.course import ex03, scenes
from labkit.course.counting import like_together

OPENED_MS_MIN, OPENED_MS_MAX = 1_900.0, 2_600.0
"""How long the database tries before it says that it does not know."""


def alice_reads(number: int, story: Callable[..., str], **options: Any) -> Callable[[Session], Found]:
    """The last read of the scene shows this."""

    def run(session: Session) -> Found:
        scene = session.play(story, tries=1, **options)
        seen = scene.of("Alice")[-1].value if scene.of("Alice") else None
        return Found(scene.conclusive, seen == number, f"{scene.status}; the count is {seen}")

    return run


def bob_reads(number: int, story: Callable[..., str]) -> Callable[[Session], Found]:
    """The same, where Bob reads last."""

    def run(session: Session) -> Found:
        scene = session.play(story, tries=1)
        seen = scene.of("Bob")[-1].value if scene.of("Bob") else None
        return Found(scene.conclusive, seen == number, f"{scene.status}; the count is {seen}")

    return run


def sent_again(number: int, **options: Any) -> Callable[[Session], Found]:
    """A like whose first answer left it open after two seconds; then it counts so often."""

    def run(session: Session) -> Found:
        scene = session.play(scenes.a_like_sent_again, tries=1, **options)
        alice = scene.of("Alice")
        if not scene.conclusive:
            return Found(False, False, scene.status)
        took_ms = alice[0].took_ms or 0.0
        seen = alice[-1].value == number and OPENED_MS_MIN < took_ms < OPENED_MS_MAX
        return Found(True, seen, f"the count is {alice[-1].value}; the error came after {took_ms:.0f} ms")

    return run


def likes_missing(*, read_add_write: bool, seconds: float) -> Callable[[Session], Found]:
    """Traffic: the ledger is ok in both ways; likes are missing in the wrong one alone."""

    def run(session: Session) -> Found:
        likes = like_together(session, seconds=seconds, read_add_write=read_add_write)
        world = "violated" if read_add_write else "ok"
        seen = likes.ledger["status"] == "ok" and likes.world["status"] == world
        return Found(True, seen and (likes.missing > 0) is read_add_write, repr(likes))

    return run


def the_answer_passes(session: Session) -> Found:
    """The third exercise's answer, on the cluster."""
    cell: dict[str, Any] = {}
    exec(ex03.RETRY_ANSWER, cell)
    judgement = session.exercise("03.3").check(cell["like"])
    return Found(judgement.status != "inconclusive", judgement.status == "right", str(judgement))


EXPERIMENTS = (
    Experiment("03", "twenty friends", "the count is 1", 1.5, alice_reads(1, scenes.twenty_friends)),
    Experiment("03", "lost update", "the count is 1", 1.0, bob_reads(1, scenes.lost_update)),
    Experiment("03", "twenty friends add", "the count is 20", 1.5, alice_reads(20, scenes.twenty_friends_add)),
    Experiment("03", "a like sent again", "error after 2 s, the count is 2", 3.0, sent_again(2)),
    Experiment("03", "sent again by an actor", "error after 2 s, the count is 1", 3.0, sent_again(1, actor="alice")),
    Experiment("03", "split likes", "merged to 9", 1.0, alice_reads(9, scenes.split_likes)),
    Experiment("03", "a smaller total", "stays at 5", 1.0, alice_reads(5, scenes.a_smaller_total)),
    Experiment("03", "the answer to 03.3", "counts once", 3.0, the_answer_passes),
    Experiment(
        "03", "likes, read, add, write", "ledger ok, likes missing", 22.0,
        likes_missing(read_add_write=True, seconds=20),
    ),
    Experiment(
        "03", "likes, counters", "ledger ok, none missing", 8.0, likes_missing(read_add_write=False, seconds=6)
    ),
)  # fmt: skip
