"""The words on a space-time diagram, and the sentence that tells it to readers who cannot see it.

Words of one person never lie on each other: they stand above the line or below it, and where there is no room left,
several operations are told as one.
Pure.
Must not live here: lines and symbols (space_time.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from labkit.figures.messages import Message, OperationLike
from labkit.figures.style import FAULT, INK, PAPER, TICK_PX

LATE_SHARE = 0.12
"""A message that takes this share of the picture says how long it took."""
WORD_SHARE, WORD_ROWS = 0.07, 0.45
"""Of the picture's width, and of the room between two rows: what the words at an arrow take."""
LATE_PLACES = (0.62, 0.45, 0.75, 0.3)
"""Where on their way the slowest messages are named: each elsewhere, and where no other name is."""
TOLD_MAX = 4
"""So many operations are told in the summary: the last ones."""


def captions(
    operations: Sequence[OperationLike], rows: Mapping[str, float], span: tuple[float, float]
) -> list[dict[str, Any]]:
    """What each operation was and what came of it: above its bar or below; without room there, with the one before."""
    begin_ms, width = span[0], max(span[1] - span[0], 1.0)
    found: list[dict[str, Any]] = []
    for who, height in rows.items():
        taken = [-math.inf, -math.inf]  # how far words above and below the line reach: shares of the width
        placed: list[tuple[list[OperationLike], int]] = []
        for one in operations:
            if one.who != who:
                continue
            left, right, _ = _extent((one.sent_ms - begin_ms) / width, _caption([one]))
            level = next((level for level in (0, 1) if taken[level] <= left), None)
            if level is not None:
                placed.append(([one], level))
            else:
                group, level = placed[-1]
                group.append(one)
                right = _extent((group[0].sent_ms - begin_ms) / width, _caption(group))[1]
            taken[level] = right
        for group, level in placed:
            anchor = _extent((group[0].sent_ms - begin_ms) / width, _caption(group))[2]
            found.append(_word(group, height, level, anchor))
    return found


def _extent(share: float, text: str) -> tuple[float, float, str]:
    """From where to where words at this place of the picture reach, and by which side they are held."""
    wide = len(text) * 0.0085 + 0.01
    return (share - wide, share + 0.004, "right") if share + wide > 1.0 else (share, share + wide, "left")


def _caption(group: Sequence[OperationLike]) -> str:
    return _short(group[-1]) if len(group) == 1 else f"{len(group)} steps, the last {_short(group[-1])}"


def _word(group: Sequence[OperationLike], height: float, level: int, anchor: str) -> dict[str, Any]:
    one = group[-1]
    return {
        "x": group[0].sent_ms, "y": height, "xref": "x", "yref": "y", "text": _caption(group), "showarrow": False,
        "xanchor": anchor, "yanchor": "bottom" if level == 0 else "top", "yshift": 7 if level == 0 else -7,
        "bgcolor": PAPER, "borderpad": 1, "hovertext": "<br>".join(sentence(each) for each in group),
        "font": {"size": TICK_PX, "color": INK if one.outcome == "ok" else FAULT, "weight": 600},
    }  # fmt: skip


def delays(messages: Sequence[Message], rows: Mapping[str, float], width_ms: float) -> list[dict[str, Any]]:
    """How long the slowest messages took, on their arrows."""
    late = [
        one for one in messages if one.arrived_ms is not None and one.sender in rows and one.receiver in rows
    ]
    late = [
        one
        for one in late
        if _took(one) >= width_ms * LATE_SHARE and one.what in ("the record", "a question")
    ]
    late.sort(key=_took, reverse=True)
    words: list[dict[str, Any]] = []
    for rank, one in enumerate(late[: len(LATE_PLACES)]):
        ways = [_delay(one, rows, part) for part in (*LATE_PLACES[rank:], *LATE_PLACES[:rank])]
        free = next((way for way in ways if not any(_meet(way, other, width_ms) for other in words)), None)
        words += [] if free is None else [free]
    return words


def _delay(one: Message, rows: Mapping[str, float], part: float) -> dict[str, Any]:
    """The time that a message took, at that part of its way."""
    return {
        "x": one.sent_ms + _took(one) * part,
        "y": rows[one.sender] + (rows[one.receiver] - rows[one.sender]) * part,
        "xref": "x", "yref": "y", "text": f"{_took(one):.0f} ms", "showarrow": False, "bgcolor": PAPER,
        "font": {"size": TICK_PX, "color": INK, "weight": 600}, "borderpad": 1,
    }  # fmt: skip


def _meet(one: Mapping[str, Any], other: Mapping[str, Any], width_ms: float) -> bool:
    """Whether two such words would lie on each other."""
    return bool(abs(one["x"] - other["x"]) < WORD_SHARE * width_ms and abs(one["y"] - other["y"]) < WORD_ROWS)


def _short(one: OperationLike) -> str:
    asked = {"put": "writes", "get": "reads", "delete": "deletes", "increment": "adds", "count": "reads"}[
        one.verb
    ]
    if one.verb == "increment" and getattr(one, "options", {}).get("actor") is not None:
        asked = "says total"  # of an actor: sent again it adds nothing
    if one.outcome == "unknown":
        return f"{asked}{_shown_if_written(one)}: {one.status or 'no answer'}, unknown"
    if one.outcome == "refused":
        return f"{asked}{_shown_if_written(one)}: {one.status or 'no'}, refused"
    return f"{asked}{_shown_if_written(one)}" if _writes(one) else f"sees {_shown(one.value)}"


def _writes(one: OperationLike) -> bool:
    return one.verb in ("put", "delete", "increment")


def _shown_if_written(one: OperationLike) -> str:
    return f" {_shown(one.value)}" if one.verb in ("put", "increment") else ""


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " | ".join(_shown(one) for one in value) or "nothing"
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 24 else text[:23] + "…"


def sentence(one: OperationLike) -> str:
    """One operation in words."""
    ended = (
        "never answered"
        if one.answered_ms is None
        else f"answered after {one.answered_ms - one.sent_ms:.0f} ms"
    )
    return f"{one.who}, {one.sent_ms:.0f} ms, through {one.node}: {_short(one)}; {ended}"


def told(message: Message) -> str:
    """One message in words."""
    way = f"{message.sender} → {message.receiver}: {message.what}"
    if message.arrived_ms is None:
        return f"{way}, sent at {message.sent_ms:.1f} ms, not seen to arrive"
    return f"{way}, {message.sent_ms:.1f} to {message.arrived_ms:.1f} ms"


def _took(message: Message) -> float:
    return (message.arrived_ms or message.sent_ms) - message.sent_ms


def summary(operations: Sequence[OperationLike], messages: Sequence[Message]) -> str:
    """What the picture shows, in one sentence."""
    if not operations:
        return "Nothing has happened yet."
    people = {one.who for one in operations}
    between = [one for one in messages if not {one.sender, one.receiver} & people]
    lost = sum(one.arrived_ms is None for one in between)
    parts = [sentence(one) for one in operations[-TOLD_MAX:]]
    if len(operations) > TOLD_MAX:
        parts[0] = f"after {len(operations) - TOLD_MAX} other operations: {parts[0]}"
    slowest = max((_took(one) for one in between), default=math.nan)
    travel = (
        f"{len(between)} messages between nodes, the slowest took {slowest:.0f} ms"
        if between
        else "no messages"
    )
    unseen = f", {lost} not seen to arrive" if lost else ""
    return f"{'; '.join(parts)}; {travel}{unseen}."
