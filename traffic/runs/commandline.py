"""The command line of runs without the service: `run`, `replay` and `report`.

Here: their arguments, and what is made of them.
Must not live here: the run itself (run.py), `serve` and what all commands share (cli.py).
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from traffic.control.presets import PRESETS
from traffic.control.rate_parser import HELP
from traffic.discovery import Address
from traffic.load.closed_loop import WORKERS_DEFAULT, WORKERS_MAX
from traffic.load.driver import LOOPS, Settings
from traffic.load.registry import WORKLOADS
from traffic.runs import recording
from traffic.runs.replay_run import Playback, replay
from traffic.runs.report import of_recording, write_report
from traffic.runs.run import CannotRun, Plan, run_workloads

SPEED_MAX = 100.0


def add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("workload", choices=[*WORKLOADS, "all"])
    parser.add_argument("--duration", type=positive, default=30.0, metavar="SECONDS", help="default 30")
    parser.add_argument("--preset", metavar="NAME", help=f"one of: {', '.join(PRESETS)}")
    parser.add_argument("--loop", choices=LOOPS, default="open", help="default open")
    parser.add_argument(
        "--workers",
        type=_workers,
        default=WORKERS_DEFAULT,
        help=f"of a closed loop, default {WORKERS_DEFAULT}",
    )
    known = [bug for world in WORKLOADS.values() for bug in world.make(Random(0), "help").bugs_known]
    parser.add_argument(
        "--bug", metavar="NAME", help=f"switch a known mistake on: {', '.join(known) or 'none yet'}"
    )
    _add_outputs(parser)


def add_replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="a recording, as `run --record` writes it")
    parser.add_argument("--speed", type=_speed, default=1.0, help="times as fast as it was, default 1")
    parser.add_argument("--r", type=int, help="read quorum, by default the recorded one")
    parser.add_argument("--w", type=int, help="write quorum, by default the recorded one")
    parser.add_argument(
        "--faults",
        action="store_true",
        help="do again what was done to the nodes then: kills, lost disks, pauses, cuts, delays (local clusters only)",
    )
    _add_outputs(parser)


def add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="a recording; no cluster is needed")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: the recording's name with .html")


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="everything, to be played again (.jsonl.gz)"
    )
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="a page with charts, for any browser (.html)"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="a row a second, and more tables beside it")


async def run_of(options: argparse.Namespace, addresses: Sequence[Address], settings: Settings) -> int:
    settings.loop, settings.workers = options.loop, options.workers
    plan = Plan(
        worlds=tuple(WORKLOADS) if options.workload == "all" else (options.workload,),
        settings=settings,
        duration_s=options.duration,
        rate=options.rate,
        preset=options.preset,
        bug=options.bug,
        seed=options.seed,
    )
    return await run_workloads(addresses, _with_outputs(plan, options))


async def replay_of(options: argparse.Namespace, addresses: Sequence[Address]) -> int:
    for name in ("r", "w"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            raise CannotRun(f"--{name} must be at least 1, got {getattr(options, name)}")
    plan = Plan(worlds=(), settings=Settings(), duration_s=float("inf"))
    plan = _with_outputs(plan, options)
    playback = Playback(options.file, options.speed, options.r, options.w, options.faults)
    return await replay(addresses, playback, plan)


def report_of(options: argparse.Namespace) -> int:
    """Without an event loop: nothing is asked of anybody."""
    recorded = recording.load(options.file)
    if recorded.missing:
        print(f"traffic: {options.file}: {recorded.missing}", file=sys.stderr)
    name = options.file.name.removesuffix(".gz").removesuffix(".jsonl")
    out = options.out or options.file.with_name(f"{name}.html")
    try:
        print(f"report in {write_report(of_recording(recorded), out)}")
    except OSError as error:
        raise CannotRun(f"the report {out} cannot be written: {error.strerror or error}") from None
    return 0


def positive(text: str) -> float:
    """A number of seconds above 0, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, got {text!r}")
    return value


RATE_HELP = f"operations/s, of all workloads together; or a shape: {HELP}"


def _with_outputs(plan: Plan, options: argparse.Namespace) -> Plan:
    for name in ("record", "report", "csv"):
        path = getattr(options, name)
        if path is not None and not path.absolute().parent.is_dir():
            raise CannotRun(f"--{name} {path}: there is no folder {path.absolute().parent}")
    return replace(
        plan, record=options.record, report=options.report, csv=options.csv, command=command_line()
    )


def command_line() -> str:
    """What was typed, for whoever reads the report; but a token is nobody's business."""
    words = sys.argv[1:]
    for index, word in enumerate(words):
        if word.startswith("--token="):
            words[index] = "--token=…"
        elif word == "--token" and index + 1 < len(words):
            words[index + 1] = "…"
    return shlex.join(["python", "-m", "traffic", *words])


def _workers(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= WORKERS_MAX:
        raise argparse.ArgumentTypeError(f"expected a number between 1 and {WORKERS_MAX}, got {text!r}")
    return int(text)


def _speed(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= SPEED_MAX:
        raise argparse.ArgumentTypeError(f"expected a number above 0, at most {SPEED_MAX:g}, got {text!r}")
    return value
