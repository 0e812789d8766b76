"""Which cell is running, so that what it shows replaces what it showed before.

Must not live here: closing widgets (labkit/panels/made.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from IPython.core.getipython import get_ipython

from labkit.panels.made import Made

T = TypeVar("T")


class Cells:
    """Tells of every widget in which cell it was made; outside of a notebook of none."""

    def __init__(self, made: Made) -> None:
        self._made = made
        self._cell = ""
        shell = get_ipython()
        if shell is not None:
            shell.events.register("pre_run_cell", self.begins)

    def begins(self, info: Any) -> None:
        """A cell begins: what it made the last time is not shown any more."""
        self._cell = f"cell {getattr(info, 'cell_id', None) or info.raw_cell}"
        self._made.close(self._cell)

    def here(self) -> Callable[[Callable[[], T]], T]:
        """A function that makes something for the cell that is running now, also later, when it is clicked."""
        cell = self._cell
        if not cell:
            return lambda make: make()
        return lambda make: self._made.add(cell, make)
