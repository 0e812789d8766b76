"""Breaks real processes at random under real traffic, and judges what came of every acknowledged write.

    python scripts/chaos.py [--seconds 120] [--rate 1000] [--every 3] [--nodes 3] [--members] [--seed N]

Starts a cluster and a traffic service of its own, with fresh disks. A seed is printed; it repeats the plan of faults
(kill -9, pause, cuts, delays, and lost disks where the promise allows them), not the moment of each message. At
the end everything is healed and the traffic stops. Then all replicas must have equal Merkle roots within 20 s,
no acknowledged write may be lost, and all counters must be exact.

Exit status: 0 ok, 1 violated, 2 unknown (something could not be read, or the traffic service broke).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from dataclasses import replace
from typing import Any

import requests

from kvnode.chaos.convergence import Roots, describe
from kvnode.chaos.run import AGREE_S_MAX, Chaos
from kvnode.chaos.schedule import ANY_ORDER, WEIGHTS, ScheduledFault, make_schedule
from kvnode.cluster import LocalCluster

TRAFFIC_READY_S = 30.0
CHECK_S_MAX = 180.0
STATUS = {"ok": 0, "violated": 1, "unknown": 2}


def main() -> int:
    """Run it and return the exit status."""
    options = arguments()
    seed = secrets.randbits(32) if options.seed is None else options.seed
    folder = tempfile.mkdtemp(prefix="quorum-lab-chaos-")
    verdict = "unknown"
    try:
        with LocalCluster.start(
            options.name, options.nodes, base_port=options.base_port, state_dir=folder, fresh=True
        ) as cluster:
            verdict = run(cluster, options, seed)
    finally:
        if verdict == "ok":
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"what the nodes logged and kept: {folder}")
    return STATUS[verdict]


def run(cluster: LocalCluster, options: argparse.Namespace, seed: int) -> str:
    """Traffic, schedule, peace, judgement; "ok", "violated" or "unknown"."""
    schedule = make_schedule(
        seed,
        [node.name for node in cluster.nodes],
        seconds=options.seconds,
        every_s=options.every,
        weights=ANY_ORDER if options.members else WEIGHTS,
    )
    if options.plant_loss:
        schedule = with_a_disaster(schedule, [node.name for node in cluster.nodes], options.seconds / 2)
    say(f"seed {seed}: {options.nodes} nodes, {options.rate:g} operations/s for {options.seconds:g} s")
    traffic = start_traffic(cluster, options, seed)
    roots = Roots(cluster.client())
    chaos = Chaos(cluster, roots, say)
    traffic("POST", "start")
    began_s = time.monotonic()
    chaos.work(schedule, seconds=options.seconds)
    took_s = time.monotonic() - began_s
    stats = traffic("GET", "stats")
    traffic("POST", "stop")
    roots.close()
    roots = Roots(cluster.client())  # members may have come and gone
    equal_s = roots.wait_until_equal(AGREE_S_MAX)
    checked = traffic("POST", "check")
    left = describe(roots.differing())
    roots.close()

    happened = ", ".join(f"{kind} {number}" for kind, number in sorted(chaos.counts.items()))
    say(f"faults: {happened or 'none'}")
    if stats is None or checked is None:
        say("verdict: unknown, for the traffic service did not answer")
        return "unknown"
    work = stats["workloads"]["twitter"]
    say(
        f"operations {work['operations_total']} in {took_s:.0f} s ({work['operations_total'] / took_s:.0f}/s), errors "
        f"{work['errors_total']} ({work['errors_definite']} definite), resent {work['resent_total']}, "
        f"shed {work['shed_total']}"
    )
    say(f"longest gap without a successful operation: {checked['longest_gap_s']:.2f} s")
    say(
        f"Merkle roots: equal {equal_s:.1f} s after the last fault"
        if equal_s is not None
        else f"Merkle roots: not equal {AGREE_S_MAX:.0f} s after the last fault; {left}"
    )
    say(
        f"acknowledged {checked['acknowledged']}, lost {checked['lost']}; "
        f"counters checked {checked['counters_checked']}, wrong {checked['counters_wrong']}"
    )
    for line in [*chaos.violations, *checked["evidence"][:10]]:
        say(f"  {line}")
    broken = bool(chaos.violations) or equal_s is None or checked["counters_wrong"] > 0
    verdict = "violated" if broken else str(checked["status"])
    verdict = verdict if verdict in STATUS else "unknown"
    say(f"verdict: {verdict}")
    return verdict


def with_a_disaster(schedule: list[ScheduledFault], nodes: list[str], at_s: float) -> list[ScheduledFault]:
    """More than the promise allows, in the middle: the verdict must notice."""
    disaster = ScheduledFault(at_s, "all disks lost", tuple(nodes))
    return [*(each for each in schedule if each.at_s < at_s), disaster] + [
        replace(each, at_s=each.at_s + 0.1) for each in schedule if each.at_s >= at_s
    ]


class Traffic:
    """Asks the traffic service; None if it does not answer as it should."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __call__(self, method: str, what: str) -> Any:
        try:
            answer = requests.request(method, f"{self._url}/api/real/traffic/{what}", timeout=CHECK_S_MAX)
            return answer.json() if answer.status_code == 200 else None
        except (requests.RequestException, ValueError):
            return None


def start_traffic(cluster: LocalCluster, options: argparse.Namespace, seed: int) -> Traffic:
    """The generator, a process that ends with the cluster. It waits to be started."""
    port = options.traffic_port or free_port()
    argv = [
        sys.executable,
        "-P",
        "-m",
        "traffic",
        "serve",
        "--port",
        str(port),
        "--nodes",
        ",".join(cluster.urls),
    ]
    argv += ["--rate", str(options.rate), "--seed", str(seed), "--no-start"]
    cluster.start_sidecar("traffic", argv, ready_prefix="ready traffic", timeout_s=TRAFFIC_READY_S)
    return Traffic(f"http://127.0.0.1:{port}")


def free_port() -> int:
    """One that nobody listens on."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def say(line: str) -> None:
    """One line at once, also into a pipe."""
    print(line, flush=True)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=120.0, help="how long (default 120)")
    parser.add_argument("--rate", type=float, default=1000.0, help="operations/s (default 1000)")
    parser.add_argument(
        "--every", type=float, default=3.0, metavar="S", help="a fault each so often (default 3)"
    )
    parser.add_argument("--nodes", type=int, default=3, help="default 3")
    parser.add_argument(
        "--members",
        action="store_true",
        help="members come and go too, and disks are lost in the middle of everything (give at least 5 nodes)",
    )
    parser.add_argument("--seed", type=int, help="repeat the plan of an earlier run")
    parser.add_argument(
        "--cluster", "--name", dest="name", default=f"chaos-{os.getpid()}", help="of the cluster"
    )
    parser.add_argument(
        "--base-port", type=int, default=12_000, help="default 12000; busy ports are stepped over"
    )
    parser.add_argument("--traffic-port", type=int, help="default: any that is free")
    parser.add_argument(
        "--plant-loss", action="store_true", help="lose all disks half-way, to see that the verdict can fail"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
