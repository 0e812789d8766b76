"""Does every experiment of the course show what its lesson says, every time, also on a busy computer?

    python scripts/bench_course.py [--lesson 02] [--only alice] [--runs N] [--page]

Each experiment is repeated, 20 times where one takes less than 10 s and 6 times otherwise, half of the runs with one
core kept busy. Printed for each: how often it was conclusive, how often the expected effect was seen when it was, and
seconds. An experiment passes if all runs but one at most were conclusive, and each of these showed the effect.

--page measures in a browser what a student feels (bench_course_page.py): from Run All to the first point, from a
control to its change, also while a cell computes, and from Freeze to standing still.

A cluster and traffic service of its own; both end with it. Exit status 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from labkit import Session
from labkit.course import scenes
from labkit.course.editor import write_together
from labkit.course.trials import try_quorum
from labkit.errors import LabError

RUNS_SHORT, RUNS_LONG, LONG_S = 20, 6, 10.0
BASE_PORT, TRAFFIC_PORT = 13_200, 13_290
BUSY = "while True:\n    pass"
POINTS_OFF_MAX = 5.0
FRESH_READS_MIN = 1_000
ALICE_S_MAX = 4.0


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


# --- what is seen -------------------------------------------------------------------------------------------


def bob_sees(value: str, **options: Any) -> Callable[[Session], Found]:
    """Alice tells Bob: the fault bites, and Bob sees this."""

    def run(session: Session) -> Found:
        scene = session.play(scenes.alice_tells_bob, tries=1, **options)
        seen = scene.of("Bob")[0].value if scene.of("Bob") else None
        return Found(scene.conclusive, seen == value, f"{scene.status}; Bob saw {seen}")

    return run


def comes_to(scene_of: Callable[..., str], outcome: str) -> Callable[[Session], Found]:
    """A scene of two writers whose outcome does not depend on speed."""

    def run(session: Session) -> Found:
        scene = session.play(scene_of, tries=1)
        return Found(scene.conclusive, scene.outcome == outcome, f"{scene.status}; {scene.outcome}")

    return run


def bobs_write_is_gone(session: Session) -> Found:
    """The slow watch: a later, acknowledged write is never seen."""
    scene = session.play(scenes.slow_watch, tries=1)
    seen = scene.of("Bob")[-1].values
    return Found(scene.conclusive, seen == ["at 9"], f"{scene.status}; readers see {seen}")


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


def edits_lost(*, last_writer_wins: bool) -> Callable[[Session], Found]:
    """The editor: with siblings nothing is lost, with the known mistake something is."""

    def run(session: Session) -> Found:
        edits = write_together(session, seconds=10, last_writer_wins=last_writer_wins)
        return Found(
            edits.collisions > 0 or last_writer_wins, (edits.lost > 0) is last_writer_wins, repr(edits)
        )

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
    Experiment("04", "lunch break", "siblings", 7.0, comes_to(scenes.lunch_break, "siblings")),
    Experiment("04", "one breath", "replaced", 1.0, comes_to(scenes.one_breath, "replaced")),
    Experiment("04", "two coordinators", "siblings", 1.0, comes_to(scenes.two_coordinators, "siblings")),
    Experiment("04", "without reading", "replaced", 1.0, comes_to(scenes.without_reading, "replaced")),
    Experiment("04", "slow watch", "the later write is never seen", 1.0, bobs_write_is_gone),
    Experiment("04", "editor with siblings", "no edit lost", 14.0, edits_lost(last_writer_wins=False)),
    Experiment("04", "editor, last writer wins", "edits lost", 14.0, edits_lost(last_writer_wins=True)),
)


# --- repeating them -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def one_core_busy(wanted: bool) -> Iterator[None]:
    """Another process that does nothing but compute."""
    if not wanted:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", BUSY]) as busy:
        try:
            yield
        finally:
            busy.kill()


def repeat(session: Session, experiment: Experiment, runs: int) -> bool:
    """Run it so often, the second half with one core kept busy; print a line, and whether it passed."""
    took_s: list[float] = []
    found: list[Found] = []
    for number in range(runs):
        with one_core_busy(number >= runs / 2):
            began_s = time.monotonic()
            try:
                found.append(experiment.run(session))
            except LabError as error:
                found.append(Found(False, False, " ".join(str(error).split())))
            took_s.append(time.monotonic() - began_s)
    conclusive = [one for one in found if one.conclusive]
    seen = [one for one in conclusive if one.effect]
    in_time = experiment.within_s is None or max(took_s) <= experiment.within_s
    passed = len(conclusive) >= runs - 1 and len(seen) == len(conclusive) and in_time
    name = f"{'ok    ' if passed else 'MISSED'} {experiment.lesson} {experiment.name:34}"
    bit = (
        f"conclusive {len(conclusive):2} of {runs:2}, {experiment.expected}: {len(seen)} of {len(conclusive)}"
    )
    print(f"{name} {bit}; median {statistics.median(took_s):.1f} s, most {max(took_s):.1f} s", flush=True)
    for one in found:
        if not one.conclusive or not one.effect:
            print(f"         {one.detail}", flush=True)
    return passed


def open_lesson(lesson: str) -> Session:
    """The session as the lesson's first cell opens it; says how long that took."""
    began_s = time.monotonic()
    session = Session.open(lesson=lesson)
    opened_s = time.monotonic() - began_s
    preflight = session.preflight()
    print(
        f"lesson {lesson}: open {opened_s:.1f} s, preflight {preflight.seconds:.1f} s ({preflight.state})",
        flush=True,
    )
    return session


