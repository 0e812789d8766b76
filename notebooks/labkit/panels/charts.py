"""Live charts in the cockpit: a few in sight, chosen by a menu, and all that anybody looks at kept up to date.

Lives here: which chart stands where, and when one is drawn anew.
Must not live here: how a chart looks (figures), how it travels (live).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets  # type: ignore[import-untyped]

from labkit import figures
from labkit.lab import Lab
from labkit.live.chart import Figure, LiveChart
from labkit.panels.controls import Menu
from labkit.worlds import FIRST

FIGURES: dict[str, Callable[..., Figure]] = {
    "rate": figures.rate_figure,
    "latency": figures.latency_figure,
    "load": figures.load_figure,
    "agreement": figures.agreement_figure,
    "lag": figures.lag_figure,
    "hints": figures.hints_figure,
}
QUESTIONS = {name: str(figure([])["layout"]["title"]["text"]) for name, figure in FIGURES.items()}


class Slot:
    """A place for one chart, with a menu above it that says which."""

    def __init__(self, name: str, chart: Callable[[str], LiveChart], *, place: int) -> None:
        """Show the chart of that name first."""
        self._chart = chart
        self.menu = Menu(
            label=f"chart {place}", options=tuple(QUESTIONS), words=tuple(QUESTIONS.values()), value=name
        )
        self.menu.add_class(f"lab-menu-{place}")
        self.menu.observe(lambda _: self._put(), "value")
        self.widget = ipywidgets.VBox([self.menu, chart(name)])
        self.widget.add_class("lab-slot")

    @property
    def name(self) -> str:
        """Which chart it shows."""
        return str(self.menu.value)

    def _put(self) -> None:
        if self.name in FIGURES:
            self.widget.children = (self.menu, self._chart(self.name))


class Charts:
    """All live charts of one cockpit. The same chart may be shown in several places; it is one widget."""

    def __init__(self, lab: Lab) -> None:
        """None is made before somebody wants to see it."""
        self._lab = lab
        self.large = False
        self.world = FIRST
        self.made: dict[str, LiveChart] = {}
        self._asked_for: set[str] = set()  # by cells: shown somewhere on the page from then on
        self._slots: list[Slot] = []
        self.grid = grid([])
        self.slots_shown = 0

    def chart(self, name: str) -> LiveChart:
        """The live chart of that name; the same one each time."""
        if name not in FIGURES:
            raise ValueError(f"no chart {name!r}; there are {', '.join(FIGURES)}")
        if name not in self.made:
            chart = LiveChart(self._figure(name))
            chart.add_class(f"lab-chart-{name}")
            self.made[name] = chart
        return self.made[name]

    def ask_for(self, name: str) -> LiveChart:
        """The same for a cell, which shows it elsewhere: it is kept up to date from now on."""
        self._asked_for.add(name)
        return self.chart(name)

    def show_slots(self, count: int) -> None:
        """So many charts in the cockpit's own grid; each keeps what its menu says."""
        for place, name in enumerate(list(FIGURES)[len(self._slots) : count], len(self._slots) + 1):
            self._slots.append(Slot(name, self.chart, place=place))
        self.slots_shown = count
        self.grid.children = [slot.widget for slot in self._slots[:count]]

    @property
    def in_sight(self) -> list[str]:
        """The charts that somebody may be looking at."""
        slots = [slot.name for slot in self._slots[: self.slots_shown]]
        return [name for name in self.made if name in self._asked_for or name in slots]

    def draw(self) -> None:
        """Show the newest measurements. Call it from one thread only."""
        for name in self.in_sight:
            self.made[name].show(self._figure(name))

    def _figure(self, name: str) -> Figure:
        history = self._lab.history
        samples = [sample.of(self.world) for sample in history.samples]
        figure = FIGURES[name](samples, history.marks, window_s=history.window_s)
        return figures.enlarged(figure) if self.large else figure


def grid(charts: list[Any]) -> Any:
    """Charts side by side, as many in a row as there is room for."""
    box = ipywidgets.GridBox(charts)
    box.add_class("lab-charts")
    return box
