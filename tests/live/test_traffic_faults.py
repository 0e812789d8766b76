"""A run with faults is recorded and played again, faults and all, on real processes."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kvnode.cluster import LocalCluster
from traffic.runs import recording

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

StartCluster = Callable[..., LocalCluster]
TOLERANCE_S = 1.5


def traffic(cluster: LocalCluster, *arguments: object, disturb: Callable[[], None] | None = None) -> str:
    """The output of `python -m traffic …` on the cluster, disturbed from its first operation on."""
    command = [sys.executable, "-m", "traffic", *map(str, arguments), "--nodes", ",".join(cluster.urls)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    watchdog = threading.Timer(100, process.kill)
    watchdog.start()
    disturbing = threading.Thread(target=disturb or (lambda: None))
    lines: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if line.startswith("seed "):
                disturbing.start()
        process.wait()
        disturbing.join()
    finally:
        watchdog.cancel()
        process.kill()
    output = "".join(lines)
    assert process.returncode == 0, output
    return output


def deeds(path: Path) -> list[tuple[str, tuple[str, ...], float]]:
    return [
        (fault.what, tuple(fault.nodes), fault.t_s)
        for fault in recording.load(path).faults
        if fault.source == "done"
    ]


def test_what_was_done_to_the_nodes_is_recorded_and_done_again(
    live_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = live_cluster(nodes=3)
    first, second, third = (tmp_path / f"{name}.jsonl.gz" for name in ("first", "second", "third"))

    def disturb() -> None:
        for pause_s, do in (
            (1.0, lambda: cluster.kill("node-2")),
            (1.0, lambda: cluster.cut("node-1", "node-3")),
            (1.0, lambda: cluster.heal()),
            (0.5, lambda: cluster.restart("node-2")),
            (1.0, lambda: cluster.pause("node-3")),
            (1.0, lambda: cluster.resume("node-3")),
            (0.5, lambda: cluster.delay(20, nodes=("node-1", "node-2"))),
            (0.5, lambda: cluster.delay(0)),
        ):
            time.sleep(pause_s)
            do()

    traffic(cluster, "run", "twitter", "--rate", 60, "--duration", 10, "--record", first, disturb=disturb)
    assert [(what, nodes) for what, nodes, _ in deeds(first)] == [
        ("kill", ("node-2",)),
        ("cut", ("node-1", "node-3")),
        ("heal", ()),
        ("restart", ("node-2",)),
        ("pause", ("node-3",)),
        ("resume", ("node-3",)),
        ("delay", ("node-1", "node-2")),
        ("delay", ("node-1", "node-2")),
    ]

    output = traffic(cluster, "replay", first, "--record", third)
    assert "8 faults are not repeated (--faults does)" in output
    assert deeds(third) == []

    output = traffic(cluster, "replay", first, "--faults", "--record", second)
    assert "8 faults are repeated" in output
    assert "was not repeated" not in output
    again = deeds(second)
    print(*zip(deeds(first), again, strict=True), sep="\n")
    assert [(what, nodes) for what, nodes, _ in again] == [(what, nodes) for what, nodes, _ in deeds(first)]
    for (_, _, then_s), (what, _, now_s) in zip(deeds(first), again, strict=True):
        assert abs(now_s - then_s) < TOLERANCE_S, what
    seen = {fault.what for fault in recording.load(second).faults if fault.source == "seen"}
    assert seen & {"dead", "suspect", "unreachable"}
    assert all(node.state == "running" for node in cluster.nodes)
    assert cluster.faults() == {}


def test_faults_without_a_supervisor_are_refused_in_one_line(
    live_cluster: StartCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = live_cluster(nodes=3)
    path = tmp_path / "run.jsonl"
    traffic(cluster, "run", "twitter", "--rate", 50, "--duration", 1, "--record", path)
    nodes = ",".join(cluster.urls)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with monkeypatch.context() as patch:
        patch.setenv("QUORUM_LAB_STATE", str(elsewhere))
        ended = subprocess.run(
            [sys.executable, "-m", "traffic", "replay", str(path), "--faults", "--nodes", nodes],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert line.startswith("traffic: --faults needs the supervisor of a local cluster")
