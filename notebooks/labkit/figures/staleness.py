"""How fresh are reads? Measured points with their 95 % intervals, the PBS model beside them, and a guess.

t-visibility of Bailis et al., "Probabilistically Bounded Staleness for Practical Partial Quorums", VLDB 2012, section
3: the share of reads that return a write, by the time since it was acknowledged. The interval is Wilson's, which stays
within 0 and 100 % and is honest for few reads.

Pure: rows in, figure out.
Must not live here: measuring and the model (the traffic service).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from labkit.figures.style import INK, MUTED, TICK_PX, Figure, axis, layout, nice_ceiling

GUESS = "#882255"
Z95 = 1.959964
"""So many standard deviations hold 95 % of a normal distribution."""
STRETCH = 1.08
"""The time axis ends at so many times the latest point, with room for what is written beside it."""
HIGH = 97.0
"""Above that a point's number stands below it: beside it runs the line at 100 %."""


def interval(fresh: int, reads: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, in percent; 0 to 100 without reads."""
    if reads <= 0:
        return 0.0, 100.0
    share, square = fresh / reads, Z95**2
    centre = (share + square / (2 * reads)) / (1 + square / reads)
    half = Z95 / (1 + square / reads) * math.sqrt(share * (1 - share) / reads + square / (4 * reads**2))
    return max(0.0, (centre - half) * 100.0), min(100.0, (centre + half) * 100.0)


def staleness(
    points: Sequence[Mapping[str, Any]],
    model: Mapping[float, float] | None = None,
    guess: Mapping[float, float] | None = None,
    *,
    question: str = "How many reads are fresh?",
) -> Figure:
    """points: t_ms, reads, fresh and waited_ms?, the median of how late the reads really were. model, guess: {t_ms: %}.

    {"data", "layout", "summary"}.
    """
    rows = staleness_rows(points, model, guess)
    measured = [row for row in rows if row["reads"]]
    curves = {"model (PBS)": (model or {}, "dash", MUTED), "your guess": (guess or {}, "dot", GUESS)}
    data = [_curve(name, curve, dash, colour) for name, (curve, dash, colour) in curves.items() if curve]
    data.append(_points(measured))
    latest = max(
        [max(row["t_ms"], row["really_ms"]) for row in rows], default=0.0
    )  # a busy computer reads later
    top = nice_ceiling(latest, least=20) if latest else 100.0
    return {
        "data": data,
        "layout": layout(
            question,
            xaxis=axis(
                "ms from the acknowledgement to the read", range=[-top * 0.02, max(latest * STRETCH, 20.0)]
            ),
            yaxis=axis("% of reads that are fresh", range=[-4, 107], tickvals=[0, 25, 50, 75, 100]),
            height=330,
            showlegend=True,
        ),
        "summary": _summary(measured, rows),
    }


def staleness_rows(
    points: Sequence[Mapping[str, Any]],
    model: Mapping[float, float] | None = None,
    guess: Mapping[float, float] | None = None,
) -> list[dict[str, Any]]:
    """The same as a table: one row a point."""
    known = {float(point["t_ms"]): point for point in points}
    model, guess = _by_float(model), _by_float(guess)
    rows = []
    for t_ms in sorted({*known, *model, *guess}):
        point = known.get(t_ms, {})
        reads, fresh = int(point.get("reads", 0)), int(point.get("fresh", 0))
        low, high = interval(fresh, reads)
        waited_ms = point.get("waited_ms")
        rows.append(
            {
                "t_ms": t_ms, "really_ms": t_ms if waited_ms is None else float(waited_ms),
                "reads": reads, "fresh": fresh,
                "measured_percent": fresh / reads * 100.0 if reads else None,
                "low_percent": low if reads else None, "high_percent": high if reads else None,
                "model_percent": model.get(t_ms), "guess_percent": guess.get(t_ms),
            }
        )  # fmt: skip
    return rows


# --- parts of the picture ------------------------------------------------------------------------------------------


def _by_float(curve: Mapping[float, float] | None) -> dict[float, float]:
    return {float(t_ms): float(percent) for t_ms, percent in (curve or {}).items()}


def _curve(name: str, curve: Mapping[float, float], dash: str, colour: str) -> dict[str, Any]:
    ordered = sorted(_by_float(curve).items())
    return {
        "type": "scatter", "mode": "lines+markers" if dash == "dot" else "lines", "name": name, "cliponaxis": False,
        "x": [t_ms for t_ms, _ in ordered], "y": [percent for _, percent in ordered],
        "line": {"color": colour, "width": 3, "dash": dash},
        "marker": {"symbol": "diamond-open", "size": 11, "color": colour},
        "hovertemplate": "%{y:.1f} % at %{x:.0f} ms<extra>" + name + "</extra>",
    }  # fmt: skip


def _points(measured: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """x: how long after the acknowledgement the reads were really sent, not when they were meant to be."""
    return {
        "type": "scatter", "mode": "markers+text", "name": "measured, 95 % interval", "cliponaxis": False,
        "x": [row["really_ms"] for row in measured], "y": [row["measured_percent"] for row in measured],
        "text": [f"  {row['measured_percent']:.0f} %  " for row in measured],
        "textposition": ["bottom center" if row["measured_percent"] > HIGH else "middle right" for row in measured],
        "textfont": {"size": TICK_PX, "color": MUTED},
        "marker": {"symbol": "circle", "size": 13, "color": INK, "line": {"color": INK, "width": 1.5}},
        "error_y": {
            "type": "data", "symmetric": False, "thickness": 2.5, "width": 7, "color": INK,
            "array": [row["high_percent"] - row["measured_percent"] for row in measured],
            "arrayminus": [row["measured_percent"] - row["low_percent"] for row in measured],
        },
        "customdata": [[row["fresh"], row["reads"]] for row in measured],
        "hovertemplate": "%{customdata[0]} of %{customdata[1]} reads were fresh<extra></extra>",
    }  # fmt: skip


def _summary(measured: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> str:
    if not measured:
        return "Nothing was measured yet."
    parts = [f"{row['measured_percent']:.0f} % at {row['t_ms']:g} ms" for row in measured]
    off = [
        abs(row["model_percent"] - row["measured_percent"])
        for row in measured
        if row["model_percent"] is not None
    ]
    beside = f"; the model is off by at most {max(off):.1f} points" if off else ""
    guesses = [
        row for row in rows if row["guess_percent"] is not None and row["measured_percent"] is not None
    ]
    worst = max(guesses, key=lambda row: abs(row["guess_percent"] - row["measured_percent"]), default=None)
    guessed = f"; your guess at {worst['t_ms']:g} ms was {worst['guess_percent']:.0f} %" if worst else ""
    reads = sum(row["reads"] for row in measured)
    return f"Of {reads} reads fresh: {', '.join(parts)}{beside}{guessed}."
