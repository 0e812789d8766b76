"""How evenly nodes share data and work: of each kind, the share of every node beside the even one.

Pure: shares in, figure out.
Must not live here: measuring them (labkit/course/reading.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labkit.figures.style import (
    INK,
    MUTED,
    TICK_PX,
    Figure,
    axis,
    by_node_number,
    layout,
    node_colour,
)

Counts = Mapping[str, float]
PATTERNS = ("", "/", "x", ".")


def balance(kinds: Mapping[str, Counts]) -> Figure:
    """Does each node have its even share? kinds: by name, how much each node has. {"data", "layout", "summary"}."""
    rows = balance_rows(kinds)
    nodes = by_node_number({row["node"] for row in rows})
    even = 100.0 / max(1, len(nodes))
    top = max((row["share (%)"] for row in rows), default=0.0)
    data = [_bars(kind, place, nodes, rows) for place, kind in enumerate(kinds)] + [_even(nodes, even)]
    return {
        "data": data,
        "layout": {
            **layout(
                "Has each node its even share?",
                xaxis=axis("", showgrid=False),
                yaxis=axis("% of all", range=[0, max(top * 1.18, 1.3 * even)], nticks=5),
            ),
            "barmode": "group",
            "height": 330,
        },
        "summary": _summary(rows, list(kinds)),
    }  # fmt: skip


def balance_rows(kinds: Mapping[str, Counts]) -> list[dict[str, Any]]:
    """The same as a table."""
    rows = []
    for kind, counts in kinds.items():
        total = sum(counts.values())
        for node in by_node_number(counts):
            share = 100.0 * counts[node] / total if total else 0.0
            rows.append({"what": kind, "node": node, "count": counts[node], "share (%)": round(share, 1)})
    return rows


def _bars(kind: str, place: int, nodes: list[str], rows: list[dict[str, Any]]) -> dict[str, Any]:
    shares = {row["node"]: row["share (%)"] for row in rows if row["what"] == kind}
    return {
        "type": "bar", "name": kind, "x": nodes, "y": [shares.get(node, 0.0) for node in nodes],
        "text": [f"{shares.get(node, 0.0):.0f}" for node in nodes], "textposition": "outside", "cliponaxis": False,
        "textfont": {"size": TICK_PX, "color": INK},
        "marker": {
            "color": [node_colour(node) for node in nodes], "line": {"width": 1, "color": MUTED},
            "pattern": {"shape": PATTERNS[place % len(PATTERNS)], "fgcolor": INK, "size": 9, "solidity": 0.2},
        },
        "hovertemplate": "%{x}: %{y:.1f} % of " + kind + "<extra></extra>",
    }  # fmt: skip


def _even(nodes: list[str], even: float) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines", "name": f"even share: {even:.0f} %", "x": nodes, "y": [even] * len(nodes),
        "line": {"color": INK, "width": 3, "dash": "dash"}, "hoverinfo": "name",
    }  # fmt: skip


def _summary(rows: list[dict[str, Any]], kinds: list[str]) -> str:
    parts = []
    for kind in kinds:
        most = max(
            (row for row in rows if row["what"] == kind),
            key=lambda row: float(row["share (%)"]),
            default=None,
        )
        if most is not None:
            parts.append(f"{kind}: {most['node']} has most, {most['share (%)']:.0f} %")
    return f"{'; '.join(parts) or 'Nothing was counted'}."
