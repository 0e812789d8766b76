"""How soon a death is known, how soon a cluster is ready, and whether load is taken for death.

    python scripts/bench_membership.py [--deaths 10] [--starts 5] [--quiet-s 60] [--rate 1000]

Real processes on this computer. A death: kill -9, and then every other node's /members is asked until it says dead.
Quiet: traffic at --rate with every core kept busy by processes that do nothing else; each death that any node's
log notes of a node that lives is a false one. Ends with status 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator

from kvnode.cluster import LocalCluster
from kvnode.errors import KvError

DEATH_S_GOAL, READY_S_GOAL = 2.5, 2.0
LOOK_AGAIN_S = 0.01
PATIENCE_S = 30.0
BUSY = "while True:\n    pass"


def main() -> int:
    """Measure and print; the exit status says whether the goals were met."""
    options = arguments()
    print(
        f"{os.cpu_count()} cores, load average before {os.getloadavg()[0]:.1f}, {options.nodes} nodes",
        flush=True,
    )
    ready_s = []
    for _ in range(options.starts):
        with a_cluster(options) as (_, took_s):
            ready_s.append(took_s)
    if ready_s:
        report("ready", ready_s, READY_S_GOAL)
    known_s: list[float] = []
    deaths = 0
    with a_cluster(options) as (cluster, _):
        if options.deaths:
            known_s = [time_until_known(cluster, number) for number in range(options.deaths)]
            report("death known to every other node", known_s, DEATH_S_GOAL)
        if options.quiet_s:
            deaths = false_deaths(cluster, options)
    met = deaths == 0
    met = met and (not known_s or statistics.median(known_s) < DEATH_S_GOAL)
    met = met and (not ready_s or statistics.median(ready_s) < READY_S_GOAL)
    print("goals: met" if met else "goals: missed")
    return 0 if met else 1


@contextlib.contextmanager
def a_cluster(options: argparse.Namespace) -> Iterator[tuple[LocalCluster, float]]:
    """A fresh cluster and how many seconds it took until all its nodes were ready."""
    with tempfile.TemporaryDirectory(prefix="quorum-lab-bench-") as folder:
        began_s = time.perf_counter()
        with LocalCluster.start(
            options.name, options.nodes, base_port=options.base_port, state_dir=folder
        ) as cluster:
            yield cluster, time.perf_counter() - began_s


def time_until_known(cluster: LocalCluster, number: int) -> float:
    """Kill one node; how many seconds until the last of the others says that it is dead. Brings it back."""
    names = [node.name for node in cluster.nodes]
    victim = names[number % len(names)]
    others = [name for name in names if name != victim]
    wait_until(cluster, names, dict.fromkeys(names, "alive"))
    time.sleep(number % 7 * 0.05)  # not always at the same place in the probes' period
    began_s = time.perf_counter()
    cluster.kill(victim)
    wait_until(cluster, others, {victim: "dead"})
    took_s = time.perf_counter() - began_s
    cluster.restart(victim)
    return took_s


def wait_until(cluster: LocalCluster, nodes: list[str], states: dict[str, str]) -> None:
    """Ask each of these nodes until all of them believe this."""
    client, end_s, left = cluster.client(), time.monotonic() + PATIENCE_S, list(nodes)
    while left:
        left = [name for name in left if not believes(client.members(name)["members"], states)]
        if time.monotonic() > end_s:
            raise SystemExit(f"after {PATIENCE_S:.0f} s {', '.join(left)} still did not believe {states}")
        if left:
            time.sleep(LOOK_AGAIN_S)


def believes(members: object, states: dict[str, str]) -> bool:
    """Whether a member table says so."""
    assert isinstance(members, list)
    known = {member["name"]: member["state"] for member in members}
    return all(known[name] == state for name, state in states.items())


def false_deaths(cluster: LocalCluster, options: argparse.Namespace) -> int:
    """Load without faults: how many deaths and suspicions the nodes believed in."""
    wait_until(cluster, [node.name for node in cluster.nodes], {node.name: "alive" for node in cluster.nodes})
    before = {node.name: len(member_events(node.log_file)) for node in cluster.nodes}
    for core in range(os.cpu_count() or 1):
        cluster.start_sidecar(f"busy-{core}", [sys.executable, "-c", BUSY])
    run = [sys.executable, "-P", "-m", "traffic", "run", "twitter", "--nodes", ",".join(cluster.urls)]
    run += ["--rate", str(options.rate), "--duration", str(options.quiet_s)]
    cluster.start_sidecar("traffic", run, ready_prefix="seed ", timeout_s=PATIENCE_S)
    began_s, client, answered = time.monotonic(), cluster.client(), 0
    while time.monotonic() - began_s < options.quiet_s:
        time.sleep(1.0)
    load = os.getloadavg()[0]
    for node in cluster.nodes:
        with contextlib.suppress(KvError):
            answered += sum(client.stats(node.name)["operations"].values())
    events = [event for node in cluster.nodes for event in member_events(node.log_file)[before[node.name] :]]
    deaths = sum(event["after"] == "dead" for event in events)
    suspicions = sum(event["after"] == "suspect" for event in events)
    print(
        f"quiet for {options.quiet_s:g} s: false deaths {deaths}, suspicions that were refuted {suspicions}; "
        f"{answered / options.quiet_s:.0f} operations/s coordinated, load average {load:.1f}",
        flush=True,
    )
    return deaths


def member_events(log_file: os.PathLike[str]) -> list[dict[str, str]]:
    """Every change of belief that a node's log notes."""
    with open(log_file, encoding="utf-8") as lines:  # noqa: PTH123
        events = [json.loads(line) for line in lines]
    return [event for event in events if event["event"] == "member"]


def report(what: str, seconds: list[float], goal_s: float) -> None:
    """One line of figures."""
    print(
        f"{what}: median {statistics.median(seconds):.2f} s, {min(seconds):.2f} to {max(seconds):.2f} s "
        f"({len(seconds)} times; goal below {goal_s:g} s)",
        flush=True,
    )


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=3, help="default 3")
    parser.add_argument("--deaths", type=int, default=10, help="default 10")
    parser.add_argument("--starts", type=int, default=5, help="default 5")
    parser.add_argument(
        "--quiet-s", type=float, default=60.0, help="seconds of load, 0 for none (default 60)"
    )
    parser.add_argument("--rate", type=float, default=1000.0, help="operations/s meanwhile (default 1000)")
    parser.add_argument(
        "--cluster", "--name", dest="name", default=f"bench-{os.getpid()}", help="of the cluster"
    )
    parser.add_argument(
        "--base-port", type=int, default=12_500, help="default 12500; busy ones are stepped over"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
