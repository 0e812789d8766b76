"""Many people who read a number and write one: who had read what when they wrote, a row each, to scale.

A lost update needs no more than this: a read that is answered before somebody else's write, and a write after it.
Berenson et al., "A Critique of ANSI SQL Isolation Levels", SIGMOD 1995, section 4.1.

Pure: operations in, figure out.
Must not live here: playing the scene (labkit.course.scenes).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labkit.figures.style import INK, MUTED, TEXT_PX, TICK_PX, Figure, axis, layout, node_colour

ROW_PX = 19
WORDS_SHARE = 0.28
"""Of the width, for the words behind the last write."""


def race(operations: Sequence[Any]) -> Figure:
    """Who had read what when they wrote? operations: a read and a write of each person (labkit.course.operations).

    {"data", "layout", "summary"}.
    """
    rows = race_rows(operations)
    end_ms = max([row["write answered (ms)"] for row in rows], default=100.0)
    begin_ms = min([row["read sent (ms)"] for row in rows], default=0.0)
    barrier_ms = max([row["read answered (ms)"] for row in rows], default=0.0)
    bars = (("reads", MUTED, "read sent (ms)", "read answered (ms)", None),
            ("waits for the others", MUTED, "read answered (ms)", "write sent (ms)", "dot"),
            ("writes", node_colour("node-1"), "write sent (ms)", "write answered (ms)", None))  # fmt: skip
    data = [_bars(name, colour, rows, (begin, end), dash) for name, colour, begin, end, dash in bars]
    return {
        "data": [*data, _numbers(rows)],
        "layout": layout(
            "Who had read what when they wrote?",
            xaxis=axis("ms since the scene began", range=_span(begin_ms, end_ms), nticks=8),
            yaxis=axis(
                "", range=[len(rows) + 0.2, -0.8], tickvals=[0, len(rows) - 1] if rows else [],
                ticktext=[rows[0]["who"], rows[-1]["who"]] if rows else [], showgrid=False,
            ),
            height=154 + ROW_PX * len(rows),
            margin={"l": 92, "r": 18, "t": 94, "b": 50},
            showlegend=True,
            legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.06, "yanchor": "bottom",
                    "font": {"size": TICK_PX}, "itemclick": False, "itemdoubleclick": False},
            shapes=[_barrier(barrier_ms)] if rows else [],
            annotations=[_barrier_words(barrier_ms)] if rows else [],
        ),
        "summary": _summary(rows, barrier_ms),
    }  # fmt: skip


def _span(begin_ms: float, end_ms: float) -> list[float]:
    """From just before the first read to behind the words at the last write."""
    width_ms = max(end_ms - begin_ms, 1.0)
    return [begin_ms - 0.02 * width_ms, end_ms + WORDS_SHARE * width_ms]


def race_rows(operations: Sequence[Any]) -> list[dict[str, Any]]:
    """The same as a table: one row for each person who read and then wrote."""
    reads = {one.who: one for one in operations if one.verb == "get" and one.answered_ms is not None}
    return [
        {
            "who": write.who, "read": reads[write.who].value, "wrote": write.value,
            "read sent (ms)": round(reads[write.who].sent_ms, 1),
            "read answered (ms)": round(reads[write.who].answered_ms, 1),
            "write sent (ms)": round(write.sent_ms, 1), "write answered (ms)": round(write.answered_ms, 1),
        }
        for write in sorted(operations, key=lambda one: _number_of(one.who))
        if write.verb == "put" and write.who in reads and write.answered_ms is not None
    ]  # fmt: skip


def _number_of(who: str) -> tuple[int, str]:
    """ "friend 2" before "friend 10"."""
    digits = "".join(letter for letter in who if letter.isdigit())
    return int(digits or 0), who


def _bars(
    name: str, colour: str, rows: Sequence[dict[str, Any]], ends: tuple[str, str], dash: str | None
) -> dict[str, Any]:
    x: list[float | None] = []
    y: list[float | None] = []
    for place, row in enumerate(rows):
        x += [row[ends[0]], row[ends[1]], None]
        y += [float(place), float(place), None]
    return {
        "type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "hoverinfo": "skip",
        "line": {"color": colour, "width": 2 if dash else 9, "dash": dash or "solid"},
    }  # fmt: skip


def _numbers(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "text", "showlegend": False, "hoverinfo": "skip", "cliponaxis": False,
        "x": [row["write answered (ms)"] for row in rows], "y": list(range(len(rows))),
        "text": [f"  read {row['read']}, wrote {row['wrote']}" for row in rows], "textposition": "middle right",
        "textfont": {"size": TICK_PX, "color": INK},
    }  # fmt: skip


def _barrier(at_ms: float) -> dict[str, Any]:
    return {
        "type": "line", "xref": "x", "yref": "paper", "x0": at_ms, "x1": at_ms, "y0": 0, "y1": 1,
        "line": {"color": INK, "width": 2, "dash": "dash"},
    }  # fmt: skip


def _barrier_words(at_ms: float) -> dict[str, Any]:
    return {
        "text": "▼ here all have read", "x": at_ms, "xref": "x", "y": 1, "yref": "paper", "yanchor": "bottom",
        "xanchor": "center", "showarrow": False, "font": {"size": TEXT_PX, "color": INK, "weight": 600},
    }  # fmt: skip


def _summary(rows: Sequence[dict[str, Any]], barrier_ms: float) -> str:
    if not rows:
        return "0 people have read and written."
    written = sorted({str(row["wrote"]) for row in rows})
    first_ms = min(row["write sent (ms)"] for row in rows)
    return (
        f"{len(rows)} people: the last read was answered at {barrier_ms:.0f} ms, the first write was sent at "
        f"{first_ms:.0f} ms; written were {', '.join(written)}."
    )
