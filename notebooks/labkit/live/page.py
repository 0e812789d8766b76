"""The page that can be frozen: nothing on it moves then, so that a class can look at one moment. Measuring goes on.

Whoever draws asks here first. A chart that was to be drawn meanwhile is drawn once, as it is then, when drawing goes
on.
WCAG 2.2, success criterion 2.2.2: what moves by itself can be made to stop.
Must not live here: the button (panels/freeze.py), and what is drawn.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from weakref import WeakKeyDictionary


class Page:
    """Whether the page is frozen, and what waits to be drawn on it."""

    def __init__(self) -> None:
        """Everything moves."""
        self._lock = threading.Lock()
        self._is_frozen = False
        self._waiting: WeakKeyDictionary[object, Callable[[], None]] = WeakKeyDictionary()

    @property
    def is_frozen(self) -> bool:
        """Whether nothing may be drawn."""
        return self._is_frozen

    def holds(self, who: object, draw: Callable[[], None]) -> bool:
        """True: not now; `draw` is called later, unless a newer one of `who` has come by then. False: go on."""
        with self._lock:
            if self._is_frozen:
                self._waiting[who] = draw
            return self._is_frozen

    def freeze(self) -> None:
        """From now on nothing is drawn."""
        with self._lock:
            self._is_frozen = True

    def go_on(self) -> None:
        """Draw what has waited, and go on."""
        with self._lock:
            self._is_frozen = False
            waiting = list(self._waiting.values())
            self._waiting.clear()
        for draw in waiting:
            draw()


@functools.cache
def page() -> Page:
    """The one of this kernel: a page has one Freeze, however many panels it has."""
    return Page()
