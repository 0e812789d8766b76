"""The cockpit: everything a teacher turns, presses and points at, in one panel.

Lives here: how lights, controls, counters and charts stand together, and what a tick refreshes.
Must not live here: how a fault is done (the lab), how a chart looks (figures), how a click travels (controls).

It is made for a laptop: at 1280 × 800, JupyterLab's own bars included, the lights of three nodes, all controls and two
charts are in sight together. For the back of a room there is `large` (text of at least 20 px, lines of at least 3 px):
`session.cockpit(large=True)`, QUORUM_LAB_LARGE=1 before the notebook starts, the switch in the panel, or
`cockpit.large = True` at any time.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets  # type: ignore[import-untyped]
import traitlets

from labkit.lab import Lab
from labkit.live.chart import LiveChart
from labkit.panels.buttons import CommandButton, Setting
from labkit.panels.charts import Charts, grid
from labkit.panels.controls import Choice, Slider
from labkit.panels.nodes import NodeRow
from labkit.panels.style import count, panel_parts, status_html
from labkit.samples import Sample
from labkit.worlds import COUNTERS, FIRST, SHORT, mistake_words

# Lights and counters change at every tick, charts at every second one, and at once when a setting did.
TICKS_PER_DRAWING = 2
RATE_MAX = 500
DELAY_MAX_MS = 300
SLOTS = (2, 4, 6)
Here = Callable[[], Callable[[Callable[[], Any]], Any]]
TEXT_SIZES = ("normal", "large")
NAMES = {short: name for name, short in SHORT.items()}


def head_html(summary: str, sample: Sample | None) -> str:
    """Whether traffic runs: a red light that blinks, and words; what was attached or started, on asking."""
    running = sample is not None and (sample.running or any(load.running for load in sample.worlds.values()))
    words = "Traffic is running" if running else "Traffic is stopped"
    return (
        f'<div class="lab-head" title="{escape(summary)}"><span class="lab-dot{" on" if running else ""}"></span>'
        f"{words}</div>"
    )


def worlds_html(sample: Sample | None) -> str:
    """Each world in a few words: how busy it is, and the known mistake that is switched on."""
    parts = []
    for name, short in SHORT.items():
        load = sample.worlds.get(name) if sample else None
        running = load is not None and load.running
        rate = f"{load.achieved_rate:.0f} op/s" if load is not None and running else "at rest"
        mistake = mistake_words(name, load.mistake) if load is not None else ""
        wrong = f' <span class="lab-warn">! {escape(mistake)}</span>' if mistake else ""
        sign = "●" if running else "○"
        parts.append(f"<span>{sign} {short} <b>{rate}</b>{wrong}</span>")
    return f'<div class="lab-worlds-now">{"".join(parts)}</div>'


def tiles_html(sample: Sample | None, world: str = FIRST) -> str:
    """The real counters of one world, as large numbers."""
    nan = float("nan")
    load = sample.worlds.get(world) if sample else None
    counted = [
        (word, nan if load is None else (load.counts if source == "kind" else load.world).get(name, nan))
        for word, source, name in COUNTERS[world]
    ]
    rows = [
        ("op/s", load.achieved_rate if load else nan), *counted, ("failed", load.errors_total if load else nan)
    ]  # fmt: skip
    tiles = [f'<div class="lab-tile"><b>{count(value)}</b><span>{name}</span></div>' for name, value in rows]
    gap = load.longest_gap_s if load else nan
    shown = f"{gap:.2f} s" if gap == gap else "–"
    tiles.append(f'<div class="lab-tile"><b>{shown}</b><span>longest gap</span></div>')
    return f'<div class="lab-tiles">{"".join(tiles)}</div>'


class Cockpit(ipywidgets.VBox):  # type: ignore[misc]
    """Lights, buttons, sliders, counters and live charts of one lab."""

    large = traitlets.Bool(False)

    def __init__(
        self, lab: Lab, *, charts: bool = True, large: bool = False, here: Here | None = None
    ) -> None:
        """Build it and keep it up to date with every tick of the lab.

        here: gives what makes a widget for the cell that is running, so that running it again leaves no second one.
        """
        self.lab = lab
        self._here: Here = here or (lambda: lambda make: make())
        self.refresh_count = 0
        self._charts = Charts(lab)
        self._boxes: weakref.WeakSet[Any] = weakref.WeakSet()  # what `show` gave out
        self._drawn: object = None  # the settings and marks at the last drawing
        sample = lab.history.latest
        self._head = ipywidgets.HTML(head_html(lab.summary, sample))
        self._tiles = ipywidgets.HTML(tiles_html(sample, lab.chosen_world))
        self._tiles.add_class("lab-counters")
        self._worlds = ipywidgets.HTML(worlds_html(sample))
        self.world = Choice(
            options=tuple(SHORT.values()), value=SHORT[lab.chosen_world], label="world",
            hint="whose counters, charts and controls are shown",
        )  # fmt: skip
        self.world.add_class("lab-world")
        self.world.observe(lambda change: self._choose(NAMES[str(change["new"])]), "value")
        self._status = ipywidgets.HTML(status_html(*lab.status()))
        self._status.add_class("lab-status-line")
        self.rows = {facts.name: NodeRow(lab, facts) for facts in lab.nodes()}
        self._rows = ipywidgets.VBox([row.widget for row in self.rows.values()])
        self._rows.add_class("lab-rows")
        self._make_settings()
        self._make_buttons()
        self._make_view(charts=charts)
        if charts:
            self._charts.show_slots(SLOTS[0])
        super().__init__(
            [
                *panel_parts(),
                _row(self._head, self._status, self.view, css_class="lab-top"),
                self._tiles,
                _row(self.world, self._worlds, css_class="lab-worlds"),
                self._rows,
                _row(self.rate.widget, self.r.widget, self.w.widget, css_class="lab-controls"),
                _row(
                    self.delay.widget, self.start, self.stop, self.heal, self.reset, css_class="lab-controls"
                ),
                self._charts.grid,
            ]
        )
        self.add_class("lab-panel")
        self.add_class("lab-cockpit")
        self.large = large
        lab.subscribe(self.refresh)

    @property
    def charts(self) -> dict[str, LiveChart]:
        """The live charts that were made so far, by name."""
        return self._charts.made

    def chart(self, name: str) -> LiveChart:
        """The live chart of that name; the same one each time, it may be shown in several places."""
        return self._charts.ask_for(name)

    def show(self, *names: str) -> Any:
        """Some of the live charts once more, side by side, to have them near the cell that needs them."""
        charts = [self.chart(name) for name in names]  # the cockpit's own: they outlive the cell
        box = self._here()(lambda: ipywidgets.VBox([*panel_parts(), grid(charts)]))
        box.add_class("lab-panel")
        if self.large:
            box.add_class("lab-large")
        self._boxes.add(box)
        return box

    def refresh(self) -> None:
        """Show what the last tick brought; called on the ticker's thread."""
        sample, world = self.lab.history.latest, self.lab.chosen_world
        if self.world.value != SHORT[world]:  # a reset has gone back to the first one
            self.world.value = SHORT[world]
        self._put(self._head, head_html(self.lab.summary, sample))
        self._put(self._tiles, tiles_html(sample, world))
        self._put(self._worlds, worlds_html(sample))
        self._put(self._status, status_html(*self.lab.status()))
        self._refresh_rows()
        if sample is not None:
            running = sample.of(world).running
            self.start.allow(not running)
            self.stop.allow(running)
        settings = self.lab.settings()
        for name, setting in (("rate", self.rate), ("r", self.r), ("w", self.w), ("delay_ms", self.delay)):
            if name in settings:
                setting.follow(int(settings[name]))
        news = (dict(settings), self.lab.history.marks)
        if self.refresh_count % TICKS_PER_DRAWING == 0 or news != self._drawn:
            self._charts.draw()
            self._drawn = news
        self.refresh_count += 1

    def _refresh_rows(self) -> None:
        """A row for each node that there is: also for one that has joined, and for none that has left."""
        facts = {one.name: one for one in self.lab.nodes()}
        if facts and facts.keys() != self.rows.keys():
            gone = [row for name, row in self.rows.items() if name not in facts]
            self.rows = {name: self.rows.get(name) or NodeRow(self.lab, one) for name, one in facts.items()}
            self._rows.children = [row.widget for row in self.rows.values()]
            for row in gone:
                row.close()
        for name, row in self.rows.items():
            if name in facts:
                row.refresh(facts[name])

    def _choose(self, world: str) -> None:
        """Show another world; nothing happens to any of them."""
        self.lab.choose(world)
        self._charts.world = world
        self._drawn = None
        for name, setting in (("rate", self.rate), ("r", self.r), ("w", self.w)):
            if name in self.lab.settings():
                setting.follow(int(self.lab.settings()[name]))
        self.world.told = f"now {SHORT[world]}"
        self._put(self._tiles, tiles_html(self.lab.history.latest, world))

    @traitlets.observe("large")
    def _resize(self, _change: Any) -> None:
        for panel in (self, *self._boxes):
            (panel.add_class if self.large else panel.remove_class)("lab-large")
        self._charts.large = self.large
        self._drawn = None  # the next tick draws
        self.text_size.value = TEXT_SIZES[self.large]

    def _make_settings(self) -> None:
        lab, settings, most = self.lab, self.lab.settings(), self.lab.replicas

        def slider(label: str, value: float, *, high: int, step: int, hint: str) -> Slider:
            return Slider(value=int(value), max=max(high, int(value)), step=step, label=label, hint=hint)

        def quorum(label: str, value: float, hint: str) -> Choice:
            return Choice(
                options=tuple(range(1, most + 1)), value=min(int(value), most), label=label, hint=hint
            )

        rate = slider(
            "operations/s", settings.get("rate", 50), high=RATE_MAX, step=10, hint="what users ask for"
        )
        self.rate = Setting(lab, rate, "setting {value} operations/s", lab.set_rate, "lab-rate")
        delay = slider(
            "delay, ms", settings.get("delay_ms", 0), high=DELAY_MAX_MS, step=5,
            hint="how much longer every message between nodes takes, one way",
        )  # fmt: skip
        self.delay = Setting(lab, delay, "delaying every link by {value} ms", lab.delay, "lab-delay")
        least = min(2, most)
        self.r = Setting(
            lab, quorum("R (read)", settings.get("r", least), "replicas that a read waits for"),
            "reading from R={value}", lambda value: lab.set_quorum(r=value), "lab-r",
        )  # fmt: skip
        self.w = Setting(
            lab, quorum("W (write)", settings.get("w", least), "replicas that a write waits for"),
            "writing to W={value}", lambda value: lab.set_quorum(w=value), "lab-w",
        )  # fmt: skip

    def _make_buttons(self) -> None:
        lab = self.lab
        self.start = CommandButton(
            lab, "Start", "starting traffic", lab.start_traffic,
            css_class="lab-start", subject="traffic", hint="the people of the chosen world begin", icon="play",
        )  # fmt: skip
        self.stop = CommandButton(
            lab, "Stop", "stopping traffic", lab.stop_traffic,
            css_class="lab-stop", subject="traffic", icon="stop",
            hint="the people of the chosen world rest; their data stays",
        )  # fmt: skip
        self.heal = CommandButton(
            lab, "Heal network", "healing the network", lab.heal,
            css_class="lab-heal", hint="take back every cut, delay and loss", icon="medkit",
        )  # fmt: skip
        self.reset = CommandButton(
            lab, "Reset for next class", "resetting for the next class", lab.reset,
            css_class="lab-reset", icon="refresh",
            hint="all nodes up, no faults, standard traffic, empty charts, a new ledger",
        )  # fmt: skip

    def _make_view(self, *, charts: bool) -> None:
        """What to see, not what to do: nothing of it reaches the cluster."""
        self.slots = Choice(options=SLOTS, value=SLOTS[0], label="charts", hint="how many are in sight")
        self.slots.add_class("lab-slots")
        self.slots.observe(lambda change: self._charts.show_slots(int(change["new"])), "value")
        self.text_size = Choice(
            options=TEXT_SIZES, value=TEXT_SIZES[0], label="text", hint="for the last row"
        )
        self.text_size.add_class("lab-text-size")
        self.text_size.observe(lambda change: setattr(self, "large", change["new"] == TEXT_SIZES[1]), "value")
        self.view = _row(*([self.slots] if charts else []), self.text_size, css_class="lab-view")

    @staticmethod
    def _put(widget: Any, html: str) -> None:
        if widget.value != html:
            widget.value = html


def _row(*widgets: Any, css_class: str) -> Any:
    box = ipywidgets.HBox(list(widgets))
    box.add_class(css_class)
    return box
