"""When did one write reach each replica? A bar a replica, from the coordinator's start to the stored copy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from labkit.figures.style import (
    FAULT,
    TEXT_PX,
    Figure,
    axis,
    by_node_number,
    layout,
    nice_ceiling,
    node_colour,
)


def arrival_figure(
    arrivals_ms: Mapping[str, float | None],
    *,
    acknowledged_by: Sequence[str] = (),
    coordinator: str = "",
) -> Figure:
    """Milliseconds from when the coordinator took the write to each stored copy; None is "not yet"."""
    names = by_node_number(arrivals_ms)
    known = [value for value in arrivals_ms.values() if value is not None]
    top = nice_ceiling(max(known, default=math.nan), least=5)
    bars = [max(arrivals_ms[name] or 0.0, top * 0.006) for name in names]
    labels = [_label(arrivals_ms[name], name, acknowledged_by, coordinator) for name in names]
    return {
        "data": [
            {
                "type": "bar", "orientation": "h", "x": bars, "y": names, "width": 0.55, "cliponaxis": False,
                "marker": {"color": [node_colour(name) for name in names]},
                "text": labels, "textposition": "outside", "hoverinfo": "skip",
                "textfont": {"size": TEXT_PX, "color": [
                    FAULT if arrivals_ms[name] is None else "#1f2933" for name in names
                ]},
            }
        ],
        "layout": layout(
            "When did the write reach each replica?",
            xaxis=axis("ms after the coordinator took the write", range=[0, top * 1.9], tickvals=_ticks(top)),
            yaxis=axis("", autorange="reversed", showgrid=False, type="category"),
            showlegend=False,
            height=118 + 46 * max(1, len(names)),
            margin={"l": 84, "r": 18, "t": 46, "b": 52},
        ),
        "summary": _summary(arrivals_ms),
    }  # fmt: skip


def _summary(arrivals_ms: Mapping[str, float | None]) -> str:
    names = by_node_number(arrivals_ms)
    stored = [
        f"at {name} after {value:,.1f} ms" for name in names if (value := arrivals_ms[name]) is not None
    ]
    missing = [name for name in names if arrivals_ms[name] is None]
    parts = [f"Stored {', '.join(stored)}" if stored else "Stored nowhere yet"]
    parts += [f"not yet at {', '.join(missing)}"] if missing and stored else []
    return f"{'; '.join(parts)}."


def _ticks(top: float) -> list[float]:
    return [top * part / 5 for part in range(6)]


def _label(value: float | None, name: str, acknowledged_by: Sequence[str], coordinator: str) -> str:
    if value is None:
        return " has not got it yet"
    role = " (coordinator)" if name == coordinator else ""
    counted = ", before the answer" if name in acknowledged_by else ""
    return f" {value:,.1f} ms{role}{counted}".replace(",0", ",0")
