"""A run in parts: by kind of operation, by the region in which people live, by kind of people, by failure.

Here: the parts of one driver, and those of several processes made one.
Must not live here: who asks.

Percentiles cannot be added, histograms can: parts that go to another process carry their latencies as an encoded
HdrHistogram, and percentiles are taken from the sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

from traffic.load.driver import Driver
from traffic.measure.attempts import merged_rows
from traffic.measure.histograms import new_histogram, summary_of_histogram

Breakdown = dict[str, Any]
"""{"kinds": {name: part}, "regions": {name: part}, "people": [...], "homes": {...}, "failures": [...]}. A part has
counts (ok, definite, indefinite), and `latency_ms` of what succeeded (or `histogram`, see the module)."""

OUTCOMES = ("ok", "definite", "indefinite")
KIND, REGION = 0, 2  # places in a recorder's cell


def breakdown(driver: Driver, *, encoded: bool = False) -> Breakdown:
    """All of the run so far. encoded: for another process."""
    return {
        "kinds": _parts(driver, KIND, encoded=encoded),
        "regions": _parts(driver, REGION, encoded=encoded),
        "people": driver.workload.people(),
        "homes": dict(driver.workload.homes()),
        "failures": driver.recorder.failed_attempts.rows(),
    }


def merged(breakdowns: Sequence[Breakdown]) -> Breakdown:
    """Those of several processes, encoded, as one."""
    return {
        **{
            name: _merged_parts([one[name] for one in breakdowns if one[name]])
            for name in ("kinds", "regions")
        },
        "people": _merged_people([one["people"] for one in breakdowns]),
        "homes": breakdowns[-1]["homes"] if breakdowns else {},
        "failures": merged_rows([one["failures"] for one in breakdowns]),
    }


def _parts(driver: Driver, place: int, *, encoded: bool) -> dict[str, dict[str, Any]]:
    recorder = driver.recorder
    counts: dict[str, Counter[str]] = {}
    rows: dict[str, list[int]] = {}
    for cell, (row, count) in recorder.counted().items():
        name = cell[place]
        counts.setdefault(name, Counter())[cell[3]] += count
        rows.setdefault(name, [])
        if cell[3] == "ok":
            rows[name].append(row)
    found: dict[str, dict[str, Any]] = {}
    for name in sorted(counts):
        part: dict[str, Any] = {outcome: counts[name][outcome] for outcome in OUTCOMES}
        if encoded:
            part["histogram"] = recorder.histogram_of(rows[name]).encode().decode("ascii")
        else:
            part["latency_ms"] = recorder.summary_of(rows[name])
        found[name] = part
    return found


def _merged_parts(tables: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name in sorted({name for table in tables for name in table}):
        parts = [table[name] for table in tables if name in table]
        total = new_histogram()
        for part in parts:
            total.add(HdrHistogram.decode(part["histogram"]))
        counts = {outcome: sum(part[outcome] for part in parts) for outcome in OUTCOMES}
        found[name] = {**counts, "latency_ms": summary_of_histogram(total)}
    return found


def _merged_people(tables: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Every process has the same kinds of people; what they did adds up, and how busy they are is the last word."""
    actions: Counter[str] = Counter()
    for one in (one for table in tables for one in table):
        actions[one["kind"]] += one["actions"]
    return [{**one, "actions": actions[one["kind"]]} for one in (tables[-1] if tables else [])]