def experiments(lesson: str | None, only: str) -> Sequence[Experiment]:
    """Those that were asked for: with one of the texts of `only`, between commas, in their name."""
    texts = only.split(",")
    return [
        one
        for one in EXPERIMENTS
        if lesson in (None, one.lesson) and any(text.strip() in one.name for text in texts)
    ]


def main() -> int:
    """Repeat, print, and judge."""
    options = arguments()
    began_s = time.monotonic()
    print(f"{os.cpu_count()} cores, load average before {os.getloadavg()[0]:.1f}", flush=True)
    if options.page:
        from bench_course_page import measure_page

        passed = measure_page()
    else:
        passed = repeat_all(options)
    print(
        f"{'goals: met' if passed else 'goals: missed'}; took {(time.monotonic() - began_s) / 60:.1f} minutes"
    )
    return 0 if passed else 1


def repeat_all(options: argparse.Namespace) -> bool:
    """All experiments that were asked for, lesson by lesson, on one cluster."""
    chosen = experiments(options.lesson, options.only)
    if not chosen:
        print(
            f"no experiment is called so; there are {', '.join(one.name for one in EXPERIMENTS)}",
            file=sys.stderr,
        )
        return False
    os.environ |= {
        "QUORUM_LAB_CLUSTER": "bench-course",
        "QUORUM_LAB_BASE_PORT": str(options.base_port),
        "QUORUM_LAB_TRAFFIC_PORT": str(options.base_port + TRAFFIC_PORT - BASE_PORT),
    }
    passed, session = True, None
    try:
        for lesson in sorted({one.lesson for one in chosen}):
            session = open_lesson(lesson)
            for experiment in (one for one in chosen if one.lesson == lesson):
                passed &= repeat(session, experiment, options.runs or experiment.runs)
    finally:
        if session is not None:
            session.close()
    return passed


def arguments() -> argparse.Namespace:
    """What to repeat."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lesson", choices=sorted({one.lesson for one in EXPERIMENTS}), help="only this one")
    parser.add_argument(
        "--only", default="", metavar="TEXT,TEXT", help="only experiments whose name has one of these in it"
    )
    parser.add_argument("--runs", type=int, default=0, help="so often each, instead of 20 or 6 times")
    parser.add_argument("--page", action="store_true", help="what a student feels in a browser, instead")
    parser.add_argument("--base-port", type=int, default=BASE_PORT)
    options = parser.parse_args()
    if options.runs < 0:
        parser.error("expected --runs of at least 0")
    return options


if __name__ == "__main__":
    sys.exit(main())
