"""python -m kvnode.sim: runs many seeds on all cores, says what was violated, and how to replay it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from kvnode.sim.bugs import BUGS
from kvnode.sim.coverage import RARE_SHARE, Seen, lines, rare
from kvnode.sim.determinism import differing_seeds
from kvnode.sim.scenarios import SCENARIOS, Report, replay


@dataclass
class _Totals:
    """What the seeds of one scenario came to. failed: those that broke a promise."""

    seen: Seen = field(default_factory=Seen)
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    acknowledged: int = 0
    failed: list[int] = field(default_factory=list)

    def add(self, report: Report) -> None:
        self.seen.add(report.counts)
        self.virtual_s += report.virtual_s
        self.cpu_s += report.cpu_s
        self.acknowledged += report.acknowledged
        if report.violations:
            self.failed.append(report.seed)


def main(argv: list[str] | None = None) -> int:
    """Run the seeds; exit status 1 if any promise was broken."""
    arguments = _arguments(argv)
    if arguments.check_determinism:
        return _check_determinism(arguments)
    if arguments.coverage:
        return _coverage(arguments)
    totals = _run(arguments, arguments.scenario)
    if arguments.seeds > 1:
        _tell_shares(totals.seen)
    return 1 if totals.failed else 0


def _run(arguments: argparse.Namespace, scenario: str) -> _Totals:
    """Run the seeds of one scenario, and say what came of them."""
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    started, totals = time.perf_counter(), _Totals()
    for done, report in enumerate(_reports(arguments, scenario, seeds), start=1):
        totals.add(report)
        if arguments.log:
            print("\n".join(report.log))
        if arguments.digests:
            print(f"seed {report.seed}: {report.digest}")
        if report.violations:
            _tell(report, arguments, scenario)
        if sys.stderr.isatty():
            bar = "#" * (40 * done // len(seeds))
            what = f"\r[{bar:<40}] {done}/{len(seeds)}, {len(totals.failed)} violated"
            print(what, end="\n" if done == len(seeds) else "", file=sys.stderr, flush=True)
    took_s = time.perf_counter() - started
    print(
        f"{len(seeds)} seeds, {len(totals.failed)} violations, {totals.acknowledged} acknowledged operations,"
        f" {totals.virtual_s:.0f} virtual seconds in {took_s:.1f} s ({totals.virtual_s / took_s:.0f} x real time,"
        f" {totals.cpu_s / len(seeds):.2f} CPU seconds a seed)",
        flush=True,
    )
    return totals


def _tell_shares(seen: Seen) -> None:
    print("share of the seeds in which it happened:")
    for event, count in sorted(seen.events.items(), key=lambda item: (-item[1], item[0])):
        print(f"  {100.0 * count / seen.seed_count:5.1f} %  {event}")
    rare = sorted(event for event in seen.events if seen.share(event) < RARE_SHARE)
    if rare:
        print(f"in less than {100 * RARE_SHARE:.0f} % of the seeds: {', '.join(rare)}")


def _coverage(arguments: argparse.Namespace) -> int:
    """Run the seeds of every scenario; exit status 1 too if something that must happen is rare in each."""
    seen: dict[str, Seen] = {}
    failed = False
    for scenario in SCENARIOS:
        print(f"{scenario}: ", end="", flush=True)
        totals = _run(arguments, scenario)
        seen[scenario] = totals.seen
        failed = failed or bool(totals.failed)
    print("\n".join(lines(seen)))
    if missing := rare(seen):
        print(f"in less than {100 * RARE_SHARE:.0f} % of the seeds of every scenario: {', '.join(missing)}")
    return 1 if failed or missing else 0


def _check_determinism(arguments: argparse.Namespace) -> int:
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.check_determinism)
    differing = differing_seeds(arguments.scenario, seeds)
    print(
        f"{len(seeds)} seeds under two PYTHONHASHSEEDs: "
        + (f"digests differ for {', '.join(map(str, differing))}" if differing else "equal trace digests")
    )
    return 1 if differing else 0


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m kvnode.sim",
        description="Run the database in virtual time under seeded faults.",
        epilog="bugs: " + "; ".join(f"{name}: {what}" for name, what in BUGS.items()),
    )
    parser.add_argument("--seeds", type=_positive, default=100, help="how many seeds to run (default 100)")
    parser.add_argument("--first-seed", type=int, default=1, help="the first of them (default 1)")
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), default="storm")
    parser.add_argument("--log", "--story", action="store_true", help="tell what happened, event by event")
    parser.add_argument("--digests", action="store_true", help="print the trace digest of each seed")
    parser.add_argument(
        "--check-determinism",
        type=_positive,
        metavar="N",
        help="compare the digests of N seeds in two processes whose hashing differs, and nothing else",
    )
    parser.add_argument(
        "--coverage",
        action="store_true",
        help="run the seeds of every scenario, and print in which share of them each fault and check happened",
    )
    parser.add_argument("--bug", choices=sorted(BUGS), help="plant a bug: it must be found")
    parser.add_argument(
        "--jobs", type=_positive, default=os.cpu_count() or 1, help="processes (default: all cores)"
    )
    return parser.parse_args(argv)


def _positive(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number of at least 1")
    return number


def _reports(arguments: argparse.Namespace, scenario: str, seeds: range) -> Iterator[Report]:
    one = partial(replay, scenario=scenario, bug=arguments.bug)
    if arguments.jobs == 1 or len(seeds) == 1:
        yield from map(one, seeds)
        return
    with ProcessPoolExecutor(min(arguments.jobs, len(seeds))) as pool:
        yield from pool.map(one, seeds, chunksize=4)


def _tell(report: Report, arguments: argparse.Namespace, scenario: str) -> None:
    print(f"seed {report.seed}: " + "; ".join(report.violations[:3]))
    planted = f" --bug {arguments.bug}" if arguments.bug else ""
    of_scenario = "" if scenario == "storm" else f" --scenario {scenario}"
    print(f"  replay: python -m kvnode.sim --seeds 1 --first-seed {report.seed}{of_scenario}{planted} --log")


if __name__ == "__main__":
    sys.exit(main())
