"""The same figure for the back of a room: every text at least 20 px, every line at least 3 px.

Lives here: one pure function from figure to figure.
Must not live here: which figures there are, who wants them large.
"""

from __future__ import annotations

from typing import Any

from labkit.figures.style import Figure

TEXT_PX_MIN = 20
LINE_PX_MIN = 3
TEXT_SCALE = 1.35
LINE_SCALE = 1.4
SPACE_SCALE = 1.25
TICKS_MAX = 4


def enlarged(figure: Figure) -> Figure:
    """A copy with larger text, thicker lines, and margins for them, as high as before: a projector is no higher than
    a laptop, and two charts must still stand below the controls."""
    layout = _enlarged(figure["layout"])
    layout["margin"] = {side: round(space * SPACE_SCALE) for side, space in layout["margin"].items()}
    if "nticks" in layout["yaxis"]:
        layout["yaxis"]["nticks"] = TICKS_MAX
    return {**figure, "data": _enlarged(figure["data"]), "layout": layout}


def _enlarged(part: Any, name: str = "") -> Any:
    if isinstance(part, dict):
        return {key: _size(name, key, value) for key, value in part.items()}
    if isinstance(part, list):
        return [_enlarged(one, name) for one in part]
    return part


def _size(parent: str, key: str, value: Any) -> Any:
    """Sizes of fonts (`…font.size`) and widths of lines (`line.width`) grow; a width of 0 means no line at all."""
    if key == "size" and parent.endswith("font"):
        return max(round(value * TEXT_SCALE), TEXT_PX_MIN)
    if key == "width" and parent == "line" and value:
        if isinstance(value, list):
            return [max(one * LINE_SCALE, LINE_PX_MIN) if one else one for one in value]
        return max(value * LINE_SCALE, LINE_PX_MIN)
    return _enlarged(value, key)
