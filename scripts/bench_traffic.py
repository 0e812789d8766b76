"""Is the traffic generator honest, and what does an operation cost it? On a three-node cluster on this computer.

    python scripts/bench_traffic.py [--seconds 20] [--rates 500,1000,2000] [--locust auto|FOLDER|none]

Honest: at each rate every scheduled arrival must have been sent (shed 0, none left over), and the time from the
intended to the actual send must have a p99 of at most 10 ms, or of three times that of a bare timer loop: a
process beside the load that does nothing but wake up for the arrivals of a schedule of the same rate. A computer
that wakes that one late cannot be asked for more.

Cost: operations for each CPU second of the generator's process (pacing, recording, books and all), and beside it
Locust's FastHttpUser doing the same PUTs at the same rate against the same node, in turns. Locust is no
dependency of the project: it is installed on demand (uv or pip, `--target`) into the user's cache folder, or taken
from --locust FOLDER; where it cannot be had the comparison is "not available", with the reason.

Exit status: 0 if all that could be measured holds, else 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from kvnode.cluster import LocalCluster
from traffic.clock import monotonic
from traffic.control.generator import Generator
from traffic.discovery import from_urls
from traffic.load.arrivals import Arrivals
from traffic.load.driver import Settings
from traffic.load.rates import Constant
from traffic.load.registry import WORKLOADS, RegisteredWorkload
from traffic.measure.events import Ended
from traffic.operations import Operation, Put
from traffic.process import calm_collector, loop_factory
from traffic.stores.kvnode import connect
from traffic.workloads.base import Workload

LATE_P99_MS_MAX = 10.0
BARE_TIMER_FACTOR = 3.0
LOCUST_FACTOR = 2.0
LOCUST = "locust==2.47.0"
LOCUST_USERS = 32
DRAIN_S = 10.0
WARM_UP_S = 2.0
VALUE = json.dumps({"author": "ada", "text": "x" * 60, "created_at": "2026-01-01T00:00:00.000+00:00"})

LOCUSTFILE = """
import itertools, json, os, time
from locust import FastHttpUser, constant_throughput, events, task
NUMBER, BODY, MEASURED = itertools.count(), {"value": os.environ["BENCH_VALUE"]}, {}

class Writer(FastHttpUser):
    wait_time = constant_throughput(float(os.environ["BENCH_RATE"]) / int(os.environ["BENCH_USERS"]))

    @task
    def put(self):
        self.client.put(f"/kv/bench%2F{next(NUMBER)}?w=2", json=BODY, name="/kv")

@events.spawning_complete.add_listener
def began(**_):
    MEASURED.update(cpu_s=time.process_time(), at_s=time.monotonic())

@events.test_stopping.add_listener
def ended(environment, **_):
    total = environment.stats.total
    print("MEASURED " + json.dumps({
        "cpu_s": time.process_time() - MEASURED["cpu_s"], "seconds": time.monotonic() - MEASURED["at_s"],
        "operations": total.num_requests, "errors": total.num_failures}), flush=True)
"""


class Puts(Workload):
    """A workload that does what Locust is told to do: one PUT of a new key an arrival."""

    name = "twitter"
    kinds: tuple[str, ...] = ("put",)

    def __init__(self) -> None:
        self._number = 0

    def next_operation(self, now_s: float) -> Operation:
        self._number += 1
        return Put(kind="put", persona="bench", key=f"bench/{self._number}", value=VALUE)


class Lateness:
    """A tap on the driver: how much later than intended each operation was sent."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def operation(self, ended: Ended) -> None:
        self.seconds.append(ended.sent_s - ended.intended_s)


# --- the processes that are measured --------------------------------------------------------------------------


async def load(urls: str, rate: float, *, seconds: float, puts: bool) -> dict[str, Any]:
    """The whole generator for so long: how late it sent, and what it cost."""
    worlds = {"twitter": RegisteredWorkload(lambda random, tag: Puts(), rate)} if puts else WORKLOADS
    with tempfile.TemporaryDirectory(prefix="quorum-lab-bench-journal-") as folder:
        generator = Generator(
            await connect(from_urls(urls)),
            settings=Settings(rate=rate),
            seed=1,
            journals=Path(folder),
            worlds=worlds,
        )
        return await _measured_load(generator, seconds, with_tap=not puts)


