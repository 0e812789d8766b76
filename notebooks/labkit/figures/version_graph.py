"""The versions of one key as a graph: a dot each, and a line from each version to what its writer had seen.

What a line says is all that a database without a common clock can know of order. Two versions without a way between
them are concurrent, whatever the time of day was: if both are still there, they are siblings.
Paper: Preguiça et al., "Dotted Version Vectors", arXiv 1011.5808, section 3.

Pure: versions as GET and PUT answer them in, figure out.
Must not live here: the relation itself (labkit.causality).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labkit.causality import has_seen, relation
from labkit.figures.style import (
    FAULT,
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

Version = Mapping[str, Any]
ROW_PX = 78
MARKER_PX = 26


def version_graph(versions: Sequence[Version]) -> Figure:
    """Who had seen what? versions: dot, value, issued_under, issued_under_dots?, node, label?, deleted?, replaced?.

    A version is replaced if another one's writer had seen it, or if it says so itself (`replaced`), as under
    last-writer-wins, where a timestamp decides and not what was seen.
    """
    versions = list({str(one["dot"]): one for one in versions}.values())
    depths, nodes = depths_of(versions), by_node_number({_node(one) for one in versions})
    places = _places(versions, depths, nodes)
    kept = [one for one in versions if not is_replaced(one, versions)]
    columns = max(depths.values(), default=0) + 1
    return {
        "data": [_edges(versions, places), *_dots(versions, places, kept)],
        "layout": layout(
            "Who had seen what?",
            xaxis=axis(
                "an arrow leads from what was seen to what was written then", range=[-0.45, columns - 0.35],
                showticklabels=False, showgrid=False,
            ),
            yaxis=axis(
                "", range=[-len(nodes) + 0.35, 0.65], tickvals=[-float(place) for place in range(len(nodes))],
                ticktext=nodes, showgrid=True, tickfont={"size": TEXT_PX},
            ),
            height=130 + ROW_PX * max(1, len(nodes)),
            margin={"l": 80, "r": 18, "t": 70, "b": 44},
            annotations=[_words(one, places[str(one["dot"])], _fate(one, versions)) for one in versions],
        ),
        "summary": _summary(versions, kept),
    }  # fmt: skip


def version_graph_rows(versions: Sequence[Version]) -> list[dict[str, Any]]:
    """The same as a table: each version, what its writer had seen of the others, and what became of it."""
    versions = list({str(one["dot"]): one for one in versions}.values())
    return [
        {
            "version": short_dot(one), "value": _shown(one), "written by": one.get("label", ""),
            "had seen": ", ".join(short_dot(other) for other in versions if _saw(one, other)) or "none of these",
            "concurrent with": ", ".join(short_dot(other) for other in versions if relation(one, other) == "∥"),
            "now": _fate(one, versions).strip("()") or "there",
        }
        for one in versions
    ]  # fmt: skip


def is_replaced(version: Version, versions: Sequence[Version]) -> bool:
    """Whether a reader gets it no more."""
    return bool(version.get("replaced")) or any(_saw(other, version) for other in versions)


def depths_of(versions: Sequence[Version]) -> dict[str, int]:
    """How many versions lie one behind another before each: its column."""
    depths: dict[str, int] = {}

    def depth(one: Version) -> int:
        dot = str(one["dot"])
        if dot not in depths:
            depths[dot] = 0  # a past never leads back to itself; should it, this ends the walk
            depths[dot] = max((depth(other) + 1 for other in versions if _saw(one, other)), default=0)
        return depths[dot]

    for one in versions:
        depth(one)
    return depths


def nearest_seen(version: Version, versions: Sequence[Version]) -> list[Version]:
    """What its writer had seen last: of all that was seen, what no other seen version had seen."""
    seen = [one for one in versions if _saw(version, one)]
    return [one for one in seen if not any(_saw(other, one) for other in seen)]


def short_dot(version: Version) -> str:
    """ "node-1:7" for "node-1.3f2a91c205d8b7aa:7"."""
    store, _, counter = str(version["dot"]).rpartition(":")
    return f"{store.partition('.')[0]}:{counter}"


# --- parts of the picture ------------------------------------------------------------------------------------------


def _saw(one: Version, other: Version) -> bool:
    return one["dot"] != other["dot"] and has_seen(one, str(other["dot"]))


def _node(version: Version) -> str:
    return str(version.get("node") or str(version["dot"]).partition(".")[0])


def _places(
    versions: Sequence[Version], depths: Mapping[str, int], nodes: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """Column by depth, row by node; two in one place stand beside each other."""
    places: dict[str, tuple[float, float]] = {}
    for one in versions:
        dot = str(one["dot"])
        x, y = float(depths[dot]), -float(nodes.index(_node(one)))
        while (x, y) in places.values():
            x += 0.42
        places[dot] = x, y
    return places


def _edges(versions: Sequence[Version], places: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    x: list[float | None] = []
    y: list[float | None] = []
    for one in versions:
        for other in nearest_seen(one, versions):
            (from_x, from_y), (to_x, to_y) = places[str(one["dot"])], places[str(other["dot"])]
            x += [to_x, from_x, None]
            y += [to_y, from_y, None]
    return {
        "type": "scatter", "mode": "lines+markers", "x": x, "y": y, "hoverinfo": "skip", "showlegend": False,
        "line": {"color": MUTED, "width": 2.5},
        "marker": {
            "opacity": 1, "symbol": "arrow", "angleref": "previous", "color": MUTED, "standoff": MARKER_PX / 2,
            "size": [0, 13, 0] * (len(x) // 3),
        },
    }  # fmt: skip


def _dots(
    versions: Sequence[Version], places: Mapping[str, tuple[float, float]], kept: Sequence[Version]
) -> list[dict[str, Any]]:
    """Filled: a reader gets it. Hollow: replaced. A square with a cross is a tombstone."""
    data = []
    for is_kept, name in ((True, "still there"), (False, "replaced")):
        found = [one for one in versions if (one in kept) is is_kept]
        if not found:
            continue
        colours = [node_colour(_node(one)) for one in found]
        symbols = ["square-x" if one.get("deleted") else "circle" for one in found]
        if not is_kept:
            symbols = [f"{symbol}-open" for symbol in symbols]
        data.append(
            {
                "type": "scatter", "mode": "markers", "name": name, "cliponaxis": False,
                "x": [places[str(one["dot"])][0] for one in found],
                "y": [places[str(one["dot"])][1] for one in found],
                "marker": {
                    "size": MARKER_PX, "symbol": symbols, "color": colours,
                    "line": {"width": 3, "color": INK if is_kept else colours},
                },
                "hoverinfo": "text", "text": [_hover(one) for one in found],
            }
        )  # fmt: skip
    return data


def _fate(version: Version, versions: Sequence[Version]) -> str:
    """ "" if a reader gets it, else how it went."""
    if not is_replaced(version, versions):
        return ""
    return (
        "(replaced)" if any(_saw(other, version) for other in versions) else "(gone, and nobody had seen it)"
    )


def _words(version: Version, place: tuple[float, float], fate: str) -> dict[str, Any]:
    who = f"{version['label']}: " if version.get("label") else ""
    colour = FAULT if "nobody" in fate else MUTED if fate else INK
    return {
        "x": place[0], "y": place[1], "xref": "x", "yref": "y", "showarrow": False, "yanchor": "top", "yshift": -15,
        "text": f"{who}<b>{_shown(version)}</b>{'<br>' if fate else ''}{fate}", "bgcolor": PAPER, "borderpad": 1,
        "font": {"size": TICK_PX, "color": colour},
    }  # fmt: skip


def _hover(version: Version) -> str:
    past = version.get("issued_under") or {}
    seen = (
        ", ".join(f"{store.partition('.')[0]}: {count}" for store, count in sorted(past.items())) or "nothing"
    )
    return f"{short_dot(version)} = {_shown(version)}<br>its writer had seen {{{seen}}}"


def _shown(version: Version) -> str:
    text = "deleted" if version.get("deleted") else str(version.get("value"))
    return text if len(text) <= 22 else text[:21] + "…"


def _summary(versions: Sequence[Version], kept: Sequence[Version]) -> str:
    if not versions:
        return "Nobody has written this key yet."
    there = " and ".join(f"“{_shown(one)}”" for one in kept)
    gone = len(versions) - len(kept)
    if not kept:
        return f"{len(versions)} versions, and none of them is there any more."
    unseen = [one for one in versions if "nobody" in _fate(one, versions)]
    lost = (
        f", {' and '.join(f'“{_shown(one)}”' for one in unseen)} though nobody had seen it" if unseen else ""
    )
    if len(kept) == 1:
        return f"One version is there, {there}; {gone} {'was' if gone == 1 else 'were'} replaced{lost}."
    apart = "neither writer had seen the other's" if len(kept) == 2 else "no writer had seen another's"
    return f"{len(kept)} siblings are there, {there}: {apart}; {gone} replaced{lost}."
