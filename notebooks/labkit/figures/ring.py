"""The ring: which node holds which partition, what is on its way to whom, and how keys and requests are shared.

A circle a node, the newest outside; a tick where the node holds the partition. A partition that a node is to take
over is hatched, and filled once all of its data is there. DeCandia et al., "Dynamo", SOSP 2007, section 6.2, strategy 3
has such partitions of equal size; which nodes hold one is decided here by their claims (course/placing.py).

Pure: one look at the ring in, figure out.
Must not live here: looking (labkit/ringside.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labkit.figures.style import (
    INK,
    MUTED,
    PAPER,
    TEXT_PX,
    TICK_PX,
    Figure,
    axis,
    by_node_number,
    layout,
    node_colour,
)

OPENING_DEGREES = 22.0
"""Where the circles stay open, for the nodes' names."""
HOLE, EDGE = 0.42, 1.0
"""The circles' place, as shares of the radius."""
TICK_SHARE = 0.74
"""How much of its place a circle takes, so that two of them are told apart."""
CLEAR = "rgba(0,0,0,0)"
HEIGHT_PX = 430


@dataclass(frozen=True)
class RingNow:
    """One look at the ring.

    nodes: the members and whoever is joining. lists: the owners of each partition. taking: the partitions that a node
    is to take over. arrived: those of them whose data it has. keys: how many each node holds; None: it did not say.
    rates: requests/s. change: what is under way, in words. mine: keys to be pointed at, with their partitions.
    """

    nodes: tuple[str, ...]
    lists: tuple[tuple[str, ...], ...]
    taking: Mapping[str, frozenset[int]] = field(default_factory=dict)
    arrived: Mapping[str, frozenset[int]] = field(default_factory=dict)
    keys: Mapping[str, int | None] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    change: str = ""
    mine: Mapping[str, int] = field(default_factory=dict)

    def held(self, node: str) -> list[int]:
        """The partitions that this node holds, in order."""
        return [partition for partition, owners in enumerate(self.lists) if node in owners]


def ring(now: RingNow) -> Figure:
    """Who holds what? {"data", "layout", "summary"}."""
    nodes = by_node_number(now.nodes)
    width = (EDGE - HOLE) / max(1, len(nodes))
    data: list[dict[str, Any]] = []
    for place, node in enumerate(nodes):
        data += _circle(now, node, HOLE + place * width, width * TICK_SHARE)
    data += [_names(nodes, width), *_pointers(now)]
    data += [_bars(nodes, "x", [now.keys.get(node) for node in nodes], "keys")]
    data += [_bars(nodes, "x2", [now.rates.get(node) for node in nodes], "op/s")]
    copies = max(map(len, now.lists), default=0)
    return {
        "data": data,
        "layout": {
            **layout(
                f"Who holds which of the {len(now.lists)} partitions ({copies} copies each)?",
                xaxis=_bar_axis("keys held", (0.57, 0.76)),
                yaxis=axis("", autorange="reversed", showgrid=False, domain=[0.1, 0.9]),
            ),
            "xaxis2": _bar_axis("requests/s", (0.81, 1.0)),
            "polar": _polar(),
            "height": HEIGHT_PX,
            "showlegend": False,
            "bargap": 0.35,
            "margin": {"l": 12, "r": 22, "t": 46, "b": 40},
            "annotations": [_middle(now)],
        },
        "summary": _summary(now, nodes),
    }


def ring_rows(now: RingNow) -> list[dict[str, Any]]:
    """The same as a table: a row a node."""
    rows = []
    for node in by_node_number(now.nodes):
        rows.append(
            {
                "node": node,
                "partitions held": len(now.held(node)),
                "takes over": len(now.taking.get(node, ())),
                "of these arrived": len(now.arrived.get(node, ())),
                "keys": now.keys.get(node),
                "requests/s": now.rates.get(node),
            }
        )
    return rows


def _angle(now: RingNow, partition: int) -> float:
    """Clockwise from the top, around the opening."""
    return OPENING_DEGREES / 2 + (partition + 0.5) * _step(now)


def _step(now: RingNow) -> float:
    return (360.0 - OPENING_DEGREES) / max(1, len(now.lists))


def _circle(now: RingNow, node: str, base: float, high: float) -> list[dict[str, Any]]:
    """The ticks of one node: held, arrived, and still to come."""
    taking, arrived = now.taking.get(node, frozenset()), now.arrived.get(node, frozenset())
    solid = [*now.held(node), *sorted(arrived & taking)]
    coming = sorted(taking - arrived)
    colour = node_colour(node)
    parts = [_ticks(now, node, solid, base, high, {"color": colour, "line": {"width": 0, "color": colour}})]
    hatched = {
        "color": CLEAR, "line": {"color": colour, "width": 0},
        "pattern": {"shape": "/", "fgcolor": colour, "size": 5, "solidity": 0.45},
    }  # fmt: skip
    parts.append(_ticks(now, f"{node}, on its way", coming, base, high * 0.8, hatched))
    return parts


