"""Charts of agreement: do replicas hold the same, how late are they, what waits for an absent node."""

from __future__ import annotations

from collections.abc import Sequence

from labkit.figures.style import (
    INK,
    MUTED,
    TICK_PX,
    Figure,
    axis,
    layout,
    nice_ceiling,
)
from labkit.figures.summaries import last_of, listed, newest, now
from labkit.figures.timeline import (
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

AGREED_PERCENT = 99.0


def agreement_figure(
    samples: Sequence[Sample], marks: Sequence[Mark] = (), *, window_s: float = 60.0
) -> Figure:
    """Do all replicas agree? (share of sampled keys, written no longer ago than a moment left out)"""
    samples = visible(samples, window_s)
    x = ages(samples)
    percent = column(samples, lambda sample: sample.agreeing_share * 100)
    data = [
        line("agreeing keys", x, percent, style=ink(width=4)),
        {
            "type": "scatter", "mode": "lines+text", "x": [-window_s, 0], "y": [AGREED_PERCENT] * 2,
            "line": {"color": MUTED, "width": 1.5, "dash": "dash"}, "hoverinfo": "skip", "showlegend": False,
            "text": ["99 %", ""], "textposition": "bottom right",
            "textfont": {"size": TICK_PX, "color": MUTED},
        },
    ]  # fmt: skip
    return {
        "data": data,
        "layout": layout(
            "Do all replicas agree?",
            yaxis=axis("% of keys", range=[0, 138], tickvals=[0, 25, 50, 75, 100]),
            **over_time(samples, marks, window_s),
            showlegend=False,
        ),
        "summary": now(f"{newest(percent, '%')} of keys agree", samples, marks, window_s),
    }


def lag_figure(samples: Sequence[Sample], marks: Sequence[Mark] = (), *, window_s: float = 60.0) -> Figure:
    """How late is each replica?"""
    samples = visible(samples, window_s)
    data, columns = node_lines(samples, lambda node: node.lag_p95_ms)
    span = decades(lowest_positive(*columns), highest(*columns), least=1, most=100)
    return {
        "data": data,
        "layout": layout(
            "How late is each replica?",
            yaxis=log_axis("p95, ms (log)", span),
            **over_time(samples, marks, window_s),
        ),
        "summary": now(f"p95: {listed(last_of(data), 'ms')}", samples, marks, window_s),
    }


def hints_figure(samples: Sequence[Sample], marks: Sequence[Mark] = (), *, window_s: float = 60.0) -> Figure:
    """What waits for an absent node?"""
    samples = visible(samples, window_s)
    x = ages(samples)
    waiting = column(samples, lambda sample: sample.hints_pending_total)
    data = [
        {
            **line("writes kept as hints", x, waiting, style={"color": INK, "width": 3}),
            "fill": "tozeroy",
            "fillcolor": "rgba(127,137,150,0.25)",
        }
    ]
    return {
        "data": data,
        "layout": layout(
            "What waits for an absent node?",
            yaxis=axis("hints pending", range=[0, nice_ceiling(highest(waiting), least=10)], nticks=5),
            **over_time(samples, marks, window_s),
            showlegend=False,
        ),
        "summary": now(f"{newest(waiting, 'writes')} wait as hints", samples, marks, window_s),
    }
