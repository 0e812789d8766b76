"""The kernel's pulse: while it beats, panels are alive; when it stops, they say so and take no more clicks.

A kernel that was restarted, shut down or killed cannot tell its panels; they would go on saying "Traffic is running"
and offer buttons that do nothing. So the page counts its own seconds without a beat (pulse.js).
"""

from __future__ import annotations

import functools
from pathlib import Path

import anywidget
import traitlets

BEAT_EVERY_S = 1.0


class Pulse(anywidget.AnyWidget):
    """Shown inside a panel it watches over that panel. One widget serves all panels of a kernel."""

    _esm = Path(__file__).parent / "pulse.js"

    beat = traitlets.Int(0).tag(sync=True)
    me = traitlets.Unicode().tag(sync=True)

    def __init__(self) -> None:
        """Panels are alive from now on."""
        super().__init__()
        self.me = str(self.model_id)

    def tick(self) -> None:
        """The lab is at work; call it every BEAT_EVERY_S, whatever else is waited for."""
        self.beat += 1


@functools.cache
def pulse() -> Pulse:
    """The one pulse of this kernel."""
    return Pulse()
