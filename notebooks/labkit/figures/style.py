"""The one visual language of all notebooks: a node's colour and dash, text sizes, axes.

Colours are Okabe and Ito's, which people with any common colour vision can tell apart; their orange is darkened,
so that everything drawn has a contrast of 3:1 or more on white (WCAG 2.1, 1.4.11). A dash is the second cue.
Figures are written in the colours of a light page; DARK_FOR_LIGHT says what becomes of each in the dark.
Sizes are chosen for the last row of a classroom.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

NODE_COLOURS = (
    "#0072B2", "#C77F00", "#009E73", "#CC79A7", "#D55E00", "#882255", "#8A8A2B", "#7F7F7F", "#332288",
)  # fmt: skip
NODE_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "5px,2px", "2px,4px", "12px,3px")

INK = "#1f2933"
MUTED = "#5f6b7a"
GRID = "#dfe3e8"
PAPER = "rgba(255,255,255,0.8)"
FAULT = "#b42318"
WORK_TINTS = ("#8496a9", "#56697e", "#26323f")
DARK_FOR_LIGHT = {
    INK: "#e8eaed",
    MUTED: "#a9b2bd",
    GRID: "#3c434c",
    PAPER: "rgba(17,17,17,0.8)",
    FAULT: "#ff8a7a",
    "#0072B2": "#56B4E9",
    "#C77F00": "#E69F00",
    "#009E73": "#1FC79A",
    "#882255": "#E07BB0",
    "#332288": "#B3A6E8",
    WORK_TINTS[0]: "#5d6d80",
    WORK_TINTS[1]: "#8fa1b5",
    WORK_TINTS[2]: "#d5dee8",
}

TITLE_PX, TEXT_PX, TICK_PX = 18, 15, 14
HEIGHT_PX = 270
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"

Figure = dict[str, Any]


def node_number(name: str) -> int:
    """1 for "node-1"; 1 for a name without a number."""
    found = re.search(r"(\d+)$", name)
    return max(1, int(found.group(1))) if found else 1


def node_colour(name: str) -> str:
    """The colour that a node has in every chart of every notebook."""
    return NODE_COLOURS[(node_number(name) - 1) % len(NODE_COLOURS)]


def node_dash(name: str) -> str:
    """The dash that tells a node's line apart without its colour."""
    return NODE_DASHES[(node_number(name) - 1) % len(NODE_DASHES)]


def by_node_number(names: Iterable[str]) -> list[str]:
    """node-1, node-2, …, node-10 in the order of their numbers."""
    return sorted(names, key=lambda name: (node_number(name), name))


def node_line(name: str, *, width: float = 3.0) -> dict[str, Any]:
    """Plotly's `line` of a node's trace."""
    return {"color": node_colour(name), "dash": node_dash(name), "width": width}


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis in the house style; its title names the unit."""
    return {
        "title": {"text": title, "font": {"size": TEXT_PX}, "standoff": 8},
        "tickfont": {"size": TICK_PX},
        "color": INK,
        "gridcolor": GRID,
        "linecolor": GRID,
        "zeroline": False,
        "fixedrange": True,
        **more,
    }


def layout(question: str, *, xaxis: dict[str, Any], yaxis: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The layout that all figures share; the title states the question that the chart answers."""
    return {
        "title": {
            "text": question,
            "font": {"size": TITLE_PX, "color": INK, "weight": 600},
            "x": 0.01,
            "xanchor": "left",
            "y": 0.97,
            "yanchor": "top",
        },
        "font": {"family": FONT, "size": TEXT_PX, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "height": HEIGHT_PX,
        "margin": {"l": 76, "r": 18, "t": 62, "b": 46},
        "legend": {
            "orientation": "h", "x": 0, "xanchor": "left", "y": 1.0, "yanchor": "bottom",
            "font": {"size": TICK_PX}, "entrywidth": 0, "itemclick": False, "itemdoubleclick": False,
        },
        "hovermode": "closest",
        "xaxis": xaxis,
        "yaxis": yaxis,
        **more,
    }  # fmt: skip


def nice_ceiling(highest: float, *, least: float) -> float:
    """The next 1, 2, 3, 5 or 8 times a power of ten with a little air: an axis end that rarely moves."""
    wanted = max(least, highest * 1.1 if math.isfinite(highest) else least)
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(step * power for step in (1, 2, 3, 5, 8, 10) if step * power >= wanted * 0.999)
