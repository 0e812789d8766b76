"""Which replicas a write and a read may meet: the worst case, and how many of all cases share none.

Gifford, "Weighted Voting for Replicated Data", SOSP 1979: with r + w > n every read quorum meets every write quorum.
What follows from that, and what does not, is the lesson's matter: that they meet says nothing of *when*.

Pure: three numbers in, figure out.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

from labkit.figures.style import FAULT, INK, MUTED, TEXT_PX, Figure, axis, layout, node_colour

REPLICAS_MAX = 9


def quorum_sets(n: int, r: int, w: int) -> Figure:
    """Must a read meet the write? n replicas, of which r answer a read and w have acknowledged the write.

    {"data", "layout", "summary"}. ValueError if the numbers make no sense.
    """
    _check(n, r, w)
    shared = max(0, r + w - n)
    writers, readers = set(range(w)), set(range(n - r, n))
    return {
        "data": [
            _band(writers, 1.15, "solid", f"W={w}: have the write", "/"),
            _band(readers, -1.15, "dash", f"R={r}: are asked", "\\"),
            _replicas(n, writers & readers),
        ],
        "layout": layout(
            f"N={n}, R={r}, W={w}: must a read meet the write?",
            xaxis=axis("", range=[-0.75, n - 0.25], showticklabels=False, showgrid=False),
            yaxis=axis("", range=[-1.35, 1.35], showticklabels=False, showgrid=False),
            height=260,
            margin={"l": 18, "r": 18, "t": 66, "b": 40},
            annotations=[_verdict(shared, n)],
        ),
        "summary": _summary(n, r, w),
    }


def quorum_sets_rows(n: int, r: int, w: int) -> list[dict[str, Any]]:
    """Every set of replicas that may have the write beside every one that may be read, and what they share."""
    _check(n, r, w)
    rows = []
    for writers in combinations(range(1, n + 1), w):
        for readers in combinations(range(1, n + 1), r):
            shared = sorted(set(writers) & set(readers))
            rows.append(
                {"have the write": _named(writers), "are asked": _named(readers), "both": _named(shared)}
            )
    return rows


def _named(numbers: Any) -> str:
    return ", ".join(f"node-{number}" for number in numbers) or "none"


def _check(n: int, r: int, w: int) -> None:
    if not (1 <= n <= REPLICAS_MAX and 1 <= r <= n and 1 <= w <= n):
        raise ValueError(f"n={n}, r={r}, w={w}: expected n from 1 to {REPLICAS_MAX}, r and w from 1 to n")


def _band(members: set[int], edge: float, dash: str, name: str, hatch: str) -> dict[str, Any]:
    left, right = min(members) - 0.4, max(members) + 0.4
    near = -0.8 if edge > 0 else 0.6
    return {
        "type": "scatter", "mode": "lines", "fill": "toself", "name": name, "hoverinfo": "name",
        "x": [left, right, right, left, left], "y": [edge, edge, near, near, edge],
        "line": {"color": INK, "width": 3, "dash": dash}, "fillcolor": "rgba(0,0,0,0)",
        "fillpattern": {"shape": hatch, "fgcolor": MUTED, "fgopacity": 0.35, "size": 12, "solidity": 0.12},
    }  # fmt: skip


def _replicas(n: int, shared: set[int]) -> dict[str, Any]:
    names = [f"node-{number + 1}" for number in range(n)]
    return {
        "type": "scatter", "mode": "markers+text", "x": list(range(n)), "y": [0] * n, "showlegend": False,
        "marker": {
            "size": [38 if number in shared else 28 for number in range(n)],
            "color": [node_colour(name) for name in names], "opacity": 1,
            "line": {"color": INK, "width": [5 if number in shared else 1 for number in range(n)]},
        },
        "text": [f"{name}, in both" if number in shared else name for number, name in enumerate(names)],
        "textposition": "bottom center", "textfont": {"size": TEXT_PX, "color": INK}, "hoverinfo": "text",
    }  # fmt: skip


def _verdict(shared: int, n: int) -> dict[str, Any]:
    text = (
        f"✓ at least {shared} of {n} in both"
        if shared
        else "✗ none need be in both: a read may miss the write"
    )
    return {
        "text": text, "xref": "paper", "yref": "paper", "x": 0, "y": -0.02, "xanchor": "left", "yanchor": "top",
        "showarrow": False, "font": {"size": TEXT_PX + 1, "weight": 600, "color": INK if shared else FAULT},
    }  # fmt: skip


def _summary(n: int, r: int, w: int) -> str:
    rows = quorum_sets_rows(n, r, w)
    missed = sum(row["both"] == "none" for row in rows)
    if not missed:
        return (
            f"R+W = {r + w} > N = {n}: in each of {len(rows)} cases a read asks a replica that has the write."
        )
    return f"R+W = {r + w} ≤ N = {n}: in {missed} of {len(rows)} cases a read asks none that has the write."
