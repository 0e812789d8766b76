"""Freeze: one button that lets the page stand still, and go on. The database, the traffic and the measuring go on.

Must not live here: what asks before it draws (live/page.py).
"""

from __future__ import annotations

import time

import ipywidgets  # type: ignore[import-untyped]

from labkit.live.page import page
from labkit.panels.controls import Button
from labkit.panels.style import panel_parts

FREEZE, GO_ON = "Freeze", "Go on"


class Freeze(ipywidgets.VBox):  # type: ignore[misc]
    """The button, and a line that says since when nothing moves."""

    def __init__(self) -> None:
        """Show how it is now: another Freeze may have been pressed."""
        self.button = Button(
            icon="pause", hint="let the charts stand still; measuring goes on", subject="the page"
        )
        self.button.add_class("lab-freeze")
        self._said = ipywidgets.HTML()
        super().__init__([*panel_parts(), ipywidgets.HBox([self.button, self._said])])
        self.add_class("lab-panel")
        self.button.on_click(self.press)
        self._show()

    def press(self) -> None:
        """Freeze the page, or let it go on."""
        if page().is_frozen:
            page().go_on()
        else:
            page().freeze()
        self._show()

    def close(self) -> None:
        """The panel goes; a page must not stay frozen without a button that ends it."""
        page().go_on()
        super().close()

    def _show(self) -> None:
        is_frozen = page().is_frozen
        self.button.description = GO_ON if is_frozen else FREEZE
        self.button.icon = "play" if is_frozen else "pause"
        text = (
            f"❚❚ Nothing moves since {time.strftime('%H:%M:%S')}; measuring goes on."
            if is_frozen
            else "▶ Live."
        )
        self._said.value = f'<span class="lab-said" role="status">{text}</span>'
