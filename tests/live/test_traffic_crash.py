"""Traffic, kill -9, restart: nothing acknowledged is lost, counters are exact, replicas agree.

The short form runs everywhere. The full form (500 operations/s, ten seconds of absence) is the same test with
QUORUM_LAB_FULL=1. Both print what they measured (pytest -s, or in the report of a failure).
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from kvnode.cluster import LocalCluster
from traffic.stores.base import StoreError
from traffic.stores.kvnode import KvnodeStore

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

FULL = os.environ.get("QUORUM_LAB_FULL") == "1"
RATE = 500 if FULL else 150
BEFORE_S = 5 if FULL else 2
ABSENT_S = 10 if FULL else 3
IN_FLIGHT_S = 0.2
AFTER_S = 5 if FULL else 3
AGREE_WITHIN_S = 15
ALL = ("node-1", "node-2", "node-3")

StartCluster = Callable[..., LocalCluster]


def run_with(
    cluster: LocalCluster, disturb: Callable[[], None], *, duration_s: float, rate: int = RATE
) -> tuple[int, str]:
    """A `python -m traffic run` with something happening in it; exit status and output."""
    command = [sys.executable, "-m", "traffic", "run", "twitter", "--nodes", ",".join(cluster.urls)]
    command += ["--rate", str(rate), "--duration", str(duration_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    lines: list[str] = []
    disturbing = threading.Thread(target=disturb)
    watchdog = threading.Timer(duration_s + 120, process.kill)
    watchdog.start()
    try:
        for line in process.stdout:
            lines.append(line)
            if line.startswith("seed "):  # the load begins now, however long the start took
                disturbing.start()
        process.wait()
    finally:
        watchdog.cancel()
        process.kill()
        disturbing.join()
    output = "".join(lines)
    print(output)
    return process.returncode, output


def number(pattern: str, output: str) -> float:
    found = re.search(pattern, output)
    assert found, f"{pattern} not in:\n{output}"
    return float(found.group(1))


async def disagreeing(cluster: LocalCluster) -> list[str]:
    """All keys and counters that are not the same, and reachable, on all replicas."""
    store = KvnodeStore(cluster.urls, ALL)
    client = cluster.client()
    keys = [(key, False) for key in client.keys(node="node-1")]
    keys += [(f"{key}/{name}", True) for key, _ in keys if key.count("/") == 1 for name in ("likes", "views")]
    keys.append(("twitter/tweets_total", True))
    found: list[str] = []
    left = iter(keys)

    async def look() -> None:
        for key, counter in left:
            try:
                agree = await store.replicas_agree("node-1", key, counter=counter)
            except StoreError:
                agree = False
            if not agree:
                found.append(key)

    await asyncio.gather(*(look() for _ in range(8)))
    await store.close()
    return found


def assert_agreement(cluster: LocalCluster) -> None:
    began_s = time.monotonic()
    while left := asyncio.run(disagreeing(cluster)):
        assert time.monotonic() - began_s < AGREE_WITHIN_S, f"{len(left)} keys differ: {left[:5]}"
    print(f"all replicas agree, seen {time.monotonic() - began_s:.1f} s after the load had stopped")


def assert_nothing_lost(status: int, output: str) -> None:
    assert status == 0, output
    assert "lost 0: ok" in output
    assert number(r"counters checked \d+, wrong (\d+)", output) == 0
    assert number(r"counters checked (\d+)", output) > 10
    assert number(r"shed (\d+)\n", output) == 0


def test_kill_one_node_under_load_and_restart_it(live_cluster: StartCluster) -> None:
    cluster = live_cluster(nodes=3)

    def disturb() -> None:
        time.sleep(BEFORE_S)
        cluster.pause("node-2")
        time.sleep(IN_FLIGHT_S)  # requests lie in its sockets when it dies
        cluster.kill("node-2")
        time.sleep(ABSENT_S)
        cluster.restart("node-2")

    status, output = run_with(cluster, disturb, duration_s=BEFORE_S + ABSENT_S + AFTER_S)
    assert_nothing_lost(status, output)
    assert number(r"resent (\d+)", output) > 0  # the death was really met
    assert number(r"longest gap without a successful operation: ([\d.]+) s", output) < 3
    assert_agreement(cluster)


def test_kill_all_nodes_at_once_under_load_and_restart_them(live_cluster: StartCluster) -> None:
    cluster = live_cluster(nodes=3)

    def disturb() -> None:
        time.sleep(BEFORE_S)
        for node in ALL:
            cluster.kill(node)
        time.sleep(ABSENT_S)
        for node in ALL:
            cluster.restart(node)

    status, output = run_with(cluster, disturb, duration_s=BEFORE_S + ABSENT_S + AFTER_S + 2)
    assert_nothing_lost(status, output)
    gap_s = number(r"longest gap without a successful operation: ([\d.]+) s", output)
    assert ABSENT_S - 1 <= gap_s < ABSENT_S + 10
    assert_agreement(cluster)


def test_disks_lost_under_load_are_reported_as_a_violation(live_cluster: StartCluster) -> None:
    """The planted disaster, so that the verdict is known to be able to fail: all three disks are wiped."""
    cluster = live_cluster(nodes=3)

    def disturb() -> None:
        time.sleep(2)
        for node in ALL:
            cluster.wipe(node)
        for node in ALL:
            cluster.restart(node)

    status, output = run_with(cluster, disturb, duration_s=6, rate=100)
    assert status == 1
    assert number(r"lost (\d+): violated", output) > 0
