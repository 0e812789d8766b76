"""One run without the service: traffic for a while, then the verdict.

Here: the live progress line and the summary. Not here: the generator, the checks.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

from traffic.clock import monotonic
from traffic.discovery import Address
from traffic.driver import Driver, Settings
from traffic.generator import Generator
from traffic.stores.kvnode import connect

PROGRESS_EVERY_S = 0.5
DRAIN_S = 15.0


async def run_workload(
    addresses: Sequence[Address], settings: Settings, *, duration_s: float, seed: int | None
) -> int:
    """0 if nothing acknowledged was lost, 1 if the verdict is violated, 2 if it cannot be told."""
    store = await connect(addresses)
    generator = Generator(store, settings=settings, seed=seed)
    try:
        await generator.begin()
        return await _run(generator, duration_s)
    finally:
        await generator.close()


async def _run(generator: Generator, duration_s: float) -> int:
    loop = asyncio.get_running_loop()
    driver = generator.drivers["twitter"]
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    print(f"seed {generator.seed}: {driver.settings.rate:g} operations/s for {duration_s:g} s", flush=True)
    began_s, began_cpu_s = monotonic(), _cpu_s()
    generator.start()
    while (left_s := duration_s - (monotonic() - began_s)) > 0 and not stopped.is_set():
        if (broken := generator.why_broken()) is not None:
            print(f"traffic: {broken}", file=sys.stderr)
            return 1
        _progress(driver, monotonic() - began_s, monotonic())
        waiting = asyncio.ensure_future(stopped.wait())
        await asyncio.wait([waiting], timeout=min(PROGRESS_EVERY_S, left_s))
        waiting.cancel()
    generator.stop()
    cpu_s = _cpu_s() - began_cpu_s
    _progress(driver, monotonic() - began_s, monotonic(), last=True)
    if not await driver.drained(DRAIN_S):
        print(f"{driver.in_flight + driver.resending} operations are still unanswered", flush=True)
    return await _summary(generator, driver, cpu_s)


async def _summary(generator: Generator, driver: Driver, cpu_s: float) -> int:
    recorder = driver.recorder
    for name, latency in recorder.run_latency_ms().items():
        print(
            f"  {name:26} p50 {_ms(latency['p50'])}  p95 {_ms(latency['p95'])}  p99 {_ms(latency['p99'])}"
            f"  max {_ms(latency['max'])}"
        )
    done = max(recorder.operations, 1)
    print(
        f"operations {recorder.operations}, errors {recorder.errors} "
        f"({recorder.failed_definite} definite, {recorder.failed_indefinite} indefinite), "
        f"resent {recorder.resent}, shed {recorder.shed}"
    )
    print(f"generator CPU {cpu_s:.2f} s, {cpu_s / done * 1e6:.0f} µs an operation")
    print(f"longest gap without a successful operation: {generator.longest_gap_s():.3f} s")
    verdicts = await generator.verdicts()
    verdict = verdicts[0]
    print(f"counters checked {verdict.counters_checked}, wrong {verdict.counters_wrong}")
    for one in verdicts:
        print(f"{one.claim}: {one}", flush=True)
        for line in one.evidence:
            print(f"  {line}", flush=True)
    # What nobody looked at (a run without reads, say) is no reason to call the run unknown.
    statuses = {one.status for one in verdicts}
    return 1 if "violated" in statuses else 2 if verdict.status == "unknown" else 0


def _progress(driver: Driver, elapsed_s: float, now_s: float, *, last: bool = False) -> None:
    """One line, rewritten in place on a terminal; every tenth as a line of its own elsewhere."""
    recorder = driver.recorder
    latency = recorder.latency_ms(now_s)
    line = (
        f"{elapsed_s:6.1f} s  {recorder.achieved_rate(now_s):7.1f} of {driver.settings.rate:g} operations/s"
        f"  p50 {_ms(latency['p50'])}  p99 {_ms(latency['p99'])}  errors {recorder.errors}"
        f"  resending {driver.resending}  shed {recorder.shed}"
    )
    if sys.stdout.isatty():
        print(f"\r{line}\x1b[K", end="\n" if last else "", flush=True)
    elif last or int(elapsed_s / PROGRESS_EVERY_S) % 10 == 0:
        print(line, flush=True)


def _ms(value: float | None) -> str:
    return "     –  " if value is None else f"{value:7.1f} ms"


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system
