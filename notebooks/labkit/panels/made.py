"""Widgets by what made them: a panel of a name, or a cell. Making anew closes what was made before.

A widget that nobody sees any more lives on, in the kernel and in the page, until somebody closes it, and so does each
of its parts: a cell that is run twenty times would leave twenty.
Must not live here: what is made, and which cell is running (course/cells.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import ipywidgets  # type: ignore[import-untyped]

from labkit.live.chart import plotly_script
from labkit.panels.pulse import pulse

T = TypeVar("T")


class Made:
    """What was made, by name. Invariant: widgets that all panels share are in no list."""

    def __init__(self) -> None:
        plotly_script()
        pulse()
        self._widgets: dict[str, list[Any]] = {}
        self._lock = threading.RLock()

    def anew(self, name: str, make: Callable[[], T]) -> T:
        """Make it; what was made under this name before is closed first, with all its parts."""
        self.close(name)
        return self.add(name, make)

    def add(self, name: str, make: Callable[[], T]) -> T:
        """Make it, beside what was made under this name already."""
        with self._lock:
            known = self._widgets.setdefault(name, [])
            thread, before = threading.get_ident(), ipywidgets.Widget._widget_construction_callback

            def note(widget: Any) -> None:
                if threading.get_ident() == thread:
                    known.append(widget)

            ipywidgets.Widget.on_widget_constructed(note)
            try:
                return make()
            finally:
                ipywidgets.Widget.on_widget_constructed(before)

    def close(self, name: str) -> None:
        """Close all that was made under this name."""
        with self._lock:
            widgets = self._widgets.pop(name, [])
        for widget in reversed(widgets):
            widget.close()

    def __len__(self) -> int:
        """How many widgets are open."""
        return sum(len(widgets) for widgets in self._widgets.values())
