"""How many of the acknowledged likes are in the count: two bars for each way of counting.

What is missing was lost in updates (Berenson et al., "A Critique of ANSI SQL Isolation Levels", SIGMOD 1995, section
4.1, phenomenon P4).

Pure: (way, acknowledged, counted) in, figure out. Must not live here: counting (labkit.course.counting).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labkit.figures.style import FAULT, INK, MUTED, TEXT_PX, Figure, axis, layout, node_colour

Way = tuple[str, int, int]
ROW_PX = 96
NUMBER_PX = 20
ROOM = 1.32
"""Bars end at 1 of so much: the rest is for the words behind them."""


def counted_likes(ways: Sequence[Way]) -> Figure:
    """Is every like counted? ways: what they are called, likes acknowledged, likes counted.

    {"data", "layout", "summary"}.
    """
    names = [name for name, _, _ in ways]
    most = max([1, *(max(acknowledged, counted) for _, acknowledged, counted in ways)])
    return {
        "data": [
            _bars("counted", names, [counted for _, _, counted in ways], node_colour("node-1"), "/"),
            _bars("acknowledged", names, [acknowledged for _, acknowledged, _ in ways], MUTED, ""),
        ],
        "layout": layout(
            "Is every acknowledged like counted?",
            xaxis=axis("likes", range=[0, most * ROOM], nticks=6),
            yaxis=axis("", autorange="reversed", tickfont={"size": TEXT_PX}, automargin=True, showgrid=False),
            height=130 + ROW_PX * max(1, len(ways)),
            margin={"l": 150, "r": 18, "t": 74, "b": 50},
            barmode="group",
            bargap=0.28,
            bargroupgap=0.12,
            showlegend=True,
            annotations=[_missing(way, most) for way in ways if way[2] < way[1]],
        ),
        "summary": _summary(ways),
    }


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


def _bars(name: str, ways: list[str], numbers: list[int], colour: str, hatch: str) -> dict[str, Any]:
    return {
        "type": "bar", "orientation": "h", "name": name, "y": ways, "x": numbers, "hoverinfo": "skip",
        "text": [f"{number}" for number in numbers], "textposition": "outside", "cliponaxis": False,
        "textfont": {"size": NUMBER_PX, "color": INK},
        "marker": {"color": colour, "pattern": {"shape": hatch, "fgopacity": 0.5, "size": 8}},
    }  # fmt: skip


def _missing(way: Way, most: int) -> dict[str, Any]:
    name, acknowledged, counted = way
    return {
        "text": f"✗ {acknowledged - counted} missing", "x": most * ROOM, "y": name, "xref": "x", "yref": "y",
        "xanchor": "right", "showarrow": False, "font": {"size": NUMBER_PX, "color": FAULT, "weight": 600},
    }  # fmt: skip


def _summary(ways: Sequence[Way]) -> str:
    if not ways:
        return "0 likes have been counted."
    parts = [
        f"{name}: {acknowledged} acknowledged, {counted} counted" for name, acknowledged, counted in ways
    ]
    return f"{'; '.join(parts)}."
