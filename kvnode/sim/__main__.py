"""python -m kvnode.sim: runs many seeds on all cores, says what was violated, and how to replay it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from kvnode.sim.bugs import BUGS
from kvnode.sim.determinism import differing_seeds
from kvnode.sim.scenarios import SCENARIOS, Report, replay

_RARE_SHARE = 0.05


def main(argv: list[str] | None = None) -> int:
    """Run the seeds; exit status 1 if any promise was broken."""
    arguments = _arguments(argv)
    if arguments.check_determinism:
        return _check_determinism(arguments)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    started = time.perf_counter()
    seen: Counter[str] = Counter()
    virtual_s, cpu_s, acknowledged, failed = 0.0, 0.0, 0, []
    for done, report in enumerate(_reports(arguments, seeds), start=1):
        seen.update(event for event, count in report.counts.items() if count)
        virtual_s += report.virtual_s
        cpu_s += report.cpu_s
        acknowledged += report.acknowledged
        if arguments.story:
            print("\n".join(report.story))
        if arguments.digests:
            print(f"seed {report.seed}: {report.digest}")
        if report.violations:
            failed.append(report.seed)
            _tell(report, arguments)
        if sys.stderr.isatty():
            bar = "#" * (40 * done // len(seeds))
            print(
                f"\r[{bar:<40}] {done}/{len(seeds)}, {len(failed)} violated",
                end="",
                file=sys.stderr,
                flush=True,
            )
    if sys.stderr.isatty():
        print(file=sys.stderr)
    took_s = time.perf_counter() - started
    if len(seeds) > 1:
        print("share of the seeds in which it happened:")
        for event, count in sorted(seen.items(), key=lambda item: (-item[1], item[0])):
            print(f"  {100.0 * count / len(seeds):5.1f} %  {event}")
        rare = sorted(event for event, count in seen.items() if count < _RARE_SHARE * len(seeds))
        if rare:
            print(f"in less than {100 * _RARE_SHARE:.0f} % of the seeds: {', '.join(rare)}")
    print(
        f"{len(seeds)} seeds, {len(failed)} violations, {acknowledged} acknowledged operations,"
        f" {virtual_s:.0f} virtual seconds in {took_s:.1f} s ({virtual_s / took_s:.0f} x real time,"
        f" {cpu_s / len(seeds):.2f} CPU seconds a seed)"
    )
    return 1 if failed else 0


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
    parser.add_argument("--story", action="store_true", help="tell what happened, event by event")
    parser.add_argument("--digests", action="store_true", help="print the trace digest of each seed")
    parser.add_argument(
        "--check-determinism",
        type=_positive,
        metavar="N",
        help="compare the digests of N seeds in two processes whose hashing differs, and nothing else",
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


def _reports(arguments: argparse.Namespace, seeds: range) -> Iterator[Report]:
    one = partial(replay, scenario=arguments.scenario, bug=arguments.bug)
    if arguments.jobs == 1 or len(seeds) == 1:
        yield from map(one, seeds)
        return
    with ProcessPoolExecutor(min(arguments.jobs, len(seeds))) as pool:
        yield from pool.map(one, seeds, chunksize=4)


def _tell(report: Report, arguments: argparse.Namespace) -> None:
    print(f"seed {report.seed}: " + "; ".join(report.violations[:3]))
    planted = f" --bug {arguments.bug}" if arguments.bug else ""
    scenario = "" if arguments.scenario == "storm" else f" --scenario {arguments.scenario}"
    print(f"  replay: python -m kvnode.sim --seeds 1 --first-seed {report.seed}{scenario}{planted} --story")


if __name__ == "__main__":
    sys.exit(main())
