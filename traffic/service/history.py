"""What was measured over the last hour, the longer ago the coarser: for charts that show more than a minute.

Here: one sample a second, kept in rings of different steps.
Must not live here: who draws them; every single second of a run, which the recorder keeps for CSV and reports.

Invariant: at most the sum of ROWS rows are kept, however long the service runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

Row = dict[str, Any]

RINGS = (
    (1.0, 300),
    (5.0, 180),
    (20.0, 180),
)  # (step in s, rows): five minutes, a quarter of an hour, an hour
SPAN_S_MAX = 3600
MEANS = ("target", "achieved", "p50_ms")
WORST = ("p95_ms", "p99_ms")  # of the seconds in a step: a bad second must not drown in good ones
SUMS = ("errors", "shed")


class History:
    """Samples in, rows out. Times are wall clock in ms, as the stats have them."""

    def __init__(self) -> None:
        self._rings = [_Ring(step_s, rows_max) for step_s, rows_max in RINGS]
        self._totals: dict[str, int] | None = None

    def add(self, stats: Mapping[str, Any]) -> None:
        """One look at the stats; call it once a second."""
        sample = self._sample(stats)
        for ring in self._rings:
            ring.add(sample)

    def rows(self, span_s: float) -> tuple[float, list[Row]]:
        """(step in s, rows, the oldest first) of the last `span_s`."""
        fitting = (ring for ring in self._rings if ring.span_s >= span_s)
        ring = next(fitting, self._rings[-1])
        rows = ring.all()
        since_ms = rows[-1]["t"] - span_s * 1000 if rows else 0
        return ring.step_s, [row for row in rows if row["t"] >= since_ms]

    def _sample(self, stats: Mapping[str, Any]) -> Row:
        workloads = stats["workloads"].values()
        totals = {
            "errors": sum(one["errors_total"] for one in workloads),
            "shed": sum(one["shed_total"] for one in workloads),
        }
        before, self._totals = self._totals or totals, totals
        share = stats["convergence"]["share"]
        return {
            "t": stats["timestamp"],
            "target": sum(one["target_rate"] for one in workloads if one["running"]),
            "achieved": round(sum(one["achieved_rate"] for one in workloads), 1),
            **{f"{name}_ms": value for name, value in slowest(stats).items() if name != "max"},
            "agree": None if share is None else round(share * 100, 2),
            **{name: max(totals[name] - before[name], 0) for name in SUMS},
            "nodes": {name: node["achieved_rate"] for name, node in stats["nodes"].items()},
        }


def slowest(stats: Mapping[str, Any]) -> Mapping[str, float | None]:
    """The waits of the world in which people wait longest, of those that run (of all, while none does)."""
    worlds = list(stats["workloads"].values())
    busy = [one for one in worlds if one["running"] and one["latency_ms"]["p99"] is not None]
    found: Mapping[str, float | None] = max(
        (one["latency_ms"] for one in busy or worlds), key=lambda latency: latency["p99"] or 0.0
    )
    return found


class _Ring:
    """Rows of one step."""

    def __init__(self, step_s: float, rows_max: int) -> None:
        self.step_s = step_s
        self.span_s = step_s * rows_max
        self._rows: deque[Row] = deque(maxlen=rows_max)
        self._open: list[Row] = []  # the samples of the step that has not ended

    def add(self, sample: Row) -> None:
        last_ms = self._open[-1]["t"] if self._open else None
        if last_ms is not None and sample["t"] < last_ms:  # the clock was set back: what was later never was
            self._open = []
            while self._rows and self._rows[-1]["t"] >= sample["t"]:
                self._rows.pop()
        if self._open and self._step_of(self._open[0]) != self._step_of(sample):
            self._rows.append(_merged(self._open))
            self._open = []
        self._open.append(sample)

    def all(self) -> list[Row]:
        return [*self._rows, *([_merged(self._open)] if self._open else [])]

    def _step_of(self, sample: Row) -> int:
        return int(sample["t"] / 1000 // self.step_s)


def _merged(samples: Sequence[Row]) -> Row:
    """One row of several samples; its time is that of the last one."""
    if len(samples) == 1:
        return samples[0]
    names = dict.fromkeys(name for sample in samples for name in sample["nodes"])
    agreements = [sample["agree"] for sample in samples if sample["agree"] is not None]
    return {
        "t": samples[-1]["t"],
        **{name: _mean([sample[name] for sample in samples]) for name in MEANS},
        **{
            name: max((one for sample in samples if (one := sample[name]) is not None), default=None)
            for name in WORST
        },
        "agree": min(agreements, default=None),
        **{name: sum(sample[name] for sample in samples) for name in SUMS},
        "nodes": {name: _mean([sample["nodes"].get(name) for sample in samples]) for name in names},
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 3) if known else None