def _ticks(
    now: RingNow, name: str, partitions: Sequence[int], base: float, high: float, marker: dict[str, Any]
) -> dict[str, Any]:
    """No partitions: an empty trace, so that the number of traces does not hang on what is under way."""
    return {
        "type": "barpolar", "name": name, "base": base, "marker": marker,
        "theta": [_angle(now, partition) for partition in partitions], "r": [high] * len(partitions),
        "width": [_step(now) * 0.82] * len(partitions),
        "hovertemplate": "%{text}<extra></extra>",
        "text": [f"partition {partition}: {', '.join(now.lists[partition])}" for partition in partitions],
    }  # fmt: skip


def _names(nodes: Sequence[str], width: float) -> dict[str, Any]:
    """The nodes' numbers, in the opening of their circles."""
    return {
        "type": "scatterpolar", "mode": "text", "hoverinfo": "skip",
        "theta": [0.0] * len(nodes), "r": [HOLE + (place + TICK_SHARE / 2) * width for place in range(len(nodes))],
        "text": [node.rpartition("-")[2] for node in nodes],
        "textfont": {"size": TEXT_PX, "color": INK, "weight": 700},
    }  # fmt: skip


def _pointers(now: RingNow) -> list[dict[str, Any]]:
    """A line from the middle to the partition of each key that is pointed at; a mark where it is held."""
    nodes = by_node_number(now.nodes)
    width = (EDGE - HOLE) / max(1, len(nodes))
    found: list[dict[str, Any]] = []
    for key, partition in now.mine.items():
        angle, owners = _angle(now, partition), now.lists[partition]
        radii = [
            HOLE + (place + TICK_SHARE / 2) * width for place, node in enumerate(nodes) if node in owners
        ]
        line: dict[str, Any] = {"type": "scatterpolar", "mode": "lines", "hoverinfo": "skip"}
        line |= {"theta": [angle, angle], "r": [HOLE * 0.93, 1.08]}
        line |= {"line": {"color": INK, "width": 2, "dash": "dot"}}
        marks: dict[str, Any] = {
            "type": "scatterpolar",
            "mode": "markers",
            "name": key,
            "theta": [angle] * len(radii),
            "r": radii,
        }
        marks |= {"hovertemplate": f"{key}: partition {partition}<extra></extra>"}
        marks |= {
            "marker": {"symbol": "diamond", "size": 13, "color": INK, "line": {"width": 2, "color": PAPER}}
        }
        found += [line, marks]
    return found


def _middle(now: RingNow) -> dict[str, Any]:
    """What is going on, where everybody looks."""
    lines = [now.change.replace(" is ", "<br>is ") if now.change else f"{len(now.nodes)} nodes"]
    if now.taking:
        total = sum(map(len, now.taking.values()))
        there = sum(len(now.arrived.get(one, frozenset()) & parts) for one, parts in now.taking.items())
        lines.append(f"{there} of {total}")
    return {
        "text": "<br>".join(lines),
        "xref": "paper", "yref": "paper", "x": 0.25, "y": 0.5, "xanchor": "center", "yanchor": "middle",
        "showarrow": False, "font": {"size": TEXT_PX, "color": INK, "weight": 600},
    }  # fmt: skip


def _bars(nodes: Sequence[str], xaxis: str, values: Sequence[float | None], unit: str) -> dict[str, Any]:
    return {
        "type": "bar", "orientation": "h", "xaxis": xaxis, "yaxis": "y", "y": list(nodes),
        "x": [0.0 if value is None else float(value) for value in values],
        "text": ["?" if value is None else f"{value:,.0f}".replace(",", " ") for value in values],
        "textposition": "outside", "cliponaxis": False, "textfont": {"size": TICK_PX, "color": INK},
        "marker": {"color": [node_colour(node) for node in nodes]},
        "hovertemplate": "%{y}: %{text} " + unit + "<extra></extra>",
    }  # fmt: skip


def _bar_axis(title: str, domain: tuple[float, float]) -> dict[str, Any]:
    return axis(title, domain=list(domain), rangemode="tozero", nticks=3, anchor="y")


def _polar() -> dict[str, Any]:
    hidden = {"visible": False, "showline": False, "showgrid": False}
    return {
        "domain": {"x": [0.0, 0.5], "y": [0.0, 1.0]},
        "bgcolor": CLEAR,
        "radialaxis": {**hidden, "range": [0, 1.08]},
        "angularaxis": {**hidden, "direction": "clockwise", "rotation": 90, "color": MUTED},
    }


def _summary(now: RingNow, nodes: Sequence[str]) -> str:
    held = ", ".join(f"{node} {len(now.held(node))}" for node in nodes)
    parts = [f"{len(nodes)} nodes; partitions held: {held}"]
    for node in by_node_number(now.taking):
        there = len(now.arrived.get(node, frozenset()) & now.taking[node])
        parts.append(f"{node} is to take over {len(now.taking[node])}, of which {there} have arrived")
    known = [value for value in now.keys.values() if value is not None]
    if known:
        parts.append(f"keys on a node: {min(known)} to {max(known)}")
    return "; ".join(parts) + "."
