"""How long does a round trip take? What was set on each link, and what the nodes themselves measure.

A delay that was set is a wish; the class sees what was achieved.
Pure: rows in, figure out.
Must not live here: asking the nodes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from labkit.figures.style import FAULT, INK, TEXT_PX, TICK_PX, Figure, axis, layout, nice_ceiling

Row = Mapping[str, Any]


def round_trips(rows: Sequence[Row]) -> Figure:
    """rows: link ("node-1 – node-2"), set_ms (both ways), p50_ms and p95_ms (None: nothing came back), cut.

    {"data", "layout", "summary"}.
    """
    names = [str(row["link"]) for row in rows]
    measured = [row["p95_ms"] for row in rows if row["p95_ms"] is not None] + [row["set_ms"] for row in rows]
    top = nice_ceiling(max(measured, default=math.nan), least=10)
    labels = [_label(row) for row in rows]
    return {
        "data": [
            {
                "type": "bar", "orientation": "h", "name": "measured, p50 to p95", "y": names, "width": 0.5,
                "x": [row["p50_ms"] or 0.0 for row in rows], "marker": {"color": "#8496a9"}, "hoverinfo": "skip",
                "error_x": {
                    "type": "data",
                    "array": [max(0.0, (row["p95_ms"] or 0.0) - (row["p50_ms"] or 0.0)) for row in rows],
                    "arrayminus": [0.0] * len(rows), "color": INK, "thickness": 2.5, "width": 6,
                },
            },
            {
                "type": "scatter", "mode": "markers", "name": "set", "x": [row["set_ms"] for row in rows], "y": names,
                "marker": {
                    "symbol": "line-ns-open", "size": 26, "color": FAULT, "line": {"width": 4, "color": FAULT},
                },
                "cliponaxis": False, "hoverinfo": "skip",
            },
            {
                "type": "scatter", "mode": "text", "y": names, "text": labels, "textposition": "middle right",
                "x": [max(row["p95_ms"] or 0.0, row["set_ms"]) for row in rows], "cliponaxis": False,
                "textfont": {"size": TEXT_PX, "color": INK}, "hoverinfo": "skip", "showlegend": False,
            },
        ],
        "layout": layout(
            "How long does a round trip take?",
            xaxis=axis("ms, there and back", range=[0, top * 1.35], nticks=6),
            yaxis=axis("", autorange="reversed", showgrid=False, type="category", tickfont={"size": TICK_PX}),
            height=140 + 36 * max(1, len(rows)),
            margin={"l": 130, "r": 18, "t": 70, "b": 48},
            barmode="overlay",
        ),
        "summary": _summary(rows),
    }  # fmt: skip


def round_trips_rows(
    stats: Mapping[str, Mapping[str, Any]], rules: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> list[dict[str, Any]]:
    """A row a link. stats: GET /stats by node. rules: each node's outgoing faults by peer.

    Both ends measure a link; the one that has measured more is believed.
    """
    names = sorted(stats.keys() | rules.keys() | {peer for told in rules.values() for peer in told})
    rows = []
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            there, back = rules.get(one, {}).get(other, {}), rules.get(other, {}).get(one, {})
            both = not stats or (
                one in stats and other in stats
            )  # a node that does not answer has no round trip
            seen = [_seen(stats.get(one), other), _seen(stats.get(other), one)]
            best = max(seen, key=lambda trip: float(trip.get("samples") or 0))
            rows.append(
                {
                    "link": f"{one} – {other}",
                    "set_ms": float(there.get("delay_ms", 0.0)) + float(back.get("delay_ms", 0.0)),
                    "p50_ms": best.get("p50") if both else None, "p95_ms": best.get("p95") if both else None,
                    "cut": bool(there.get("cut") or back.get("cut")),
                }
            )  # fmt: skip
    return rows


def _seen(stats: Mapping[str, Any] | None, peer: str) -> Mapping[str, Any]:
    link = ((stats or {}).get("links") or {}).get(peer) or {}
    return link.get("round_trip_ms") or {}


def _label(row: Row) -> str:
    if row["cut"]:
        return "  ✕ cut"
    return "  nothing comes back" if row["p50_ms"] is None else f"  {row['p50_ms']:.0f} ms"


def _summary(rows: Sequence[Row]) -> str:
    known = [row for row in rows if row["p50_ms"] is not None and not row["cut"]]
    cut = [str(row["link"]) for row in rows if row["cut"]]
    parts = []
    if known:
        slowest = max(known, key=lambda row: float(row["p50_ms"]))
        parts.append(
            f"the slowest round trip is {slowest['link']}: {slowest['p50_ms']:.0f} ms (set: {slowest['set_ms']:.0f} ms)"
        )
    if cut:
        parts.append(f"cut: {', '.join(cut)}")
    text = "; ".join(parts) or "no round trip was measured yet"
    return f"{text[0].upper()}{text[1:]}."
