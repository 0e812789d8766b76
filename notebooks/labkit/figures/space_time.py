"""A space-time diagram of real requests: people above, nodes below, every message as an arrow, to scale.

Lamport's picture ("Time, Clocks, and the Ordering of Events in a Distributed System", CACM 1978), with nothing drawn by
hand: each arrow begins and ends where a node noted it. A late message is a long arrow; one that nobody saw arrive ends
in a cross; a link that was cut is hatched between its two nodes. What a person waits for is a bar on their line.

Pure: operations and traces in, figure out.
Must not live here: joining notes to messages (messages.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from labkit.figures.captions import captions, delays, sentence, summary, told
from labkit.figures.messages import Message, Note, OperationLike, messages_of, notes_of
from labkit.figures.style import (
    FAULT,
    INK,
    MUTED,
    TEXT_PX,
    Figure,
    axis,
    by_node_number,
    layout,
    node_colour,
    node_line,
)

ROW_PX = 58
PEOPLE_GAP = 0.45
"""Between the last person and the first node, in rows."""
TOGETHER_MS = 50.0
"""Cuts of one partition are made one after another, and are one cut to the eye."""
SYMBOLS = {"stored": ("square", "stored on disk"), "kept a hint": ("diamond", "keeps a hint")}


def space_time(
    operations: Sequence[OperationLike],
    traces: Mapping[str, Sequence[Mapping[str, Any]]],
    nodes: Sequence[str],
    wall_ms_at_zero: float,
    cuts: Sequence[Mapping[str, Any]] = (),
) -> Figure:
    """Who waited for whom? traces: {trace_id: [{node, wall_ms, event, peer?}]}. cuts: [{nodes, from_ms, to_ms}].

    {"data", "layout", "summary"}: the summary says in one sentence what the picture shows.
    """
    notes = notes_of(operations, traces, wall_ms_at_zero)
    messages = messages_of(notes, operations)
    names = by_node_number({*nodes, *(note.node for note in notes), *(one.node for one in operations)})
    rows = _rows(list(dict.fromkeys(one.who for one in operations)), names)
    begin_ms, end_ms = _span(operations, messages, notes)
    data = [
        *_lifelines(rows, names, begin_ms, end_ms),
        *_hatches(cuts, rows, end_ms),
        *_arrows(messages, rows, names, end_ms),
        *_marks(notes, rows, names),
        *_waits(operations, rows, end_ms),
    ]
    return {
        "data": data,
        "layout": layout(
            "Who waited for whom?",
            xaxis=axis("ms since the scene began", range=[begin_ms, end_ms], nticks=9),
            yaxis=axis(
                "", range=[min(rows.values()) - 0.5, 0.75], tickvals=list(rows.values()), ticktext=list(rows),
                showgrid=False, tickfont={"size": TEXT_PX},
            ),
            height=122 + ROW_PX * len(rows),
            margin={"l": 92, "r": 18, "t": 78, "b": 50},
            annotations=[
                *captions(operations, rows, (begin_ms, end_ms)),
                *delays(messages, rows, end_ms - begin_ms),
            ],
        ),
        "summary": summary(operations, messages),
    }  # fmt: skip


def space_time_rows(
    operations: Sequence[OperationLike],
    traces: Mapping[str, Sequence[Mapping[str, Any]]],
    nodes: Sequence[str],
    wall_ms_at_zero: float,
    cuts: Sequence[Mapping[str, Any]] = (),
) -> list[dict[str, Any]]:
    """The same as a table: every message and every note, in the order of time."""
    del nodes
    notes = notes_of(operations, traces, wall_ms_at_zero)
    rows = [
        {
            "ms": round(message.sent_ms, 1), "who": message.sender, "what": f"sends {message.what}",
            "with": message.receiver, "arrives at ms": _rounded(message.arrived_ms),
        }
        for message in messages_of(notes, operations)
    ]  # fmt: skip
    rows += [
        {
            "ms": round(note.at_ms, 1),
            "who": note.node,
            "what": note.event,
            "with": note.peer,
            "arrives at ms": None,
        }
        for note in notes
    ]
    rows += [
        {
            "ms": round(float(cut["from_ms"]), 1), "who": cut["nodes"][0], "what": "link cut",
            "with": cut["nodes"][1], "arrives at ms": None,
        }
        for cut in cuts
    ]  # fmt: skip
    return sorted(rows, key=lambda row: float(row["ms"]))


# --- parts of the picture ------------------------------------------------------------------------------------------


def _rows(people: Sequence[str], nodes: Sequence[str]) -> dict[str, float]:
    """Each name's height: people from 0 downward, nodes below a gap."""
    rows = {name: -float(place) for place, name in enumerate(people)}
    below = len(people) - 1 + PEOPLE_GAP
    return rows | {name: -(below + 1 + place) for place, name in enumerate(nodes)}


