"""How many of the acknowledged likes are in the count: a bar for each way of counting, and what is missing of it.

What is missing was lost in updates (Berenson et al., "A Critique of ANSI SQL Isolation Levels", SIGMOD 1995, section
4.1, phenomenon P4).

Pure: (way, acknowledged, counted) in, figure out.
Must not live here: counting (labkit.course.counting).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labkit.figures.style import FAULT, INK, TEXT_PX, Figure, axis, layout, node_colour

Way = tuple[str, int, int]
ROW_PX = 74
NUMBER_PX = 20
STRETCH = 1.02
"""Bars end at 1 of so much."""
CLEAR = "rgba(0,0,0,0)"


def counted_likes(ways: Sequence[Way]) -> Figure:
    """Is every like counted? ways: what they are called, likes acknowledged, likes counted.

    {"data", "layout", "summary"}.
    """
    most = max([1, *(max(acknowledged, counted) for _, acknowledged, counted in ways)])
    places = list(range(len(ways)))
    missing = [
        acknowledged - counted if acknowledged > counted else None for _, acknowledged, counted in ways
    ]
    counted = {
        "type": "bar", "orientation": "h", "name": "counted", "hoverinfo": "skip", "width": 0.42,
        "y": places, "x": [one for _, _, one in ways], "marker": {"color": node_colour("node-1")},
    }  # fmt: skip
    lost = {
        "type": "bar", "orientation": "h", "name": "acknowledged, and missing", "hoverinfo": "skip", "width": 0.42,
        "y": places, "x": missing,
        "marker": {
            "color": CLEAR, "line": {"color": FAULT, "width": 3},
            "pattern": {"shape": "/", "fgcolor": FAULT, "size": 12, "solidity": 0.25},
        },
    }  # fmt: skip
    return {
        "data": [counted, lost] if any(missing) else [counted],
        "layout": layout(
            "Is every acknowledged like counted?",
            xaxis=axis("likes", range=[0, most * STRETCH], nticks=6),
            yaxis=axis("", range=[len(ways) - 0.4, -0.75], showticklabels=False, showgrid=False),
            height=140 + ROW_PX * max(1, len(ways)),
            margin={"l": 18, "r": 18, "t": 74, "b": 50},
            barmode="stack",
            showlegend=True,
            annotations=[_words(way, place) for place, way in enumerate(ways)],
        ),
        "summary": _summary(ways),
    }  # fmt: skip


def counted_likes_rows(ways: Sequence[Way]) -> list[dict[str, Any]]:
    """The same as a table."""
    return [
        {
            "way": name,
            "acknowledged": acknowledged,
            "counted": counted,
            "missing": max(0, acknowledged - counted),
        }
        for name, acknowledged, counted in ways
    ]


def _words(way: Way, place: int) -> dict[str, Any]:
    """Above the bar: how it counts, and what came of it."""
    name, acknowledged, counted = way
    lost = acknowledged - counted
    fate = f"<b>✗ {lost} missing</b>" if lost > 0 else "<b>✓ none missing</b>"
    return {
        "text": f"{name}: {acknowledged} acknowledged, {counted} counted · {fate}",
        "x": 0, "xref": "x", "y": place - 0.24, "yref": "y", "xanchor": "left", "yanchor": "bottom", "showarrow": False,
        "font": {"size": NUMBER_PX if len(name) < 24 else TEXT_PX, "color": FAULT if lost > 0 else INK},
    }  # fmt: skip


def _summary(ways: Sequence[Way]) -> str:
    if not ways:
        return "0 likes have been counted."
    parts = [
        f"{name}: {acknowledged} acknowledged, {counted} counted" for name, acknowledged, counted in ways
    ]
    return f"{'; '.join(parts)}."