async def _measured_load(generator: Generator, seconds: float, *, with_tap: bool) -> dict[str, Any]:
    driver, lateness = generator.drivers["twitter"], Lateness()
    await generator.begin()
    calm_collector()
    generator.start()
    await asyncio.sleep(WARM_UP_S)
    if with_tap:
        generator.set_listener(lateness)
    began_s, began_cpu_s, began = monotonic(), time.process_time(), driver.recorder.operations
    await asyncio.sleep(seconds)
    cpu_s, took_s = time.process_time() - began_cpu_s, monotonic() - began_s
    operations = driver.recorder.operations - began
    generator.stop()
    left = 0 if await driver.drained(DRAIN_S) else driver.in_flight + driver.queued + driver.resending
    recorder = driver.recorder
    latency = recorder.run_latency_ms()["all"]
    await generator.close()
    return {
        "rate": operations / took_s,
        "operations": operations,
        "shed": recorder.shed,
        "left": left,
        "errors": recorder.errors,
        "late_ms": percentiles_ms(lateness.seconds),
        "latency_ms": latency,
        "cpu_us": cpu_s / max(operations, 1) * 1e6,
    }


async def timer(rate: float, *, seconds: float) -> dict[str, Any]:
    """A bare timer loop over the same kind of schedule: how late this computer wakes anybody up."""
    arrivals = Arrivals(Constant(rate), random=Random(2), start_s=monotonic())
    late_s: list[float] = []
    end_s = monotonic() + seconds
    while (now_s := monotonic()) < end_s:
        late_s += [now_s - intended_s for intended_s in arrivals.due(now_s)]
        await asyncio.sleep(max(arrivals.wait_s(now_s), 0.001))
    return {"late_ms": percentiles_ms(late_s)}


