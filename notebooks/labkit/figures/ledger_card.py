"""The ledger's verdict as a card: what was acknowledged, what of it is lost, and what was guessed beforehand.

Pure: the answer of POST /api/real/traffic/check in, figure out.
Must not live here: judging (kvnode.checkers).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from labkit.figures.style import FAULT, INK, MUTED, TEXT_PX, Figure, axis, layout

SIGNS = {"ok": "✓ ok", "violated": "✗ violated", "at risk": "! at risk", "unknown": "? unknown"}
TILES = {
    "acknowledged": "acknowledged writes",
    "lost": "lost",
    "at_risk": "at risk",
    "counters_wrong": "counters wrong",
    "longest_gap_s": "longest gap, s",
}
NUMBER_PX = 34
NUMBER_CHARACTERS = 2.3  # a figure of a large number is as wide as so many letters below it


def ledger_card(verdict: Mapping[str, Any], guess: Mapping[str, float] | None = None) -> Figure:
    """Was anything lost? guess: what was predicted, by the names of the verdict's numbers, such as {"lost": 3}.

    {"data", "layout", "summary"}.
    """
    rows = ledger_card_rows(verdict, guess)
    status = SIGNS.get(str(verdict.get("status")), f"? {verdict.get('status')}")
    words = []
    for left, row in zip(_lefts(rows), rows, strict=True):
        is_bad = row["name"] in ("lost", "counters_wrong") and bool(row["measured"])
        words.append(_text(left, 0.86, _number(row["measured"]), NUMBER_PX, FAULT if is_bad else INK))
        words.append(_text(left, 0.36, row["what"], TEXT_PX, MUTED))
        if row["guessed"] is not None:
            off = (
                "as you guessed"
                if row["guessed"] == row["measured"]
                else f"your guess: {_number(row['guessed'])}"
            )
            words.append(_text(left, 0.12, off, TEXT_PX, INK))
    return {
        "data": [{"type": "scatter", "x": [None], "y": [None], "hoverinfo": "skip", "showlegend": False}],
        "layout": layout(
            f"{status}: was anything that was acknowledged lost?",
            xaxis=axis("", visible=False),
            yaxis=axis("", visible=False),
            height=170,
            margin={"l": 18, "r": 18, "t": 48, "b": 8},
            annotations=words,
        ),
        "summary": _summary(verdict, rows),
    }


def ledger_card_rows(
    verdict: Mapping[str, Any], guess: Mapping[str, float] | None = None
) -> list[dict[str, Any]]:
    """The same as a table: what was measured beside what was guessed."""
    guess = guess or {}
    facts = {**(verdict.get("facts") or {}), **verdict}
    return [
        {"name": name, "what": what, "measured": float(facts[name]), "guessed": guess.get(name)}
        for name, what in TILES.items()
        if isinstance(facts.get(name), int | float)
    ]


def _lefts(rows: list[dict[str, Any]]) -> list[float]:
    """Where each tile begins, from 0 to 1: a tile is as wide as its words."""
    widths = [max(len(row["what"]), NUMBER_CHARACTERS * len(_number(row["measured"]))) + 4 for row in rows]
    return [sum(widths[:place]) / sum(widths) for place in range(len(widths))]


def _text(x: float, y: float, text: str, size: int, colour: str) -> dict[str, Any]:
    return {
        "text": text, "xref": "paper", "yref": "paper", "x": x, "y": y, "xanchor": "left", "yanchor": "middle",
        "showarrow": False, "align": "left", "font": {"size": size, "color": colour, "weight": 600},
    }  # fmt: skip


def _number(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:,.0f}".replace(",", " ") if value == int(value) else f"{value:.2f}"


def _summary(verdict: Mapping[str, Any], rows: list[dict[str, Any]]) -> str:
    known = {row["name"]: row for row in rows}
    said = str(verdict.get("status", "unknown"))
    parts = [f"{_number(row['measured'])} {row['what']}" for row in rows]
    lost = known.get("lost")
    guessed = (
        f"; guessed were {_number(lost['guessed'])} lost" if lost and lost["guessed"] is not None else ""
    )
    return f"Verdict {said}: {', '.join(parts) or 'no numbers'}{guessed}."
