"""A cell that is run again replaces what it showed: nothing piles up, in the kernel or in the page."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import ipywidgets  # type: ignore[import-untyped]

from labkit.course.cards import Guess
from labkit.course.cells import Cells
from labkit.course.prediction import Prediction
from labkit.course.questions import Choice
from labkit.panels.made import Made


def open_widgets() -> int:
    return len(ipywidgets.widgets.widget._instances)


def box() -> Any:
    return ipywidgets.VBox([ipywidgets.HTML("a"), ipywidgets.HBox([ipywidgets.Text()])])


def test_making_anew_closes_all_parts_of_what_was_there() -> None:
    made = Made()
    made.anew("panel", box)
    before = open_widgets()
    for _ in range(5):
        made.anew("panel", box)
    assert open_widgets() == before
    made.close("panel")
    assert len(made) == 0 and open_widgets() < before


def test_an_error_while_making_leaves_the_hook_as_it_was() -> None:
    made = Made()
    for _ in range(2):
        try:
            made.anew("panel", lambda: 1 / 0)
        except ZeroDivisionError:
            continue
    other = open_widgets()
    box()
    assert len(made) == 0 and open_widgets() > other


def run(cells: Cells, name: str) -> None:
    cells.begins(SimpleNamespace(cell_id=name, raw_cell="x"))


def test_what_is_uncovered_later_belongs_to_the_cell_that_covered_it() -> None:
    made = Made()
    cells = Cells(made)
    guess = Guess(Prediction("p", "?", Choice("a", "b")), here=cells.here)
    listeners = len(guess.prediction._listeners)
    run(cells, "three")
    guess.cover(box)
    run(cells, "four")
    guess.lock("a")  # the box is made now, by a click
    before = open_widgets()
    for _ in range(4):
        run(cells, "three")
        guess.cover(box)
    assert open_widgets() == before
    assert len(guess.prediction._listeners) == listeners + 1


def test_without_an_id_the_cell_is_known_by_its_text() -> None:
    made = Made()
    cells = Cells(made)
    for _ in range(3):
        cells.begins(SimpleNamespace(cell_id=None, raw_cell="show()"))
        cells.here()(box)
    once = len(made)
    cells.begins(SimpleNamespace(cell_id=None, raw_cell="another()"))
    cells.here()(box)
    assert len(made) == 2 * once


def test_outside_of_a_notebook_nothing_is_kept() -> None:
    made = Made()
    Cells(made).here()(box)
    assert len(made) == 0
