"""The cockpit: everything a teacher turns, presses and points at, in one panel.

Lives here: how the controls, tiles and charts stand together and what a tick refreshes. Must not live here:
how a fault is done (the lab), how a chart looks (figures), how a click travels (buttons).
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets  # type: ignore[import-untyped]

from labkit import figures
from labkit.lab import Lab
from labkit.live.chart import Figure, LiveChart
from labkit.panels.buttons import CommandButton, ReachableChoice, ReachableSlider, Setting
from labkit.panels.nodes import NodeRow
from labkit.panels.style import count, style_sheet
from labkit.samples import History, Sample

FIGURES: dict[str, Callable[..., Figure]] = {
    "rate": figures.rate_figure,
    "latency": figures.latency_figure,
    "load": figures.load_figure,
    "agreement": figures.agreement_figure,
    "lag": figures.lag_figure,
    "hints": figures.hints_figure,
}
TICKS_PER_DRAWING = 2  # lights and counters change at every tick, charts at every second one
RATE_MAX = 1000
DELAY_MAX_MS = 300
SLIDER = {"width": "330px", "flex": "0 0 auto"}
LABEL = {"description_width": "120px"}


def head_html(story: str, sample: Sample | None) -> str:
    """Whether traffic runs (a red light that blinks, and words), and what was attached or started."""
    running = sample is not None and sample.running
    words = "Traffic is running" if running else "Traffic is stopped"
    return (
        f'<div class="lab-head"><span class="lab-dot{" on" if running else ""}"></span>{words}'
        f"<small>{escape(story)}</small></div>"
    )


def tiles_html(sample: Sample | None) -> str:
    """The real counters, as large numbers."""
    nan = float("nan")
    rows = [
        ("operations/s", sample.achieved_rate if sample else nan),
        ("tweets", sample.counts["tweet"] if sample else nan),
        ("retweets", sample.counts["retweet"] if sample else nan),
        ("likes", sample.counts["like"] if sample else nan),
        ("comments", sample.counts["comment"] if sample else nan),
        ("views", sample.counts["view"] if sample else nan),
        ("reads", sample.counts["read"] if sample else nan),
        ("failed", sample.errors_total if sample else nan),
    ]
    tiles = [f'<div class="lab-tile"><b>{count(value)}</b><span>{name}</span></div>' for name, value in rows]
    gap = sample.longest_gap_s if sample else nan
    shown = f"{gap:.2f} s" if gap == gap else "–"
    tiles.append(f'<div class="lab-tile"><b>{shown}</b><span>longest gap</span></div>')
    return f'<div class="lab-tiles">{"".join(tiles)}</div>'


def status_html(text: str, failed: bool) -> str:
    """The status line; a failure says so in words."""
    kind, sign = ("lab-bad", "✗ failed: ") if failed else ("lab-good", "")
    return f'<div class="lab-status"><span class="{kind}">{sign}{escape(text)}</span></div>'


def _grid(charts: list[LiveChart]) -> Any:
    columns = "repeat(auto-fit, minmax(min(360px, 100%), 1fr))"
    grid = ipywidgets.GridBox(charts, layout={"grid_template_columns": columns, "grid_gap": "4px 12px"})
    grid.add_class("lab-charts")
    return grid


class Cockpit(ipywidgets.VBox):  # type: ignore[misc]
    """Lights, buttons, sliders, counters and live charts of one lab."""

    def __init__(self, lab: Lab, *, charts: bool = True) -> None:
        """Build it and keep it up to date with every tick of the lab."""
        self.lab = lab
        self.charts: dict[str, LiveChart] = {}
        self.refresh_count = 0
        sample = lab.history.latest
        self._head = ipywidgets.HTML(head_html(lab.story, sample))
        self._tiles = ipywidgets.HTML(tiles_html(sample))
        self._tiles.add_class("lab-counters")
        self._status = ipywidgets.HTML(status_html(*lab.status()))
        self._status.add_class("lab-status-line")
        self.rows = {facts.name: NodeRow(lab, facts) for facts in lab.nodes()}
        self._make_controls()
        shown = [self.chart(name) for name in FIGURES] if charts else []
        grid = _grid(shown)
        super().__init__(
            [
                style_sheet(),
                self._head,
                self._tiles,
                *(row.widget for row in self.rows.values()),
                self._controls,
                self._status,
                grid,
            ],
            layout={"grid_gap": "6px"},
        )
        self.add_class("lab-panel")
        lab.subscribe(self.refresh)

    def chart(self, name: str) -> LiveChart:
        """The live chart of that name; the same one each time, it may be shown in several places."""
        if name not in FIGURES:
            raise ValueError(f"no chart {name!r}; there are {', '.join(FIGURES)}")
        if name not in self.charts:
            chart = LiveChart(self._figure(name, self.lab.history))
            chart.add_class(f"lab-chart-{name}")
            self.charts[name] = chart
        return self.charts[name]

    def show(self, *names: str) -> Any:
        """Some of the live charts once more, side by side, to have them near the cell that needs them."""
        return _grid([self.chart(name) for name in names])

    def refresh(self) -> None:
        """Show what the last tick brought; called on the ticker's thread."""
        sample = self.lab.history.latest
        self._put(self._head, head_html(self.lab.story, sample))
        self._put(self._tiles, tiles_html(sample))
        self._put(self._status, status_html(*self.lab.status()))
        for facts in self.lab.nodes():
            if facts.name in self.rows:
                self.rows[facts.name].refresh(facts)
        if sample is not None:
            self.start.allow(not sample.running)
            self.stop.allow(sample.running)
        settings = self.lab.settings()
        for name, setting in (("rate", self.rate), ("r", self.r), ("w", self.w), ("delay_ms", self.delay)):
            if name in settings:
                setting.follow(int(settings[name]))
        if self.refresh_count % TICKS_PER_DRAWING == 0:
            for name, chart in list(self.charts.items()):
                chart.show(self._figure(name, self.lab.history))
        self.refresh_count += 1

    def _make_controls(self) -> None:
        lab = self.lab
        settings = lab.settings()

        def slider(label: str, value: float, high: int, step: int) -> Any:
            return ReachableSlider(
                value=int(value), min=0, max=max(high, int(value)), step=step, description=label,
                continuous_update=False, style=LABEL, layout=SLIDER,
            )  # fmt: skip

        def choice(value: float) -> Any:
            return ReachableChoice(
                options=list(range(1, lab.replicas + 1)), value=min(int(value), lab.replicas),
                style={"button_width": "40px"}, layout={"flex": "0 0 auto", "width": "auto"},
            )  # fmt: skip

        def labelled(label: str, widget: Any) -> Any:
            words = ipywidgets.Label(label, layout={"width": "76px", "flex": "0 0 auto"})
            return ipywidgets.HBox([words, widget], layout={"flex": "0 0 auto", "align_items": "center"})

        rate = slider("operations/s", settings.get("rate", 50), RATE_MAX, 10)
        self.rate = Setting(lab, rate, "setting {value} operations/s", lab.set_rate, "lab-rate")
        delay = slider("link delay, ms", settings.get("delay_ms", 0), DELAY_MAX_MS, 5)
        self.delay = Setting(lab, delay, "delaying every link by {value} ms", lab.delay, "lab-delay")
        least = min(2, lab.replicas)
        self.r = Setting(
            lab, choice(settings.get("r", least)), "reading from R={value}",
            lambda value: lab.set_quorum(r=value), "lab-r",
        )  # fmt: skip
        self.w = Setting(
            lab, choice(settings.get("w", least)), "writing to W={value}",
            lambda value: lab.set_quorum(w=value), "lab-w",
        )  # fmt: skip
        self.start = CommandButton(
            lab, "Start traffic", "starting traffic", lab.start_traffic,
            css_class="lab-start", hint="users begin to tweet", width="130px", icon="play",
        )  # fmt: skip
        self.stop = CommandButton(
            lab, "Stop traffic", "stopping traffic", lab.stop_traffic,
            css_class="lab-stop", hint="users rest; their data stays", width="130px", icon="stop",
        )  # fmt: skip
        self.heal = CommandButton(
            lab, "Heal network", "healing the network", lab.heal,
            css_class="lab-heal", hint="take back every cut and delay", width="140px", icon="medkit",
        )  # fmt: skip
        self.reset = CommandButton(
            lab, "Reset for next class", "resetting for the next class", lab.reset,
            css_class="lab-reset", hint="all nodes up, no faults, standard traffic, empty charts",
            width="195px", icon="refresh",
        )  # fmt: skip
        row = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "2px 10px"}
        self._controls = ipywidgets.VBox(
            [
                ipywidgets.HBox(
                    [self.rate.widget, labelled("R (read)", self.r.widget), self.start, self.stop], layout=row
                ),
                ipywidgets.HBox(
                    [self.delay.widget, labelled("W (write)", self.w.widget), self.heal, self.reset],
                    layout=row,
                ),
            ]
        )

    @staticmethod
    def _put(widget: Any, html: str) -> None:
        if widget.value != html:
            widget.value = html

    @staticmethod
    def _figure(name: str, history: History) -> Figure:
        return FIGURES[name](history.samples, history.marks, window_s=history.window_s)
