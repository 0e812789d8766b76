"""What all charts over time share: the last minute from left to right, and the marks of what was broken when.

"Seconds ago" and not the time of day: the axis stands still, and a mark wanders left together with the data.
A mark's place is a numpy number, so that it travels with the data and not with the rest of the layout.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy

from labkit.figures.style import FAULT, INK, MUTED, PAPER, TICK_PX, axis, by_node_number, node_line
from labkit.samples import Mark, NodeSample, Sample, blank

Array = numpy.ndarray[Any, numpy.dtype[numpy.float64]]
MARK_LEVELS = 3
"""So many names of marks stand below each other; where more would, one name stands for all of them."""
NAME_SHARE, NAME_AGE_SHARE_MAX = 0.45, 0.7
"""Of the window: about the width of a name in a chart of 400 px; how old a mark is when its name goes."""
POINTS_MAX = 120
GAP_S = 2.0
"""Samples come four times a second; for as long as none came (the service was down, the computer slept) no line is
drawn. Long enough that a busy computer, which ticks late, shows no gap where there was none."""


def visible(samples: Sequence[Sample], window_s: float) -> list[Sample]:
    """The samples that the time axis shows, at most POINTS_MAX or so, the newest always among them; where none came
    for GAP_S, a blank one says so."""
    shown = [sample for sample in samples if samples[-1].at_s - sample.at_s <= window_s]
    step = max(1, round(len(shown) / POINTS_MAX))
    return with_gaps(shown[::-1][::step][::-1])


def with_gaps(samples: Sequence[Sample]) -> list[Sample]:
    """The same, and a blank sample in the middle of every time in which nothing was measured."""
    found: list[Sample] = []
    for sample in samples:
        if found and sample.at_s - found[-1].at_s > GAP_S:
            found.append(blank((found[-1].at_s + sample.at_s) / 2))
        found.append(sample)
    return found


def ages(samples: Sequence[Sample]) -> Array:
    """Seconds before the newest sample, as negative numbers."""
    if not samples:
        return numpy.array([])
    return numpy.array([sample.at_s for sample in samples]) - samples[-1].at_s


def column(samples: Sequence[Sample], read: Callable[[Sample], float]) -> Array:
    """One number of each sample."""
    return numpy.array([read(sample) for sample in samples], dtype=numpy.float64)


def node_lines(
    samples: Sequence[Sample], read: Callable[[NodeSample], float]
) -> tuple[list[dict[str, Any]], list[Array]]:
    """A line for each node that the newest sample knows, in its colour, and the numbers that they draw."""
    x, data, columns = ages(samples), [], []
    for name in by_node_number(samples[-1].nodes) if samples else []:
        values = column(samples, lambda sample: _of_node(sample, name, read))  # noqa: B023 called at once
        data.append(line(name, x, values, style=node_line(name)))
        columns.append(values)
    return data, columns


def _of_node(sample: Sample, name: str, read: Callable[[NodeSample], float]) -> float:
    node = sample.nodes.get(name)
    return read(node) if node else math.nan


def highest(*columns: Array) -> float:
    """The greatest measured value; NaN when nothing was measured."""
    values = [float(numpy.nanmax(one)) for one in columns if one.size and not numpy.all(numpy.isnan(one))]
    return max(values, default=math.nan)


def lowest_positive(*columns: Array) -> float:
    """The smallest measured value above zero; NaN when there is none."""
    positive = [one[one > 0] for one in columns]
    return min((float(one.min()) for one in positive if one.size), default=math.nan)


def over_time(samples: Sequence[Sample], marks: Sequence[Mark], window_s: float) -> dict[str, Any]:
    """What the layouts of all charts over time share: the horizontal axis, and the marks on it."""
    now_s = samples[-1].at_s if samples else 0.0
    return {"xaxis": _time_axis(window_s), **_mark_layout(marks, now_s=now_s, window_s=window_s)}


def _time_axis(window_s: float) -> dict[str, Any]:
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


def _mark_layout(marks: Sequence[Mark], *, now_s: float, window_s: float) -> dict[str, Any]:
    """The marks of the window as Plotly shapes and annotations: a line each, and a name for each or for a group.

    A name stands left of its line, at a height that no earlier one nearby has; it depends on earlier marks alone, so
    no name jumps. Near the left edge, where it would not fit any more, only the line is left.
    """
    ages_s = [mark.at_s - now_s for mark in marks]
    shapes = [_mark_line(numpy.float64(age)) for age in ages_s if -window_s <= age <= 0]
    annotations = []
    taken_s = [-math.inf] * MARK_LEVELS  # when the last name at each height was given
    for group in groups(marks, window_s):
        for mark in group if len(group) <= MARK_LEVELS else group[-1:]:
            free = [level for level, at_s in enumerate(taken_s) if mark.at_s - at_s > NAME_SHARE * window_s]
            level = min(free, default=taken_s.index(min(taken_s)))
            taken_s[level] = mark.at_s
            age = mark.at_s - now_s
            if not -NAME_AGE_SHARE_MAX * window_s < age <= 0:
                continue
            name = _mark_name(mark.text, numpy.float64(age), level=level)
            if len(group) > MARK_LEVELS:
                name |= {"text": group_name(group), "hovertext": "<br>".join(one.text for one in group)}
            annotations.append(name)
    return {"shapes": shapes, "annotations": annotations}


def groups(marks: Sequence[Mark], window_s: float) -> list[list[Mark]]:
    """Marks whose names would stand on each other, together: all within NAME_SHARE of the window from the first."""
    found: list[list[Mark]] = []
    for mark in marks:
        if found and mark.at_s - found[-1][0].at_s <= NAME_SHARE * window_s:
            found[-1].append(mark)
        else:
            found.append([mark])
    return found


def group_name(group: Sequence[Mark]) -> str:
    """One name for many marks: how many, and what was done last; "4 × killed" or "6 changes: killed, restarted"."""
    newest_first = dict.fromkeys(mark.text.partition(" ")[2] or mark.text for mark in reversed(group))
    kinds = list(newest_first)[2::-1]
    return f"{len(group)} × {kinds[0]}" if len(kinds) == 1 else f"{len(group)} changes: {', '.join(kinds)}"


def _mark_line(age: numpy.float64) -> dict[str, Any]:
    return {
        "type": "line", "xref": "x", "yref": "paper", "x0": age, "x1": age, "y0": 0, "y1": 1,
        "line": {"color": FAULT, "width": 2, "dash": "dot"},
    }  # fmt: skip


def _mark_name(text: str, age: numpy.float64, *, level: int) -> dict[str, Any]:
    return {
        "text": text, "xref": "x", "yref": "paper", "x": age, "y": 1 - 0.17 * level,
        "xanchor": "right", "yanchor": "top", "showarrow": False,
        "font": {"color": FAULT, "size": TICK_PX, "weight": 600}, "bgcolor": PAPER, "borderpad": 1,
    }  # fmt: skip


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
