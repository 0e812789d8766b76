"""A real node that stands still: who notices, and what is left of a run afterwards.

The short form of scripts/bench_omission.py, and what only real processes show: a recording cut off by kill -9, a run
played again, exit statuses."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kvnode.cluster import LocalCluster
from traffic.runs import recording

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

StartCluster = Callable[..., LocalCluster]
DURATION_S, PAUSE_S, RATE = 10.0, 1.4, 120
UNKNOWN = 2  # the exit status


def traffic(*words: str | Path, timeout_s: float = 60.0) -> tuple[int, str]:
    """A `python -m traffic …`: its exit status and all that it said."""
    command = [sys.executable, "-m", "traffic", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)
    print(done.stdout, done.stderr)
    return done.returncode, done.stdout + done.stderr


def record(
    cluster: LocalCluster,
    path: Path,
    *words: str,
    rate: int = RATE,
    duration_s: float = 3.0,
    expected_status: int = 0,
) -> str:
    where = ["--nodes", ",".join(cluster.urls), "--record", str(path)]
    status, output = traffic(
        "run",
        "twitter",
        *where,
        "--rate",
        str(rate),
        "--duration",
        str(duration_s),
        *words,
        timeout_s=duration_s + 60,
    )
    assert status == expected_status, output
    return output


def p99s_with_a_pause(cluster: LocalCluster, path: Path, loop: str) -> tuple[float, float]:
    """(from the intended start, from the send) of a run in which the node stands still for a while."""
    node = cluster.nodes[0].name

    def disturb() -> None:
        time.sleep(DURATION_S / 2)
        cluster.pause(node)
        time.sleep(PAUSE_S)
        cluster.resume(node)

    disturbing = threading.Thread(target=disturb)
    disturbing.start()
    try:
        record(cluster, path, "--loop", loop, "--workers", "4", duration_s=DURATION_S)
    finally:
        disturbing.join()
    latency = recording.load(path).recorder("twitter").run_latency_ms()
    corrected, sent = latency["all"]["p99"], latency["all, from the actual send"]["p99"]
    print(f"{loop}: corrected p99 {corrected} ms, uncorrected p99 {sent} ms")
    assert corrected and sent
    return corrected, sent


def test_a_closed_loop_hides_a_paused_node_and_an_open_one_does_not(
    live_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = live_cluster(nodes=1)
    corrected_ms, sent_ms = p99s_with_a_pause(cluster, tmp_path / "closed.jsonl.gz", "closed")
    assert corrected_ms > 800
    assert corrected_ms > 5 * sent_ms  # 20 times on a quiet computer; a busy one slows the other answers
    corrected_ms, sent_ms = p99s_with_a_pause(cluster, tmp_path / "open.jsonl.gz", "open")
    assert corrected_ms > 800
    assert corrected_ms == pytest.approx(sent_ms, rel=0.2)


def test_a_recorded_run_is_played_again_on_a_real_cluster(live_cluster: StartCluster, tmp_path: Path) -> None:
    cluster = live_cluster(nodes=3)
    first, second = tmp_path / "first.jsonl.gz", tmp_path / "second.jsonl.gz"
    record(cluster, first)
    status, output = traffic(
        "replay", first, "--nodes", ",".join(cluster.urls), "--w", "1", "--speed", "2", "--record", second
    )
    assert status == 0
    assert "at risk" in output  # w = 1 promises less, and the verdict says so
    played, again = recording.load(first), recording.load(second)
    assert len(played.operations) > 200
    assert [done.operation for done in again.operations] == [done.operation for done in played.operations]
    assert again.header.settings["twitter"]["w"] == 1
    assert played.header.settings["twitter"]["w"] == 2
    assert again.duration_s < 0.7 * played.duration_s


def test_a_recording_whose_writer_was_killed_is_read_up_to_there(
    live_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = live_cluster(nodes=3)
    path, page = tmp_path / "cut.jsonl.gz", tmp_path / "cut.html"
    command = [sys.executable, "-m", "traffic", "run", "twitter", "--nodes", ",".join(cluster.urls)]
    command += ["--rate", "100", "--duration", "30", "--record", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while not process.stdout.readline().startswith("seed "):
        assert process.poll() is None
    time.sleep(3)  # traffic that is to be lost or not
    process.send_signal(signal.SIGKILL)
    process.wait()
    recorded = recording.load(path)
    assert "the end is missing" in recorded.missing
    assert len(recorded.operations) > 150  # all but about the last half second
    status, output = traffic("report", path, "--out", page)
    assert status == 0
    assert "the end is missing" in output
    assert "the end is missing" in page.read_text()


def test_a_dead_node_shows_in_the_recording_and_the_report(
    live_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = live_cluster(nodes=3)
    path, page, table = tmp_path / "run.jsonl.gz", tmp_path / "run.html", tmp_path / "run.csv"
    dying = threading.Timer(2.0, cluster.kill, ["node-2"])
    dying.start()
    report = ["--report", str(page), "--csv", str(table)]
    output = record(cluster, path, *report, duration_s=7.0, expected_status=UNKNOWN)
    dying.join()
    assert re.search(r"lost 0: ok", output)
    assert re.search(r"all replicas agreed in the end: .*: unknown", output), "a dead one cannot be asked"
    seen = [(fault.nodes, fault.what) for fault in recording.load(path).faults]
    assert any(nodes == ["node-2"] and what in ("dead", "unreachable") for nodes, what in seen)
    assert "node-2 dead" in page.read_text() or "node-2 unreachable" in page.read_text()
    assert table.read_text().startswith("workload,t_s,target_rate")
    assert (tmp_path / "run.cells.csv").exists()


def test_a_preset_drives_a_real_cluster(live_cluster: StartCluster) -> None:
    cluster = live_cluster(nodes=3)
    status, output = traffic(
        "run",
        "twitter",
        "--nodes",
        ",".join(cluster.urls),
        "--preset",
        "day-in-two-minutes",
        "--duration",
        "3",
    )
    assert status == 0
    assert "up to 200 operations/s, day (twitter)" in output
