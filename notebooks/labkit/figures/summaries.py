"""What a chart over time shows now, in one sentence: for ears, and for whoever wants the number and not the line.

Pure.
Must not live here: which numbers a chart has (traffic.py, convergence.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from labkit.figures.timeline import Array
from labkit.samples import Mark, Sample

NOTHING = "Nothing is measured yet."
NOT_MEASURED = "not measured"


def amount(value: float, unit: str) -> str:
    """`12 ms`, `0.8 ms`, `1 204 hints`; a value that was not measured says so."""
    if math.isnan(value):
        return NOT_MEASURED
    digits = 1 if 0 < abs(value) < 10 and value != round(value) else 0
    return f"{value:,.{digits}f} {unit}".replace(",", " ")


def listed(values: Iterable[tuple[str, float]], unit: str) -> str:
    """`p50 2.1 ms, p95 5.5 ms`: what has a value, each by its name."""
    return ", ".join(f"{name} {amount(value, unit)}" for name, value in values)


def newest(values: Array, unit: str) -> str:
    """The last number of a line."""
    return amount(float(values[-1]), unit) if values.size else NOT_MEASURED


def last_of(lines: Sequence[Mapping[str, Any]]) -> list[tuple[str, float]]:
    """The last number of each line of a chart, by its name."""
    return [(str(one["name"]), float(one["y"][-1])) for one in lines if len(one["y"])]


def now(said: str, samples: Sequence[Sample], marks: Sequence[Mark], window_s: float) -> str:
    """`said` as a sentence about this moment, with the last thing that was done; `samples` as the chart shows them."""
    if not samples:
        return NOTHING
    at_s = samples[-1].at_s
    recent = [mark for mark in marks if 0 <= at_s - mark.at_s <= window_s]
    done = f"; {at_s - recent[-1].at_s:.0f} s ago: {recent[-1].text}" if recent else ""
    return f"Now {said}{done}."
