"""Quorum writes and reads per second of three nodes, by a client that is not ours: wrk.

    python scripts/bench_wrk.py [--seconds 5] [--pairs 5] [--against etcd]

A client that is written in the language of the database, by the people who wrote the database, flatters it: it may
pipeline what others do not, and it is tuned to it. wrk (Debian's package of that name) knows nothing of us. Each
measurement is a closed loop over keep-alive connections: 11 at each of three nodes, all 33 at one node (which then
does all the HTTP), and a single one. With --against etcd a three-node etcd is measured in turn over its JSON gateway,
pair by pair, and ratios are printed: absolute figures of a shared computer mean little. etcd's guarantee is the
stronger one.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench_cluster import STRONGER, VALUE, Target, etcd_cluster, fill, kvnode_cluster, run

KEYS = 1000
_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
_REFUSED = re.compile(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.+)")


@dataclass(frozen=True)
class Plan:
    """connections: how many at the first, the second and the third node."""

    title: str
    verb: str
    connections: Sequence[int]


PLANS = (
    Plan("writes, 11 connections at each node", "put", (11, 11, 11)),
    Plan("reads, 11 connections at each node", "get", (11, 11, 11)),
    Plan("writes, one connection", "put", (1, 0, 0)),
    Plan("writes, 33 connections at one node", "put", (33, 0, 0)),
    Plan("reads, 33 connections at one node", "get", (33, 0, 0)),
)


def script(target: Target, verb: str) -> str:
    """What wrk asks, in its own language: a random key of those that exist."""
    if target.name == "etcd":
        return _etcd_script(verb)
    number = f"math.random({KEYS}) - 1"
    if verb == "put":
        body = json.dumps({"value": VALUE}).replace('"', '\\"')
        ask = f'return wrk.format("PUT", "/kv/bench-" .. ({number}), nil, "{body}")'
    else:
        ask = f'return wrk.format("GET", "/kv/bench-" .. ({number}) .. "?r=2")'
    return f"{_head()}\nfunction request() {ask} end\n"


def _etcd_script(verb: str) -> str:
    encoded = ", ".join(f'"{base64.b64encode(f"bench-{i}".encode()).decode()}"' for i in range(KEYS))
    value = base64.b64encode(VALUE.encode()).decode()
    path = "/v3/kv/put" if verb == "put" else "/v3/kv/range"
    more = f', \\"value\\": \\"{value}\\"' if verb == "put" else ""
    body = f'"{{\\"key\\": \\"" .. keys[math.random({KEYS})] .. "\\"{more}}}"'
    ask = f'return wrk.format("POST", "{path}", nil, {body})'
    return f"local keys = {{{encoded}}}\n{_head()}\nfunction request() {ask} end\n"


def _head() -> str:
    return 'wrk.headers["Content-Type"] = "application/json"\nmath.randomseed(os.time())'


def measure(target: Target, plan: Plan, *, seconds: float, folder: Path) -> float:
    """Requests a second over all nodes; raises SystemExit if any of them failed."""
    file = folder / f"{target.name}-{plan.verb}.lua"
    file.write_text(script(target, plan.verb))
    running = [
        subprocess.Popen(
            ["wrk", "-t", "1", "-c", str(count), "-d", f"{seconds:.0f}s", "-s", str(file), url],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for url, count in zip(target.urls, plan.connections, strict=True)
        if count
    ]
    total = 0.0
    for process in running:
        said, _ = process.communicate(timeout=seconds + 30.0)
        rate, refused = _RATE.search(said), _REFUSED.search(said)
        if rate is None or refused is not None:
            raise SystemExit(f"{target.name}, {plan.title}: wrk said\n{said}")
        total += float(rate[1])
    return total


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement (default 5)")
    parser.add_argument("--pairs", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--against", choices=["etcd"], help="measure a rival in the same minutes")
    arguments = parser.parse_args()
    for tool in ["wrk", *([arguments.against] if arguments.against else [])]:
        if shutil.which(tool) is None:
            print(f"{tool} is not installed (Debian: apt-get install wrk etcd-server)", file=sys.stderr)
            return 2
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="quorum-lab-wrk-")))
        targets = [stack.enter_context(kvnode_cluster())[0]]
        if arguments.against:
            targets.append(stack.enter_context(etcd_cluster()))
        for target in targets:
            run(fill(target, KEYS))
        for plan in PLANS:
            rates: dict[str, list[float]] = {target.name: [] for target in targets}
            for _ in range(arguments.pairs):
                for target in targets:
                    rates[target.name].append(measure(target, plan, seconds=arguments.seconds, folder=folder))
            told = ", ".join(f"{name} {statistics.median(found):.0f}/s" for name, found in rates.items())
            print(f"{plan.title:<38} {told} (medians of {arguments.pairs})", flush=True)
            if arguments.against:
                ratios = [mine / theirs for mine, theirs in zip(*rates.values(), strict=True)]
                print(
                    f"    kvnode / {arguments.against} = {statistics.median(ratios):.2f}"
                    f" (median of {len(ratios)} pairs, {min(ratios):.2f} to {max(ratios):.2f})",
                    flush=True,
                )
    if arguments.against:
        print(STRONGER)
    return 0


if __name__ == "__main__":
    sys.exit(main())
