"""What a run tells people while it goes on, and at its end.

Here: lines of text from drivers and verdicts.
Must not live here: the run itself (run.py), charts (report.py).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from kvnode.checkers import Verdict
from traffic.clock import monotonic
from traffic.load.driver import Driver

EVERY_S_WITHOUT_TERMINAL = 5.0
_last_s = -EVERY_S_WITHOUT_TERMINAL


def beginning(drivers: Mapping[str, Driver], *, seed: int, duration_s: float) -> None:
    rates = ", ".join(f"{_rate(driver)} ({name})" for name, driver in drivers.items())
    lasting = f" for {duration_s:g} s" if duration_s < float("inf") else ""
    print(f"seed {seed}: {rates}{lasting}", flush=True)


def line(drivers: Mapping[str, Driver], ran_s: float, *, last: bool = False) -> None:
    """One line, rewritten in place on a terminal; every five seconds as a line of its own elsewhere."""
    global _last_s
    now_s = monotonic()
    parts: list[str] = []
    for name, driver in drivers.items():
        recorder = driver.recorder
        latency = recorder.latency_ms(now_s)
        target = driver.target_rate(now_s) if driver.running else driver.settings.rate
        parts.append(
            f"{name if len(drivers) > 1 else ''} {recorder.achieved_rate(now_s):6.1f}"
            f" of {target:.4g}/s  p50 {_ms(latency['p50'])}  p99 {_ms(latency['p99'])}"
            f"  errors {recorder.errors}  resending {driver.resending}  shed {recorder.shed}".lstrip()
        )
    text = f"{ran_s:6.1f} s  {'  |  '.join(parts)}"
    if sys.stdout.isatty():
        print(f"\r{text}\x1b[K", end="\n" if last else "", flush=True)
    elif last or ran_s < 1 or ran_s - _last_s >= EVERY_S_WITHOUT_TERMINAL:
        _last_s = ran_s
        print(text, flush=True)


def summary(drivers: Mapping[str, Driver], *, cpu_s: float, longest_gap_s: float) -> None:
    done = 0
    for name, driver in drivers.items():
        recorder = driver.recorder
        done += recorder.operations + recorder.errors
        for kind, latency in recorder.run_latency_ms().items():
            label = f"{name}: {kind}" if len(drivers) > 1 else kind
            print(
                f"  {label:38} p50 {_ms(latency['p50'])}  p95 {_ms(latency['p95'])}"
                f"  p99 {_ms(latency['p99'])}  max {_ms(latency['max'])}"
            )
        print(
            f"{f'{name}: ' if len(drivers) > 1 else ''}operations {recorder.operations}, errors {recorder.errors} "
            f"({recorder.failed_definite} definite, {recorder.failed_indefinite} indefinite), "
            f"queued {recorder.queued}, resent {recorder.resent}, shed {recorder.shed}"
        )
        if counts := driver.workload.counts():
            print("  " + ", ".join(f"{word.replace('_', ' ')} {count}" for word, count in counts.items()))
    print(f"generator CPU {cpu_s:.2f} s, {cpu_s / max(done, 1) * 1e6:.0f} µs an operation")
    print(f"longest gap without a successful operation: {longest_gap_s:.3f} s", flush=True)


def verdicts(found: Sequence[Verdict]) -> None:
    """Each with its evidence, and in plain words what it means."""
    ledger = found[0]
    print(f"counters checked {ledger.counters_checked}, wrong {ledger.counters_wrong}")
    for verdict in found:
        print(f"{verdict.claim}: {verdict}")
        for evidence in verdict.evidence:
            print(f"  {evidence}")
    if any(verdict.status == "at risk" for verdict in found):
        print("at risk: nobody promised more for some of these operations, whatever was found")
    sys.stdout.flush()


def totals(driver: Driver, now_s: float) -> dict[str, Any]:
    """The final counts of one workload, for recordings and reports."""
    recorder = driver.recorder
    return {
        "operations": recorder.operations,
        "errors_definite": recorder.failed_definite,
        "errors_indefinite": recorder.failed_indefinite,
        "queued": recorder.queued,
        "resent": recorder.resent,
        "shed": recorder.shed,
        "unanswered": driver.in_flight + driver.resending,
        "longest_gap_s": round(recorder.longest_gap_s(now_s), 3),
        "latency_ms": dict(recorder.run_latency_ms()),
        "world": dict(driver.workload.counts()),
    }


def _rate(driver: Driver) -> str:
    settings = driver.settings
    shape = settings.whole_rate().describe()["shape"]
    text = f"{settings.rate:.4g} operations/s"
    if shape != "constant":
        text = f"up to {text}, {shape}"
    return f"{text}, {settings.workers} workers in a closed loop" if settings.loop == "closed" else text


def _ms(value: float | None) -> str:
    return "     –  " if value is None else f"{value:7.1f} ms"
