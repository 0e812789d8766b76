"""What all charts over time share: the last minute from left to right, and the marks of what was broken when.

"Seconds ago" and not the time of day: the axis stands still, and a mark wanders left together with the data.
Marks are a trace on an axis of their own, so that they look the same on linear and logarithmic charts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy

from labkit.figures.style import FAULT, INK, MUTED, TICK_PX, axis
from labkit.samples import Mark, Sample

Array = numpy.ndarray[Any, numpy.dtype[numpy.float64]]
MARK_LEVELS = 3


def ages(samples: Sequence[Sample]) -> Array:
    """Seconds before the newest sample, as negative numbers."""
    if not samples:
        return numpy.array([])
    return numpy.array([sample.at_s for sample in samples]) - samples[-1].at_s


def column(samples: Sequence[Sample], read: Callable[[Sample], float]) -> Array:
    """One number of each sample."""
    return numpy.array([read(sample) for sample in samples], dtype=numpy.float64)


def highest(*columns: Array) -> float:
    """The greatest measured value; NaN when nothing was measured."""
    values = [float(numpy.nanmax(one)) for one in columns if one.size and not numpy.all(numpy.isnan(one))]
    return max(values, default=math.nan)


def lowest_positive(*columns: Array) -> float:
    """The smallest measured value above zero; NaN when there is none."""
    positive = [one[one > 0] for one in columns]
    return min((float(one.min()) for one in positive if one.size), default=math.nan)


def time_axis(window_s: float) -> dict[str, Any]:
    """The horizontal axis of every chart over time."""
    steps = [window_s * part / 4 for part in range(4, -1, -1)]
    return axis(
        "seconds ago",
        range=[-window_s, window_s * 0.01],
        tickvals=[-step for step in steps],
        ticktext=[f"{step:g}" if step else "now" for step in steps],
    )


def decades(low: float, high: float, *, least: float, most: float) -> list[float]:
    """A logarithmic range of whole decades that holds `low` to `high` and at least `least` to `most`."""
    bottom = min(least, low) if math.isfinite(low) else least
    top = max(most, high) if math.isfinite(high) else most
    return [math.floor(math.log10(bottom)), math.ceil(math.log10(top) - 1e-9)]


def log_axis(title: str, span: list[float]) -> dict[str, Any]:
    """A logarithmic axis with a label at every power of ten and nothing between."""
    powers = range(int(span[0]), int(span[1]) + 1)
    return axis(
        title,
        type="log",
        range=span,
        tickvals=[10.0**power for power in powers],
        ticktext=[f"{10.0**power:,g}".replace(",", " ") for power in powers],
    )


def with_marks(
    data: list[dict[str, Any]],
    marks: Sequence[Mark],
    *,
    now_s: float,
    window_s: float,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """`data` with the marks of the window as a last trace, and the hidden axis that the trace needs."""
    hidden = {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True}
    recent = [mark for mark in marks if 0 <= now_s - mark.at_s <= window_s]
    if not recent:
        return data, hidden
    x: list[float] = []
    y: list[float] = []
    text: list[str] = []
    sides: list[str] = []
    for place, mark in enumerate(recent):
        age = mark.at_s - now_s
        top = 0.94 - 0.13 * (place % MARK_LEVELS)
        x += [age, age, math.nan]
        y += [0.0, top, math.nan]
        text += ["", mark.text, ""]
        side = "middle left" if age > -window_s * 0.4 else "middle right"
        sides += [side, side, side]
    trace = {
        "type": "scatter", "mode": "lines+text", "name": "marks", "showlegend": False, "hoverinfo": "skip",
        "x": numpy.array(x), "y": numpy.array(y), "yaxis": "y2", "text": text, "textposition": sides,
        "textfont": {"color": FAULT, "size": TICK_PX, "weight": 600},
        "line": {"color": FAULT, "width": 2, "dash": "dot"},
    }  # fmt: skip
    return [*data, trace], hidden


def line(name: str, x: Array, y: Array, *, style: dict[str, Any], hover: str = "") -> dict[str, Any]:
    """One line over time; a gap where nothing was measured."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": x,
        "y": y,
        "line": style,
        "connectgaps": False,
        "hovertemplate": hover or "%{y:.3~g}, %{x:.0f} s<extra>" + name + "</extra>",
    }


def ink(*, width: float = 3.0, dash: str = "solid", muted: bool = False) -> dict[str, Any]:
    """The line style of what belongs to no single node."""
    return {"color": MUTED if muted else INK, "width": width, "dash": dash}
