"""python -m kvnode.sim: runs seeds, says what was violated, and how to replay it."""

from __future__ import annotations

import argparse
import sys
import time

from kvnode.sim.scenarios import replay


def main(argv: list[str] | None = None) -> int:
    """Run the seeds; exit status 1 if any promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m kvnode.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds to run (default 20)")
    parser.add_argument("--first-seed", type=int, default=1, help="the first of them (default 1)")
    parser.add_argument("--story", action="store_true", help="tell what happened, event by event")
    parser.add_argument(
        "--forget-to-sync",
        action="store_true",
        help="plant a bug: acknowledge before the sync (must be caught)",
    )
    arguments = parser.parse_args(argv)
    started, virtual_s, failed = time.perf_counter(), 0.0, 0
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        report = replay(seed, forgets_to_sync=arguments.forget_to_sync)
        virtual_s += report.virtual_s
        if arguments.story:
            print("\n".join(report.story))
        if report.violations:
            failed += 1
            print(f"seed {seed}: " + "; ".join(report.violations[:3]))
            print(f"  replay: python -m kvnode.sim --seeds 1 --first-seed {seed} --story")
    took_s = time.perf_counter() - started
    print(
        f"{arguments.seeds} seeds, {failed} with violations, {virtual_s:.0f} virtual seconds in {took_s:.1f} s"
        f" ({virtual_s / took_s:.0f} x real time)"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
