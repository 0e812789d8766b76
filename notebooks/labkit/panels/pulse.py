"""The kernel's pulse: while it beats, panels are alive; when it stops, they say so and take no more clicks.

A kernel that was restarted, shut down or killed cannot tell its panels; they would go on saying "Traffic is running"
and offer buttons that do nothing. So the page counts its own seconds without a beat (pulse.js).
"""

from __future__ import annotations

import functools
from pathlib import Path

import anywidget
import traitlets

BEATS_EVERY_TICKS = 4


class Pulse(anywidget.AnyWidget):
    """Shown inside a panel it watches over that panel. One widget serves all panels of a kernel."""

    _esm = Path(__file__).parent / "pulse.js"

    beat = traitlets.Int(0).tag(sync=True)
    me = traitlets.Unicode().tag(sync=True)

    def __init__(self) -> None:
        """Panels are alive from now on."""
        super().__init__()
        self.me = str(self.model_id)
        self._ticks = 0

    def tick(self) -> None:
        """The lab is at work; call it at every tick."""
        self._ticks += 1
        if self._ticks % BEATS_EVERY_TICKS == 0:
            self.beat += 1


@functools.cache
def pulse() -> Pulse:
    """The one pulse of this kernel."""
    return Pulse()
