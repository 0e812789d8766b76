"""How the panels' own HTML looks, in JupyterLab's light and dark theme alike.

Colours come from JupyterLab's CSS variables with a fallback for other front ends; a state is always told by a
word and a symbol, never by colour alone.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import ipywidgets  # type: ignore[import-untyped]

from labkit.figures.style import DARK_FOR_LIGHT, NODE_COLOURS, node_colour, node_dash
from labkit.panels.pulse import pulse


def _dark_node_colours() -> str:
    dark = [f"--lab-{light[1:]}: {dark};" for light, dark in DARK_FOR_LIGHT.items() if light in NODE_COLOURS]
    return f'body[data-jp-theme-light="false"] .lab-panel {{ {" ".join(dark)} }}'


_SHEET = (Path(__file__).parent / "panels.css").read_text(encoding="utf-8")
CSS = f"<style>{_SHEET}{_dark_node_colours()}</style>"
CARDS_CSS = f"<style>{(Path(__file__).parent / 'cards.css').read_text(encoding='utf-8')}</style>"


def panel_parts() -> list[Any]:
    """What every panel begins with: its style, and the pulse that says when its kernel has ended."""
    return [ipywidgets.HTML(CSS, layout={"display": "none"}), pulse()]


def card_parts() -> list[Any]:
    """What every card and picture begins with: what a panel does, and the look of cards."""
    return [*panel_parts(), ipywidgets.HTML(CARDS_CSS, layout={"display": "none"})]


def status_html(text: str, failed: bool) -> str:
    """The status line; a failure says so in words."""
    kind, sign = ("lab-bad", "✗ failed: ") if failed else ("lab-good", "")
    return f'<div class="lab-status" role="status"><span class="{kind}">{sign}{escape(text)}</span></div>'


# state -> (symbol, word, class)
LIGHTS = {
    "running": ("●", "running", "lab-good"),
    "paused": ("❚❚", "paused", "lab-warn"),
    "starting": ("◌", "starting", "lab-warn"),
    "joining": ("◌", "joining", "lab-warn"),
    "dead": ("✕", "dead", "lab-bad"),
    "failed": ("!", "failed", "lab-bad"),
}


def light(state: str, *, cut_off: bool = False) -> str:
    """A state as symbol and word in a pill."""
    symbol, word, kind = LIGHTS.get(state, ("?", state, "lab-warn"))
    if cut_off and state == "running":
        symbol, word, kind = "⚡", "cut off", "lab-warn"
    return f'<span class="lab-pill {kind}">{symbol} {escape(word)}</span>'


def swatch(node: str) -> str:
    """A node's colour and dash as its lines have them in the charts."""
    dashes = {"solid": "", "dash": "9 5", "dot": "3 4", "dashdot": "9 4 3 4", "longdash": "14 5"}
    pattern = dashes.get(node_dash(node), "5 3 2 3")
    colour = node_colour(node)
    return (
        f'<svg width="34" height="12" aria-hidden="true"><line x1="0" y1="6" x2="34" y2="6" '
        f'style="stroke: var(--lab-{colour[1:]}, {colour})" stroke-width="5" '
        f'stroke-dasharray="{pattern}"/></svg>'
    )


def count(value: float) -> str:
    """A whole number with thin spaces; a dash when nothing was measured."""
    return f"{value:,.0f}".replace(",", " ") if value == value else "–"