def _span(
    operations: Sequence[OperationLike], messages: Sequence[Message], notes: Sequence[Note]
) -> tuple[float, float]:
    times = [one.sent_ms for one in operations] + [note.at_ms for note in notes]
    times += [one.answered_ms for one in operations if one.answered_ms is not None]
    times += [message.arrived_ms for message in messages if message.arrived_ms is not None]
    first, last = min(times, default=0.0), max(times, default=100.0)
    margin = max(last - first, 10.0) * 0.04
    return first - margin, last + margin


def _lifelines(
    rows: Mapping[str, float], nodes: Sequence[str], begin_ms: float, end_ms: float
) -> list[dict[str, Any]]:
    data = []
    for name, height in rows.items():
        line = node_line(name, width=2.5) if name in nodes else {"color": MUTED, "width": 1.5}
        data.append(
            {
                "type": "scatter", "mode": "lines", "x": [begin_ms, end_ms], "y": [height, height],
                "line": line, "hoverinfo": "skip", "showlegend": False, "name": name,
            }
        )  # fmt: skip
    return data


def _hatches(
    cuts: Sequence[Mapping[str, Any]], rows: Mapping[str, float], end_ms: float
) -> list[dict[str, Any]]:
    """Hatching where a link was cut, for as long as it was: between two neighbours, or else along both nodes' lines.

    A cut between two nodes that are not neighbours shows between them already if some neighbours there are cut too.
    """
    drawn = [cut for cut in cuts if set(cut["nodes"]) <= rows.keys()]
    below = {node: place for place, node in enumerate(sorted(rows, key=lambda name: -rows[name]))}
    data: list[dict[str, Any]] = []
    for cut in drawn:
        one, other = sorted(cut["nodes"], key=lambda node: below[node])
        if below[other] - below[one] == 1:
            bands = [(rows[one] - 0.12, rows[other] + 0.12)]
        elif any(_lies_within(inner, cut, below) for inner in drawn):
            continue
        else:
            bands = [(rows[one] - 0.08, rows[one] - 0.3), (rows[other] + 0.3, rows[other] + 0.08)]
        begin, end = float(cut["from_ms"]), end_ms if cut.get("to_ms") is None else float(cut["to_ms"])
        for high, low in bands:
            text = f"{one} and {other}: link cut, {begin:.0f} to {end:.0f} ms"
            data.append(_hatched((begin, min(end, end_ms)), (high, low), text, is_first=not data))
    return data


def _lies_within(inner: Mapping[str, Any], cut: Mapping[str, Any], below: Mapping[str, int]) -> bool:
    """Whether `inner` cuts two neighbours between those of `cut`, and for as long."""
    first, last = sorted(below[node] for node in inner["nodes"])
    top, bottom = sorted(below[node] for node in cut["nodes"])
    is_as_long = all(
        abs(float(inner.get(end) or math.inf) - float(cut.get(end) or math.inf)) < TOGETHER_MS
        or inner.get(end) == cut.get(end)
        for end in ("from_ms", "to_ms")
    )
    return last - first == 1 and top <= first and last <= bottom and is_as_long


def _hatched(
    times: tuple[float, float], heights: tuple[float, float], text: str, *, is_first: bool
) -> dict[str, Any]:
    (begin, end), (high, low) = times, heights
    return {
        "type": "scatter", "mode": "lines", "fill": "toself",
        "x": [begin, end, end, begin, begin], "y": [high, high, low, low, high],
        "line": {"color": FAULT, "width": 1, "dash": "dot"}, "fillcolor": "rgba(0,0,0,0)",
        "fillpattern": {"shape": "/", "fgcolor": FAULT, "fgopacity": 0.55, "size": 9, "solidity": 0.12},
        "name": "link cut", "legendgroup": "cut", "showlegend": is_first,
        "hoveron": "fills", "hoverinfo": "text", "text": text,
    }  # fmt: skip