def percentiles_ms(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds) or [0.0]
    found = {f"p{share}": ordered[min(len(ordered) * share // 100, len(ordered) - 1)] for share in (50, 99)}
    return {name: round(value * 1000, 3) for name, value in {**found, "max": ordered[-1]}.items()}


def measured_process(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, __file__, *arguments], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )


def result_of(process: subprocess.Popen[str], timeout_s: float) -> dict[str, Any]:
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        raise SystemExit(f"{process.args!r} did not end within {timeout_s:g} s") from None
    lines = [line for line in output.splitlines() if line.startswith("MEASURED ")]
    if not lines:
        raise SystemExit(f"{process.args!r} measured nothing (exit status {process.returncode})")
    found: dict[str, Any] = json.loads(lines[-1].removeprefix("MEASURED "))
    return found


# --- Locust ---------------------------------------------------------------------------------------------------


def find_locust(wanted: str) -> Path | str:
    """The folder with Locust in it, or why there is none."""
    if wanted == "none":
        return "it was not wanted (--locust none)"
    if wanted != "auto":
        return Path(wanted) if Path(wanted, "locust").is_dir() else f"there is no locust in {wanted}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "quorum-lab")
    folder = cache / f"{LOCUST.replace('==', '-')}-python{sys.version_info.major}.{sys.version_info.minor}"
    if (folder / "locust").is_dir():
        return folder
    base = getattr(sys, "_base_executable", sys.executable)
    installers = [[sys.executable, "-m", "pip", "install"], [base, "-m", "pip", "install"]]
    if uv := shutil.which("uv"):
        installers.insert(0, [uv, "pip", "install", "--python", sys.executable])
    cache.mkdir(parents=True, exist_ok=True)
    reason = ""
    for installer in installers:
        with tempfile.TemporaryDirectory(dir=cache) as made:
            command = [*installer, "--quiet", "--target", made, LOCUST]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
            if done.returncode == 0:
                shutil.copytree(made, folder)
                return folder
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return f"{LOCUST} could not be installed: {reason}"


def run_locust(folder: Path, url: str, rate: float, *, seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as work:
        Path(work, "locustfile.py").write_text(LOCUSTFILE, encoding="utf-8")
        command = [sys.executable, "-m", "locust", "-f", "locustfile.py", "--headless", "--host", url]
        command += ["-u", str(LOCUST_USERS), "-r", str(LOCUST_USERS), "-t", f"{int(seconds)}s"]
        environment = {
            **os.environ,
            "PYTHONPATH": str(folder),
            "BENCH_VALUE": VALUE,
            "BENCH_RATE": str(rate),
            "BENCH_USERS": str(LOCUST_USERS),
        }
        process = subprocess.Popen(
            [*command, "--only-summary", "--skip-log-setup"],
            cwd=work,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        return result_of(process, seconds + 60)


# --- the run --------------------------------------------------------------------------------------------------


def measure_honesty(urls: str, rates: Sequence[float], seconds: float) -> bool:
    print(
        f"intended to actual send, {seconds:g} s each; bare timer: a process beside the load, at the same time"
    )
    print(
        "  wanted/s   sent/s  shed  left  errors   late p50      p99      max   bare p99   answer p99   holds"
    )
    all_hold = True
    for rate in rates:
        bare = measured_process("--measure", "timer", str(rate), str(seconds + WARM_UP_S))
        busy = measured_process("--measure", "load", urls, str(rate), str(seconds))
        ours = result_of(busy, seconds + 60)
        allowed_ms = result_of(bare, seconds + 60)["late_ms"]["p99"]
        late = ours["late_ms"]
        holds = ours["shed"] == ours["left"] == ours["errors"] == 0
        holds = holds and late["p99"] <= max(LATE_P99_MS_MAX, BARE_TIMER_FACTOR * allowed_ms)
        print(
            f"  {rate:8.0f} {ours['rate']:8.1f} {ours['shed']:5d} {ours['left']:5d} {ours['errors']:7d}"
            f" {late['p50']:7.2f} ms {late['p99']:5.2f} ms {late['max']:5.1f} ms {allowed_ms:7.2f} ms"
            f" {ours['latency_ms']['p99']:9.2f} ms   {'yes' if holds else 'NO'}",
            flush=True,
        )
        all_hold = all_hold and holds
    return all_hold


def measure_cost(url: str, rate: float, *, seconds: float, rounds: int, locust: Path | str) -> bool:
    print(
        f"CPU of the generator for a PUT, {rate:g}/s to one node, {rounds} rounds of {seconds:g} s in turns"
    )
    ours_us: list[float] = []
    theirs_us: list[float] = []
    for _ in range(rounds):
        ours = result_of(measured_process("--measure", "puts", url, str(rate), str(seconds)), seconds + 60)
        ours_us.append(ours["cpu_us"])
        print(
            _cost_line("this generator", ours["cpu_us"], rate=ours["rate"], errors=ours["errors"]), flush=True
        )
        if isinstance(locust, Path):
            theirs = run_locust(locust, url, rate, seconds=seconds)
            theirs_us.append(theirs["cpu_s"] / max(theirs["operations"], 1) * 1e6)
            achieved = theirs["operations"] / theirs["seconds"]
            print(
                _cost_line("Locust FastHttpUser", theirs_us[-1], rate=achieved, errors=theirs["errors"]),
                flush=True,
            )
    if not theirs_us:
        print(f"  Locust: not available, {locust}")
        return True
    times = sum(theirs_us) / sum(ours_us)
    holds = times >= LOCUST_FACTOR
    wanted = f"at least {LOCUST_FACTOR:g}: {'yes' if holds else 'NO'}"
    print(f"  operations for each CPU second: {times:.1f} times those of Locust ({wanted})")
    return holds


def _cost_line(name: str, cpu_us: float, *, rate: float, errors: int) -> str:
    return (
        f"  {name:20} {cpu_us:6.1f} µs  {1e6 / cpu_us:8.0f} operations/CPU s  ({rate:.0f}/s, {errors} errors)"
    )


def main() -> int:
    options = _parser().parse_args()
    if options.measure:
        return _measured(options.measure)
    rates = [float(rate) for rate in options.rates.split(",")]
    with (
        tempfile.TemporaryDirectory(prefix="quorum-lab-bench-") as folder,
        LocalCluster.start(f"bench-{os.getpid()}", base_port=options.base_port, state_dir=folder) as cluster,
    ):
        honest = measure_honesty(",".join(cluster.urls), rates, options.seconds)
        cheap = measure_cost(
            cluster.urls[0],
            options.cost_rate,
            seconds=options.seconds / 2,
            rounds=options.rounds,
            locust=find_locust(options.locust),
        )
    return 0 if honest and cheap else 1


def _measured(arguments: list[str]) -> int:
    """Inside a measured process."""
    what, *rest = arguments
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        if what == "timer":
            found = runner.run(timer(float(rest[0]), seconds=float(rest[1])))
        else:
            found = runner.run(load(rest[0], float(rest[1]), seconds=float(rest[2]), puts=what == "puts"))
    print(f"MEASURED {json.dumps(found)}", flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement, default 20")
    parser.add_argument("--rates", default="500,1000,2000", help="operations/s, default 500,1000,2000")
    parser.add_argument("--cost-rate", type=float, default=2000.0, help="PUTs/s for the cost, default 2000")
    parser.add_argument("--rounds", type=int, default=2, help="of the cost, default 2")
    parser.add_argument("--locust", default="auto", help="auto (install it), a folder that has it, or none")
    parser.add_argument("--base-port", type=int, help="of the cluster; busy ports are stepped over")
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
