"""One world of the traffic by hand: start and stop, how busy, at which hour, and with which known mistake.

Known mistakes are programs that a sensible person might write, and that lose something; the database keeps its promise
all the while. A known mistake is switched on here, and found by the world's own check.
Must not live here: the traffic (its service), widgets' looks (controls.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from html import escape
from typing import Any

import ipywidgets  # type: ignore[import-untyped]

from labkit.errors import LabError
from labkit.lab import Lab
from labkit.launch.service import TrafficService
from labkit.panels.buttons import CommandButton, Setting
from labkit.panels.controls import Menu, Slider
from labkit.panels.style import count, panel_parts
from labkit.worlds import MISTAKES, TITLES, mistake_words

NONE = "none"
RATE_MAX = 300
PEOPLE_EVERY = 8  # ticks between two looks at who is how busy: that answer is larger than the others
BUSY = {"0": "at home", "1": "as usual", "5": "5 times as busy"}
SITUATION = ("hour", "weekday", "speed")


class World(ipywidgets.VBox):  # type: ignore[misc]
    """Controls of one world, which follow what anybody else sets."""

    def __init__(self, lab: Lab, traffic: TrafficService, name: str) -> None:
        """LabError if the service does not answer; ValueError names the worlds that there are."""
        self._leave: Callable[[], object] = int  # nobody is followed yet
        if name not in TITLES:
            raise ValueError(f"no world {name!r}; there are {', '.join(TITLES)}")
        self.name = name
        self._traffic = traffic
        self._is_quiet = False  # the menu is set to what is so already
        told = traffic.stats()
        now = told["workloads"][name]
        self._presets = {str(preset["name"]): preset for preset in traffic.presets()}
        self._ticks = 0
        self._head = ipywidgets.HTML(self._line(now))
        rate = Slider(label="operations/s", min=0, max=RATE_MAX, step=5, value=_whole(now.get("target_rate")))
        self.rate = Setting(
            lab,
            rate,
            f"{name}: {{value}} operations/s",
            self._set_rate,
            "lab-world-rate",
        )
        hour = Slider(label="hour of their day", min=0, max=23, value=_hour(told))
        self.hour = Setting(
            lab, hour, "it is {value} o'clock", lambda value: traffic.set_hour(value), "lab-world-hour"
        )
        self.mistake = self._mistakes(lab, now)
        self.preset = Menu(
            label="situation", options=(NONE, *self._presets), words=("rate by hand", *self._presets),
            value=told.get("preset") if told.get("preset") in self._presets else NONE,
        )  # fmt: skip
        self.preset.add_class("lab-world-preset")
        self.preset.observe(lambda change: self._use(lab, str(change["new"])), "value")
        self.people = {str(one["kind"]): self._kind(lab, one) for one in traffic.people(name)}
        self.start = CommandButton(
            lab, "Start", f"starting {name}", lambda: traffic.start(name), css_class="lab-world-start",
            subject=name, icon="play", hint="its people begin",
        )  # fmt: skip
        self.stop = CommandButton(
            lab, "Stop", f"stopping {name}", lambda: traffic.stop(name), css_class="lab-world-stop",
            subject=name, icon="stop", hint="its people rest; their data stays",
        )  # fmt: skip
        controls = self._row([self.start, self.stop, rate, self.preset, hour, self.mistake.widget])
        people = self._row([setting.widget for setting in self.people.values()])
        super().__init__([*panel_parts(), self._head, controls, people])
        self.add_class("lab-panel")
        self.refresh()
        self._leave = lab.subscribe(self.refresh)

    def refresh(self) -> None:
        """Follow what the service says; called on the ticker's thread."""
        try:
            told = self._traffic.recent_stats()
        except LabError as error:
            self._head.value = (
                f'<div class="lab-head"><span class="lab-bad">✗ {escape(str(error))}</span></div>'
            )
            return
        now = told["workloads"][self.name]
        line = self._line(now)
        if line != self._head.value:
            self._head.value = line
        self.start.allow(not now["running"])
        self.stop.allow(bool(now["running"]))
        self.rate.follow(_whole(now.get("target_rate")))
        self.hour.follow(_hour(told))
        self.mistake.follow(now.get("bug") or NONE)
        if self._ticks % PEOPLE_EVERY == 0:
            self._follow_people()
        self._ticks += 1

    def close(self) -> None:
        """It follows no more; the traffic goes on as it was set."""
        self._leave()
        super().close()

    def _follow_people(self) -> None:
        with suppress(LabError):  # the service has just fallen silent: the next tick says so
            for one in self._traffic.people(self.name):
                if one["kind"] in self.people:
                    self.people[one["kind"]].follow(f"{one['busy']:g}")

    def _mistakes(self, lab: Lab, now: Mapping[str, Any]) -> Setting:
        words = {NONE: "no mistake", **MISTAKES[self.name]}
        menu = Menu(
            label="known mistake",
            options=tuple(words),
            words=tuple(words.values()),
            value=now.get("bug") or NONE,
        )
        return Setting(lab, menu, f"{self.name}: mistake {{value}}", self._make_mistake, "lab-world-mistake")

    def _kind(self, lab: Lab, one: Mapping[str, Any]) -> Setting:
        """A menu: how busy the people of one kind are."""
        kind, busy = str(one["kind"]), f"{one['busy']:g}"
        words = {**BUSY, **({} if busy in BUSY else {busy: f"{busy} times as busy"})}
        menu = Menu(
            label=f"how busy: {kind}", options=tuple(words), value=busy,
            words=tuple(f"{one['people']} × {kind}: {word}" for word in words.values()),
        )  # fmt: skip
        return Setting(
            lab, menu, f"{self.name}: {kind} × {{value}}",
            lambda value: self._configure(personas={kind: float(value)}), f"lab-world-people-{kind}",
        )  # fmt: skip

    @staticmethod
    def _row(widgets: Sequence[Any]) -> Any:
        return ipywidgets.HBox(list(widgets), layout={"flex_flow": "row wrap", "grid_gap": "6px"})

    def _configure(self, **settings: Any) -> None:
        self._traffic.configure(world=self.name, **settings)

    def _make_mistake(self, mistake: str) -> None:
        self._configure(bug=None if mistake == NONE else mistake)

    def _set_rate(self, rate: int) -> None:
        """A rate by hand ends the situation, and the menu says so."""
        self._configure(rate=rate)
        self._is_quiet = True
        self.preset.value = NONE
        self._is_quiet = False

    def _use(self, lab: Lab, preset: str) -> None:
        if self._is_quiet:
            return
        words = preset if preset != NONE else "rate by hand"
        lab.submit(f"{self.name}: {words}", lambda: self._bring_about(preset))

    def _bring_about(self, preset: str) -> None:
        """A situation is its hour too: an evening's rate at six in the morning is none. The clock is that of all
        worlds."""
        if preset == NONE:
            self._configure(rate=self.rate.widget.value)
            return
        clock = {name: self._presets[preset][name] for name in SITUATION if name in self._presets[preset]}
        if clock:
            self._traffic.set_clock(**clock)
        self._configure(preset=preset)

    def _line(self, now: Mapping[str, Any]) -> str:
        running = bool(now["running"])
        mistake = mistake_words(self.name, now.get("bug"))
        wrong = f' <span class="lab-pill lab-warn">! {escape(mistake)}</span>' if mistake else ""
        rate = (
            f"{now['achieved_rate']:.0f} op/s, {count(now['operations_total'])} so far"
            if running
            else "at rest"
        )
        dot = f'<span class="lab-dot{" on" if running else ""}"></span>'
        return f'<div class="lab-head">{dot}{escape(TITLES[self.name])}<small>{rate}</small>{wrong}</div>'


def _whole(value: Any) -> int:
    return round(float(value or 0))


def _hour(told: Mapping[str, Any]) -> int:
    return int(float((told.get("clock") or {}).get("hour") or 0)) % 24
