"""Charts of what users do and feel: the rate that the database keeps up with, latency, load per node."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy
from numpy import nan

from labkit.figures.style import (
    INK,
    WORK_TINTS,
    Figure,
    axis,
    layout,
    nice_ceiling,
)
from labkit.figures.summaries import amount, last_of, listed, now
from labkit.figures.timeline import (
    Array,
    ages,
    column,
    decades,
    highest,
    ink,
    line,
    log_axis,
    lowest_positive,
    node_lines,
    over_time,
    visible,
)
from labkit.samples import Mark, Sample

RATE_SPAN_S = 2.0
# What a request does to the database -> the kinds of operation that do it, from the bottom of the stack up: reads
# something, counts something (a view, a like, a unit in stock, …), or writes a text. Of all worlds: a sample knows the
# kinds of its own alone.
WORK = {
    "reads": ("read", "open", "browse", "look", "stock_take"),
    "counts": (
        *("view", "like", "retweet", "tally"),
        *(
            "order",
            "shipment",
            "sold",
            "departure",
            "arrival",
            "restocked",
            "restock",
            "opening",
            "repair",
            "sweep",
        ),
    ),
    "texts": ("tweet", "comment", "create", "edit", "merge", "resolve", "product"),
}


def rate_of(samples: Sequence[Sample], kinds: Sequence[str], span_s: float = RATE_SPAN_S) -> Array:
    """Acknowledged operations/s of some kinds: growth of their real counters over the last `span_s`."""
    rates = numpy.full(len(samples), numpy.nan)
    first = 0
    known = [kind for kind in kinds if any(kind in sample.counts for sample in samples)]
    for place, sample in enumerate(samples):
        while first < place - 1 and sample.at_s - samples[first].at_s > span_s:
            first += 1
        earlier = samples[first]
        grown = sum(sample.counts.get(kind, nan) - earlier.counts.get(kind, nan) for kind in known)
        took = sample.at_s - earlier.at_s
        if took > 0 and grown >= 0:
            rates[place] = grown / took
    return rates


def rate_figure(samples: Sequence[Sample], marks: Sequence[Mark] = (), *, window_s: float = 60.0) -> Figure:
    """Does the database keep up with what is asked of it?"""
    samples = visible(samples, window_s)
    x = ages(samples)
    target = column(samples, lambda sample: sample.target_rate if sample.running else 0.0)
    achieved = column(samples, lambda sample: sample.achieved_rate)
    areas, stack = _work_areas(samples, x)
    data = [*areas, line("asked for", x, target, style={"color": INK, "width": 3, "dash": "dash"})]
    top = nice_ceiling(highest(target, achieved, stack), least=10)
    return {
        "data": data,
        "layout": layout(
            "Does the database keep up?",
            yaxis=axis("operations/s", range=[0, top], nticks=5),
            **over_time(samples, marks, window_s),
            margin={"l": 76, "r": 18, "t": 80, "b": 46},  # room for two rows of legend on a narrow page
        ),
        "summary": now(_kept_up(samples), samples, marks, window_s),
    }


def _kept_up(samples: Sequence[Sample]) -> str:
    if not samples:
        return ""
    newest = samples[-1]
    if not newest.running:
        return "traffic is stopped"
    parts = [(name, float(rate_of(samples, kinds)[-1])) for name, kinds in WORK.items()]
    of = ", ".join(f"{name} {value:.0f}" for name, value in parts if not math.isnan(value))
    said = f"{amount(newest.achieved_rate, 'operations/s')} of {amount(newest.target_rate, 'asked for')}"
    return f"{said} ({of})" if of else said


def _work_areas(samples: Sequence[Sample], x: Array) -> tuple[list[dict[str, Any]], Array]:
    """What was acknowledged, stacked by what it does to the database, and the height of the whole stack.

    Each area reaches down to zero and the lower ones are drawn over it: an area "to the next one" would be
    filled across a gap as if something had been measured there.
    """
    areas: list[dict[str, Any]] = []
    stack = numpy.zeros(len(samples))
    for rank, ((name, kinds), tint) in enumerate(zip(WORK.items(), WORK_TINTS, strict=True)):
        part = rate_of(samples, kinds)
        stack = stack + part
        areas.append(
            {
                "type": "scatter", "mode": "lines", "name": name, "x": x, "y": stack, "customdata": part,
                "fill": "tozeroy", "fillcolor": tint, "line": {"width": 0, "color": tint}, "connectgaps": False,
                "legendrank": rank, "hovertemplate": "%{customdata:.0f}/s<extra>" + name + "</extra>",
            }
        )  # fmt: skip
    return areas[::-1], stack


def latency_figure(
    samples: Sequence[Sample], marks: Sequence[Mark] = (), *, window_s: float = 60.0
) -> Figure:
    """How long does a user wait?"""
    samples = visible(samples, window_s)
    x = ages(samples)
    columns = {
        name: column(samples, lambda sample, name=name: sample.latency_ms[name])  # type: ignore[misc]
        for name in ("p50", "p95", "p99")
    }
    styles = {"p50": ink(width=4), "p95": ink(width=2.5, dash="dash"), "p99": ink(width=2.5, dash="dot")}
    data = [line(name, x, values, style=styles[name]) for name, values in columns.items()]
    span = decades(lowest_positive(*columns.values()), highest(*columns.values()), least=1, most=100)
    return {
        "data": data,
        "layout": layout(
            "How long does a user wait?",
            yaxis=log_axis("ms (log scale)", span),
            **over_time(samples, marks, window_s),
        ),
        "summary": now(listed(last_of(data), "ms"), samples, marks, window_s),
    }


def load_figure(samples: Sequence[Sample], marks: Sequence[Mark] = (), *, window_s: float = 60.0) -> Figure:
    """Which node does the work?"""
    samples = visible(samples, window_s)
    data, columns = node_lines(samples, lambda node: node.rate)
    return {
        "data": data,
        "layout": layout(
            "Which node does the work?",
            yaxis=axis("operations/s", range=[0, nice_ceiling(highest(*columns), least=10)], nticks=5),
            **over_time(samples, marks, window_s),
        ),
        "summary": now(listed(last_of(data), "operations/s"), samples, marks, window_s),
    }
