"""python -m kvnode.cluster as a person uses it. The nodes are stand-ins."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.live


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_start_in_the_foreground_stops_all_at_a_signal(
    cluster_state: Path, fake_node: list[str], next_base_port: Callable[[], int], number: signal.Signals
) -> None:
    base_port = next_base_port()
    words = ["start", "--name", "exp-cluster-cli", "--base-port", str(base_port)]
    process = subprocess.Popen(
        [sys.executable, "-m", "kvnode.cluster", *words, "--node-command", " ".join(fake_node)],
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(5)]
    assert lines[0].split() == ["NAME", "STATE", "PID", "URL", "NOTE"]
    assert f"http://127.0.0.1:{base_port}" in lines[1]
    assert lines[4] == "Ctrl-C stops it\n"
    os.killpg(process.pid, number)
    rest, _ = process.communicate(timeout=5)
    assert f"got {number.name}; cluster exp-cluster-cli is stopped" in rest
    assert process.returncode == 0


def test_the_command_line_drives_a_detached_cluster(
    cluster_state: Path, fake_node: list[str], next_base_port: Callable[[], int]
) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kvnode.cluster", *words, "--name", "exp-cluster-cli"],
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )

    port, command = str(next_base_port()), " ".join(fake_node)
    started = run("start", "--detach", "--base-port", port, "--node-command", command)
    try:
        assert "python -m kvnode.cluster stop --cluster exp-cluster-cli" in started.stdout
        assert "node-2  dead" in run("kill", "2").stdout
        assert "node-1 <-> node-3: cut" in run("partition", "1,2", "/", "3").stdout
        assert run("kill", "7").stderr == "error: no node called 'node-7'; there are node-1, node-2, node-3\n"
        assert json.loads(run("status", "--json").stdout)["cluster"] == "exp-cluster-cli"
        assert "was running already and is left as it is" in run("start").stdout
    finally:
        stopped = run("stop")
    assert "is stopped; its data is in" in stopped.stdout
    assert run("status").returncode == 1


def test_two_starts_at_the_same_instant_are_one_cluster_and_both_are_told_where(
    cluster_state: Path, fake_node: list[str], next_base_port: Callable[[], int]
) -> None:
    words = [sys.executable, "-m", "kvnode.cluster"]
    named = ["--cluster", "exp-cluster-both"]
    for _ in range(4):
        start = [*words, "start", *named, "--detach", "--base-port", str(next_base_port())]
        start += ["--node-command", " ".join(fake_node)]
        both = [subprocess.Popen(start, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        said = [process.communicate(timeout=30)[0] for process in both]
        assert [process.returncode for process in both] == [0, 0], said
        assert sorted("was running already" in text for text in said) == [False, True]
        [one, other] = [text.splitlines()[:4] for text in said]
        assert one == other, "both tell of the same processes, all of them running"
        fresh = subprocess.run([*start, "--fresh"], capture_output=True, text=True, check=False, timeout=30)
        assert fresh.returncode == 1
        assert (
            "runs already; stop it first: python -m kvnode.cluster stop --cluster exp-cluster-both"
            in fresh.stderr
        )
        subprocess.run([*words, "stop", *named], check=True, capture_output=True, timeout=30)
