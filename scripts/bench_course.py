"""Does every experiment of the course show what its lesson says, every time, also on a busy computer?

    python scripts/bench_course.py [--lesson 02] [--only alice] [--runs N] [--page]

Each experiment is repeated, 20 times where one takes less than 10 s and 6 times otherwise, half of the runs with one
core kept busy. Printed for each: how often it was conclusive, how often the expected effect was seen when it was, and
seconds. An experiment passes if all runs but one at most were conclusive, and each of these showed the effect.

--page measures in a browser what a student feels (bench_course_page.py): from Run All to the first point, from a
control to its change, also while a cell computes, and from Freeze to standing still.

Must not live here: the experiments themselves (course_experiments/).

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
from collections.abc import Iterator, Sequence

from course_experiments import Experiment, Found, all_experiments

from labkit import Session
from labkit.errors import LabError

BASE_PORT, TRAFFIC_PORT = 13_200, 13_290
BUSY = "while True:\n    pass"
EXPERIMENTS = all_experiments()


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
