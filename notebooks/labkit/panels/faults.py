"""Everything that can be broken, by hand: processes, links, clocks and disks; one button undoes all of it.

What is done here is done under a lease: *Undo all* takes back what this panel did and nothing else, closing the panel
does it too, and so does the end of the kernel, however it ends. What is set on links is a wish; the chart shows the
round trips that the nodes achieve.
Must not live here: what a fault does (kvnode.cluster), how a click travels (buttons.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from html import escape
from typing import Any

import ipywidgets  # type: ignore[import-untyped]

from kvnode.client import Client
from kvnode.cluster import ClusterError, LocalCluster, NodeInfo
from kvnode.errors import KvError
from labkit.figures.round_trips import round_trips, round_trips_rows
from labkit.lab import Lab
from labkit.live.chart import LiveChart
from labkit.live.ticker import Ticker
from labkit.panels.buttons import ChosenButton, CommandButton
from labkit.panels.controls import Choice, Menu, Slider
from labkit.panels.sides import sides
from labkit.panels.style import panel_parts, status_html

DELAY_MS_MAX, SKEW_MS_MAX, DISK_MS_MAX = 700, 10_000, 500
SCATTERS: Mapping[str, Any] = {
    "none": "fixed",
    "exponential": "exponential",
    "long tail": "long-tailed",
}
TOPOLOGIES = {
    "none": "all in one place",
    "three-regions": "Washington, London, Tokyo",
    "five-regions": "five continents",
}
ALL_LINKS = "all links"
LOOK_EVERY_S = 1.0
ASK_TIMEOUT_S = 0.8
ROW = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "6px 10px"}


class Faults(ipywidgets.VBox):  # type: ignore[misc]
    """Breaks and mends the cluster of a lab."""

    def __init__(self, lab: Lab, cluster: LocalCluster) -> None:
        """Take a lease; `close` gives it back. Raises NotRunning."""
        self._ends: list[Callable[[], object]] = []
        self._lab = lab
        self._held = cluster.lease("the Faults panel")
        self._ends.append(self._held.close)
        self._names = [facts.name for facts in lab.nodes()]
        self._client: Client = cluster.client(timeout_s=ASK_TIMEOUT_S)
        self._sides = sides(self._names)
        self._is_quiet = False  # controls are set back to what is so already
        self.node = Choice(label="node", options=tuple(self._names), value=self._names[0])
        self.node.add_class("lab-faults-node")
        self.node.observe(lambda _: self._show_own(), "value")
        self._infos: Sequence[NodeInfo] = ()
        self.broken = ipywidgets.HTML()
        self.broken.add_class("lab-faults-broken")
        self.said = ipywidgets.HTML(status_html(*lab.status()))
        self.said.add_class("lab-faults-said")
        self.chart = LiveChart(round_trips([]))
        self.chart.add_class("lab-chart-round-trips")
        self.undo = self._button(
            "Undo all", "undoing all faults of this panel", self._undo, "undo", "life-ring"
        )
        rows = [
            self._processes(),
            self._links(),
            self._own(),
            ipywidgets.HBox([self.undo, self.broken, self.said], layout=ROW),
        ]
        super().__init__([*panel_parts(), *rows, self.chart], layout={"grid_gap": "6px"})
        self.add_class("lab-panel")
        self._ticker = Ticker(self.look, interval_s=LOOK_EVERY_S, name="labkit-round-trips").start()
        self._ends += [self.chart.close, self._ticker.stop, lab.subscribe(self._say)]

    # --- the three rows -----------------------------------------------------------------------------------

    def _processes(self) -> Any:
        held = self._held
        verbs: dict[str, tuple[str, Callable[[str], None], str]] = {
            "Kill": ("killing", held.kill, "kill -9: gone at once, nothing said, nothing flushed"),
            "Restart": ("restarting", held.restart, "start it again on its own disk"),
            "Pause": ("pausing", held.pause, "SIGSTOP: it lives and says nothing"),
            "Resume": ("resuming", held.resume, "SIGCONT: it goes on where it stopped"),
            "Wipe": ("wiping", held.wipe, "kill it and lose its disk"),
            "Cut off": (
                "cutting off",
                held.isolate,
                "cut its links to all other nodes; clients still reach it",
            ),
        }
        self.verbs: dict[str, CommandButton] = {}
        for label, (doing, act, hint) in verbs.items():
            css = label.lower().replace(" ", "-")
            self.verbs[label] = ChosenButton(
                self._lab, label, partial(self._of_the_node, doing, act),
                css_class=f"lab-faults-{css}", hint=hint, subject="the node",
            )  # fmt: skip
        return ipywidgets.HBox([self.node, *self.verbs.values()], layout=ROW)

    def _links(self) -> Any:
        pairs = {
            f"{one} – {other}": (one, other)
            for place, one in enumerate(self._names)
            for other in self._names[place + 1 :]
        }
        self._pairs: Mapping[str, tuple[str, str] | None] = {ALL_LINKS: None, **pairs}
        self.side = Menu(
            label="sides",
            options=tuple(self._sides),
            words=tuple(self._sides),
            value=next(iter(self._sides), ""),
        )
        self.side.add_class("lab-faults-sides")
        self.part = ChosenButton(
            self._lab, "Partition", self._partition, css_class="lab-faults-partition", icon="scissors"
        )
        self.reconnect = self._button(
            "Reconnect", "healing all cuts", lambda: self._held.reconnect(), "reconnect", "link"
        )
        self.link = Menu(label="link", options=tuple(self._pairs), words=tuple(self._pairs), value=ALL_LINKS)
        self.link.add_class("lab-faults-link")
        self.delay = self._slider("delay, ms each way", DELAY_MS_MAX, 10, "delay", lambda _: self._delay())
        self.scatter = Choice(label="scatter", options=tuple(SCATTERS), value="none")
        self.scatter.add_class("lab-faults-scatter")
        self.scatter.observe(lambda _: self._submit("scattering delays", self._delay()), "value")
        self.topology = Menu(
            label="topology", options=tuple(TOPOLOGIES), words=tuple(TOPOLOGIES.values()), value="none"
        )
        self.topology.add_class("lab-faults-topology")
        self.topology.observe(lambda _: self._submit("moving the nodes apart", self._lay_out()), "value")
        first = ipywidgets.HBox([self.side, self.part, self.reconnect, self.topology], layout=ROW)
        return ipywidgets.VBox([first, ipywidgets.HBox([self.link, self.delay, self.scatter], layout=ROW)])

    def _own(self) -> Any:
        self.skew = self._slider(
            "clock, ms ahead",
            SKEW_MS_MAX,
            100,
            "skew",
            lambda value: partial(self._held.skew, self._node, value),
            low=-SKEW_MS_MAX,
        )
        self.disk = self._slider(
            "disk, ms slower",
            DISK_MS_MAX,
            5,
            "disk",
            lambda value: partial(self._held.slow_disk, self._node, value),
        )
        return ipywidgets.HBox([self.skew, self.disk], layout=ROW)

    # --- what they do: bound to what is chosen now; a command may wait for its turn -------------------------

    @property
    def _node(self) -> str:
        return str(self.node.value)

    def _of_the_node(self, doing: str, act: Callable[[str], None]) -> tuple[str, Callable[[], object]]:
        return f"{doing} {self._node}", partial(act, self._node)

    def _partition(self) -> tuple[str, Callable[[], object]]:
        chosen = str(self.side.value)
        return f"cutting {chosen}", partial(self._held.partition, self._sides[chosen])

    def _delay(self) -> Callable[[], object]:
        pair, scatter = self._pairs[str(self.link.value)], SCATTERS[str(self.scatter.value)]
        return partial(self._held.delay, float(self.delay.value), distribution=scatter, nodes=pair)

    def _lay_out(self) -> Callable[[], object]:
        if self.topology.value == "none":
            return partial(self._held.delay, 0)
        return partial(self._held.topology, str(self.topology.value))

    def _undo(self) -> None:
        self._held.undo()
        self._is_quiet = True
        self.delay.value = self.skew.value = self.disk.value = 0
        self.scatter.value = self.topology.value = "none"
        self._is_quiet = False

    def _show_own(self) -> None:
        """Another node was chosen: the sliders show its clock and its disk."""
        own = next((info for info in self._infos if info.name == self._node), None)
        if own is not None:
            self._is_quiet = True
            self.skew.value, self.disk.value = round(own.clock_skew_ms), round(own.disk_delay_ms)
            self._is_quiet = False

    # --- looking ------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Ask the nodes that run for their round trips, and draw them; once a second on a thread of its own."""
        try:
            infos = self._infos = self._held.nodes
        except ClusterError as error:
            text = f"✕ what is broken cannot be told: {escape(str(error))}"
            self.broken.value = f'<span class="lab-bad" role="status">{text}</span>'
            return
        stats: dict[str, Any] = {}
        for info in infos:
            if info.state == "running":
                with contextlib.suppress(KvError):
                    stats[info.name] = self._client.stats(info.name)
        rows = round_trips_rows(stats, {info.name: info.rules for info in infos})
        self.chart.show(round_trips(rows))
        text = broken_html(infos)
        if text != self.broken.value:
            self.broken.value = text

    def _say(self) -> None:
        """How the last command went; called at every tick of the lab."""
        text = status_html(*self._lab.status())
        if text != self.said.value:
            self.said.value = text

    def close(self) -> None:
        """Undo all, and give the lease back."""
        while self._ends:
            self._ends.pop()()
        super().close()

    # --- inside -------------------------------------------------------------------------------------------

    def _submit(self, doing: str, action: Callable[[], object]) -> None:
        if not self._is_quiet:
            self._lab.submit(doing, action)

    def _button(
        self, label: str, doing: str, action: Callable[[], object], css: str, icon: str, **traits: Any
    ) -> CommandButton:
        return CommandButton(
            self._lab, label, doing, action, css_class=f"lab-faults-{css}", icon=icon, **traits
        )

    def _slider(
        self,
        label: str,
        high: int,
        step: int,
        css: str,
        apply: Callable[[int], Callable[[], object]],
        *,
        low: int = 0,
    ) -> Slider:
        """apply: from the value to what is done, bound to what is chosen now."""
        slider = Slider(label=label, min=low, max=high, step=step, value=0)
        slider.add_class(f"lab-faults-{css}")

        def changed(change: Any) -> None:
            slider.told = f"now {change['new']}"
            self._submit(f"{label}: {change['new']}", apply(int(change["new"])))

        slider.observe(changed, "value")
        return slider


def broken_html(infos: Sequence[NodeInfo]) -> str:
    """In one line what is wrong now, whoever did it."""
    wrong = [f"{info.name} {info.state}" for info in infos if info.state != "running"]
    cut = sum(bool(rule.get("cut")) for info in infos for rule in info.rules.values())
    slow = sum(bool(rule.get("delay_ms")) for info in infos for rule in info.rules.values())
    wrong += [f"{cut} cut{'s' if cut > 1 else ''} (one way each)"] if cut else []
    wrong += [f"{slow} slow link{'s' if slow > 1 else ''} (one way each)"] if slow else []
    wrong += [f"clock of {info.name} {info.clock_skew_ms:+.0f} ms" for info in infos if info.clock_skew_ms]
    wrong += [f"disk of {info.name} +{info.disk_delay_ms:.0f} ms" for info in infos if info.disk_delay_ms]
    if not wrong:
        return '<span class="lab-good" role="status">✓ nothing is broken</span>'
    return f'<span class="lab-bad" role="status">✕ {escape("; ".join(wrong))}</span>'
