"""Coordinated omission, measured: one stall, seen by a closed loop and by an open one, from both clocks.

    python scripts/bench_omission.py [--duration 30] [--pause-s 1.4] [--rate 200] [--workers 4]

A cluster of one real node takes the Twitter traffic twice, and is paused with SIGSTOP once in the middle of each run.
Corrected: latency from when each operation was due. Uncorrected: from when it was sent. Ends with status 1 if the
closed loop's 99th percentiles differ by less than 20 times, or the open loop's by more than 10 %.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from kvnode.cluster import LocalCluster
from traffic.measure.histograms import Summary
from traffic.runs import recording

CLOSED_TIMES_MIN = 20.0
OPEN_DIFFERENCE_MAX = 0.10


def main() -> int:
    """Measure and print; the exit status says whether the goals were met."""
    options = arguments()
    print(f"{os.cpu_count()} cores, load average before {os.getloadavg()[0]:.1f}", flush=True)
    print(f"{options.rate:g} operations/s for {options.duration:g} s, one pause of {options.pause_s:g} s")
    print(f"{'':22}{'corrected p99':>16}{'uncorrected p99':>18}{'operations':>12}{'errors':>8}")
    met = True
    for loop in ("closed", "open"):
        corrected, sent, operations, errors = measure(options, loop)
        corrected_ms, sent_ms = corrected["p99"] or 0.0, sent["p99"] or 1e-9
        name = f"closed, {options.workers} workers" if loop == "closed" else "open"
        print(
            f"{name:22}{corrected_ms:13.1f} ms{sent_ms:15.1f} ms{operations:12}{errors:8}"
            f"   {corrected_ms / sent_ms:.2f} times",
            flush=True,
        )
        if loop == "closed":
            met = met and corrected_ms > CLOSED_TIMES_MIN * sent_ms
        else:
            met = met and abs(corrected_ms - sent_ms) <= OPEN_DIFFERENCE_MAX * sent_ms
    print("goals: met" if met else "goals: missed")
    return 0 if met else 1


def measure(options: argparse.Namespace, loop: str) -> tuple[Summary, Summary, int, int]:
    """Latency from the intended start and from the send, operations and errors of one run on a fresh node."""
    with tempfile.TemporaryDirectory(prefix="quorum-lab-bench-") as folder:
        with LocalCluster.start(options.name, 1, base_port=options.base_port, state_dir=folder) as cluster:
            recorded = run(cluster, options, loop, Path(folder) / "run.jsonl.gz")
        latency = recorded.recorder("twitter").run_latency_ms()
        errors = sum(done.outcome != "ok" for done in recorded.operations)
        return latency["all"], latency["all, from the actual send"], len(recorded.operations), errors


def run(cluster: LocalCluster, options: argparse.Namespace, loop: str, path: Path) -> recording.Recording:
    """One run with one pause in its middle."""
    command = [sys.executable, "-m", "traffic", "run", "twitter", "--nodes", ",".join(cluster.urls)]
    command += ["--rate", str(options.rate), "--duration", str(options.duration), "--loop", loop]
    command += ["--workers", str(options.workers), "--record", str(path), "--seed", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    node = cluster.nodes[0].name
    pause = threading.Timer(options.duration / 2, cluster.pause, [node])
    go_on = threading.Timer(options.duration / 2 + options.pause_s, cluster.resume, [node])
    watchdog = threading.Timer(options.duration + 60, process.kill)
    lines: list[str] = []
    try:
        watchdog.start()
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if line.startswith("seed "):  # the traffic begins now
                pause.start()
                go_on.start()
        if process.wait() != 0:
            raise SystemExit("".join(lines))
    finally:
        for timer in (watchdog, pause, go_on):
            timer.cancel()
        process.kill()
    return recording.load(path)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Coordinated omission, measured.")
    parser.add_argument("--duration", type=float, default=30.0)
    parser.add_argument("--pause-s", type=float, default=1.4)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--cluster", "--name", dest="name", default="bench-omission")
    parser.add_argument("--base-port", type=int, default=9_500)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