def _arrows(
    messages: Sequence[Message], rows: Mapping[str, float], nodes: Sequence[str], end_ms: float
) -> list[dict[str, Any]]:
    """One trace a sender and kind of line: solid with a head where it arrived, dashed to a cross where it did not."""
    groups: dict[tuple[str, bool], list[Message]] = {}
    for message in messages:
        if message.sender in rows and message.receiver in rows:
            sender = message.sender if message.sender in nodes else "people"
            groups.setdefault((sender, message.arrived_ms is not None), []).append(message)
    data: list[dict[str, Any]] = []
    for (sender, arrived), group in groups.items():
        colour = node_colour(sender) if sender in nodes else INK
        x: list[float | None] = []
        y: list[float | None] = []
        texts: list[str] = []
        for message in group:
            from_y, to_y = rows[message.sender], rows[message.receiver]
            if message.arrived_ms is None:
                to_y = from_y + (to_y - from_y) * 0.55
            to_x = (
                message.sent_ms + (end_ms - message.sent_ms) * 0.03
                if message.arrived_ms is None
                else message.arrived_ms
            )
            x += [message.sent_ms, to_x, None]
            y += [from_y, to_y, None]
            texts += ["", told(message), ""]
        data.append(
            {
                "type": "scatter", "mode": "lines+markers", "x": x, "y": y, "text": texts, "hoverinfo": "text",
                "line": {"color": colour, "width": 2 if arrived else 1.5, "dash": "solid" if arrived else "dash"},
                "marker": {
                    "opacity": 1,
                    "symbol": "arrow" if arrived else "x-thin", "angleref": "previous" if arrived else "up",
                    "size": [0, 13 if arrived else 9, 0] * len(group), "color": colour,
                    "line": {"width": 0 if arrived else 2.5, "color": colour},
                },
                "cliponaxis": False, "name": "not seen to arrive",
                "legendgroup": "unseen", "showlegend": not arrived and not any(one["showlegend"] for one in data),
            }
        )  # fmt: skip
    return data


def _marks(notes: Sequence[Note], rows: Mapping[str, float], nodes: Sequence[str]) -> list[dict[str, Any]]:
    """Every note of every node: a dot, or a symbol of its own for what is kept."""
    kinds: dict[str, list[Note]] = {}
    for note in notes:
        kind = next((kind for kind in SYMBOLS if note.event.startswith(kind)), "")
        kinds.setdefault(kind, []).append(note)
    data = []
    for kind, found in sorted(kinds.items()):
        symbol, name = SYMBOLS.get(kind, ("circle", ""))
        data.append(
            {
                "type": "scatter", "mode": "markers", "x": [note.at_ms for note in found],
                "y": [rows[note.node] for note in found], "hoverinfo": "text",
                "text": [f"{note.node}, {note.at_ms:.1f} ms: {note.event} {note.peer}".strip() for note in found],
                "marker": {
                    "symbol": symbol, "size": 12 if kind else 5,
                    "color": [node_colour(note.node) for note in found],
                    "line": {"width": 1.5 if kind else 0, "color": INK},
                },
                "cliponaxis": False, "name": name, "showlegend": bool(kind),
            }
        )  # fmt: skip
    return data


def _waits(
    operations: Sequence[OperationLike], rows: Mapping[str, float], end_ms: float
) -> list[dict[str, Any]]:
    """What each person waited for: a bar; dashed where no answer came, red and dashed where it is an error."""
    styles = {
        "ok": ("answered", {"color": INK, "width": 9}),
        "refused": ("refused", {"color": FAULT, "width": 9}),
        "unknown": ("outcome unknown", {"color": FAULT, "width": 9, "dash": "5px,4px"}),
    }
    data = []
    for outcome, (name, line) in styles.items():
        x: list[float | None] = []
        y: list[float | None] = []
        texts: list[str] = []
        for one in operations:
            if one.outcome != outcome:
                continue
            end = end_ms if one.answered_ms is None else max(one.answered_ms, one.sent_ms + end_ms * 0.004)
            x += [one.sent_ms, end, None]
            y += [rows[one.who]] * 2 + [None]
            texts += [sentence(one)] * 2 + [""]
        if x:
            data.append(
                {
                    "type": "scatter", "mode": "lines", "x": x, "y": y, "line": line, "name": name,
                    "text": texts, "hoverinfo": "text", "cliponaxis": False, "showlegend": outcome != "ok",
                }
            )  # fmt: skip
    return data


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
