"""Lesson 02: quorums and staleness."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from course_experiments.experiment import Experiment, Found
from labkit import Session
from labkit.course import scenes
from labkit.course.trials import try_quorum

POINTS_OFF_MAX = 5.0
FRESH_READS_MIN = 1_000
ALICE_S_MAX = 4.0


def bob_sees(value: str, **options: Any) -> Callable[[Session], Found]:
    """Alice tells Bob: the fault bites, and Bob sees this."""

    def run(session: Session) -> Found:
        scene = session.play(scenes.alice_tells_bob, tries=1, **options)
        seen = scene.of("Bob")[0].value if scene.of("Bob") else None
        return Found(scene.conclusive, seen == value, f"{scene.status}; Bob saw {seen}")

    return run


def curve_rises(session: Session) -> Found:
    """R=W=1 on links of 50 ms: few fresh at first, then more, as the model says."""
    panel = session.freshness()
    panel.set(r=1, w=1, mean_ms=50)
    measured = panel.measure(seconds=10)
    points = panel.told["points"]
    off = max(
        abs(100.0 * (one["share"] - one["predicted"])) for one in points if one["predicted"] is not None
    )
    rises = measured[0.0] < 40.0 < measured[100.0]
    return Found(
        panel.reads >= FRESH_READS_MIN, rises and off <= POINTS_OFF_MAX, f"{measured}, off {off:.1f} points"
    )


def always_fresh(session: Session) -> Found:
    """R=W=2: no read misses an acknowledged write."""
    panel = session.freshness()
    panel.set(r=2, w=2, mean_ms=50)
    measured = panel.measure(seconds=6)
    return Found(panel.reads >= FRESH_READS_MIN, min(measured.values()) == 100.0, f"{measured}")


def quorum_is(*, r: int, w: int, stale: bool, refuses: bool) -> Callable[[Session], Found]:
    """What the first exercise measures: stale reads under slow links, refusals while one node is dead."""

    def run(session: Session) -> Found:
        trial = try_quorum(session.cluster, r=r, w=w)
        bit = trial.reads >= 40 and trial.round_trip_ms >= 40.0
        seen = (trial.stale > 0) is stale and (trial.refused > 0) is refuses
        return Found(bit, seen, f"{trial.stale} of {trial.reads} stale, {trial.refused} refused")

    return run


EXPERIMENTS = (
    Experiment("02", "freshness, R=W=1", "rises, within 5 points of PBS", 14.0, curve_rises),
    Experiment("02", "freshness, R=W=2", "100 % everywhere", 10.0, always_fresh),
    Experiment("02", "alice tells bob", "Bob sees old", 3.0, bob_sees("old"), ALICE_S_MAX),
    Experiment("02", "alice, R=3", "Bob sees new", 3.0, bob_sees("new", r=3)),
    Experiment(
        "02", "alice, Bob asks after the answer", "Bob sees new", 3.0, bob_sees("new", bob_waits=True)
    ),
    Experiment("02", "alice, W=3", "Bob sees old", 3.0, bob_sees("old", w=3)),
    Experiment("02", "alice, read repair", "Bob sees old", 3.0, bob_sees("old", repair=True)),
    Experiment(
        "02",
        "quorum 2/2",
        "never stale, never refused",
        12.0,
        quorum_is(r=2, w=2, stale=False, refuses=False),
    ),
    Experiment(
        "02", "quorum 1/3", "never stale, refuses", 12.0, quorum_is(r=1, w=3, stale=False, refuses=True)
    ),
    Experiment(
        "02", "quorum 1/1", "stale, never refused", 12.0, quorum_is(r=1, w=1, stale=True, refuses=False)
    ),
)
