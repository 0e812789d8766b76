"""What single replicas know of a counter, number by number, and what becomes of it when they merge.

A PN-counter keeps two numbers for each actor, which only grow: given, and taken back. Merging takes the larger one of
each; the value is what was given minus what was taken back.
Paper: Shapiro et al., "A comprehensive study of Convergent and Commutative Replicated Data Types", 2011, section 3.1.

Pure: {node: {actor: (given, taken back)}} in, figure out.
Must not live here: the counter (kvnode.versions.counters).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labkit.figures.style import (
    INK,
    MUTED,
    TEXT_PX,
    Figure,
    axis,
    by_node_number,
    layout,
)

States = Mapping[str, Mapping[str, tuple[int, int]]]
ROW_PX = 48
NUMBER_PX = 22
KINDS = ("has given", "has taken back")
MERGED = "merged"


def counter_states(states: States, merged: bool = True) -> Figure:
    """What does each replica know? merged: with a column for what they know together, and a frame round what it took.

    {"data", "layout", "summary"}.
    """
    nodes = by_node_number(states)
    columns = [*nodes, MERGED] if merged else nodes
    rows = _rows(states)
    return {
        "data": [_frames(states, nodes, rows if merged else []), _cells(states, columns, rows)],
        "layout": layout(
            "What does each replica know of the counter?",
            xaxis=axis("", range=[-0.6, len(columns) - 0.4], showticklabels=False, showgrid=False),
            yaxis=axis(
                "", range=[-len(rows) - 0.6, 0.8], tickvals=[-float(place) for place in range(len(rows) + 1)],
                ticktext=[*(f"{actor} {KINDS[kind]}" for actor, kind in rows), "<b>value</b>"],
                tickfont={"size": TEXT_PX}, showgrid=False, automargin=True,
            ),
            height=100 + ROW_PX * (len(rows) + 2),
            margin={"l": 170, "r": 18, "t": 56, "b": 20},
            annotations=[_head(name, place) for place, name in enumerate(columns)],
            shapes=[_rule(len(rows), len(columns))],
        ),
        "summary": _summary(states, merged),
    }  # fmt: skip


def counter_states_rows(states: States, merged: bool = True) -> list[dict[str, Any]]:
    """The same as a table."""
    nodes = by_node_number(states)
    found = []
    for actor, kind in _rows(states):
        numbers = {node: _known(states[node], actor, kind) for node in nodes}
        row: dict[str, Any] = {"number": f"{actor} {KINDS[kind]}", **numbers}
        found.append({**row, MERGED: _largest(states, actor, kind)} if merged else row)
    values = {node: value_of(states[node]) for node in nodes}
    last: dict[str, Any] = {"number": "value", **values}
    return [*found, {**last, MERGED: merged_of(states)} if merged else last]


def value_of(state: Mapping[str, tuple[int, int]]) -> int:
    """Given minus taken back, over all actors."""
    return sum(given - taken_back for given, taken_back in state.values())


def merged_of(states: States) -> int:
    """The value once every replica knows what each of them knows."""
    rows = _rows(states)
    return sum(_largest(states, actor, kind) * (1 if kind == 0 else -1) for actor, kind in rows)


# --- parts of the picture ------------------------------------------------------------------------------------------


def _rows(states: States) -> list[tuple[str, int]]:
    actors = sorted({actor for state in states.values() for actor in state})
    return [(actor, kind) for actor in actors for kind in (0, 1)]


def _known(state: Mapping[str, tuple[int, int]], actor: str, kind: int) -> int | None:
    """None: this replica has not heard of the actor."""
    return state[actor][kind] if actor in state else None


def _largest(states: States, actor: str, kind: int) -> int:
    return max(_known(state, actor, kind) or 0 for state in states.values())


def _cells(states: States, columns: list[str], rows: list[tuple[str, int]]) -> dict[str, Any]:
    x: list[int] = []
    y: list[float] = []
    texts: list[str] = []
    for column, name in enumerate(columns):
        for place, (actor, kind) in enumerate(rows):
            number = _largest(states, actor, kind) if name == MERGED else _known(states[name], actor, kind)
            x.append(column)
            y.append(-float(place))
            texts.append("–" if number is None else f"{'−' if kind and number else ''}{number}")
        x.append(column)
        y.append(-float(len(rows)))
        texts.append(f"<b>{merged_of(states) if name == MERGED else value_of(states[name])}</b>")
    return {
        "type": "scatter", "mode": "text", "x": x, "y": y, "text": texts, "showlegend": False, "hoverinfo": "skip",
        "textfont": {"size": NUMBER_PX, "color": INK},
    }  # fmt: skip


def _frames(states: States, nodes: list[str], rows: list[tuple[str, int]]) -> dict[str, Any]:
    """Round each number that the merge takes: the larger one, where it is more than nothing."""
    taken = [
        (column, place)
        for place, (actor, kind) in enumerate(rows)
        for column, node in enumerate(nodes)
        if _largest(states, actor, kind)
        and _known(states[node], actor, kind) == _largest(states, actor, kind)
    ]
    return {
        "type": "scatter", "mode": "markers", "x": [column for column, _ in taken], "name": "taken by the merge",
        "y": [-float(place) for _, place in taken], "showlegend": False, "hoverinfo": "skip",
        "marker": {"symbol": "square-open", "size": 44, "color": INK, "line": {"width": 3, "color": INK}},
    }  # fmt: skip


def _head(name: str, place: int) -> dict[str, Any]:
    return {
        "text": f"<b>{name}</b>", "x": place, "y": 0.75, "xref": "x", "yref": "y", "yanchor": "middle",
        "showarrow": False, "font": {"size": TEXT_PX + 2, "color": INK},
    }  # fmt: skip


def _rule(rows: int, columns: int) -> dict[str, Any]:
    return {
        "type": "line", "x0": -0.5, "x1": columns - 0.5, "y0": -rows + 0.5, "y1": -rows + 0.5, "xref": "x",
        "yref": "y", "line": {"color": MUTED, "width": 2},
    }  # fmt: skip


def _summary(states: States, merged: bool) -> str:
    parts = [f"{node} says {value_of(states[node])}" for node in by_node_number(states)]
    if not parts:
        return "0 replicas have answered."
    together = f"; the larger one of each number, taken together, is {merged_of(states)}" if merged else ""
    return f"{', '.join(parts)}{together}."
