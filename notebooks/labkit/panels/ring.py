"""The ring with two buttons: a node joins, a node leaves, and everybody sees what moves.

Must not live here: changing the ring (growth.py), looking at it (ringside.py), and how it is drawn (figures/ring.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from html import escape

import ipywidgets  # type: ignore[import-untyped]

from kvnode.client import Client
from kvnode.cluster import ClusterError, LocalCluster
from kvnode.errors import KvError
from labkit.errors import LabError
from labkit.figures.large import enlarged
from labkit.figures.ring import RingNow, ring, ring_rows
from labkit.growth import Change, Growth
from labkit.lab import Lab
from labkit.live.page import page
from labkit.live.ticker import Ticker
from labkit.panels.buttons import ChosenButton
from labkit.panels.controls import Menu
from labkit.panels.picture import Picture
from labkit.panels.style import panel_parts
from labkit.ringside import look

LOOK_EVERY_S, LOOK_AT_REST_EVERY_S = 0.3, 1.5
ASK_TIMEOUT_S = 0.8


class RingPanel(ipywidgets.VBox):  # type: ignore[misc]
    """Shows the ring of a lab's cluster, and lets nodes come and go. mine: keys that it points at."""

    def __init__(self, lab: Lab, cluster: LocalCluster, growth: Growth, *, mine: Sequence[str] = ()) -> None:
        self._lab, self._cluster, self._growth = lab, cluster, growth
        self._client: Client = cluster.client(timeout_s=ASK_TIMEOUT_S)
        self._places: dict[str, int | None] = dict.fromkeys(mine)  # the partition of a key never changes
        self._looked_s = 0.0
        self._refusal, self._refused_after = "", 0  # after so many changes
        self.now = RingNow((), ())
        names = tuple(growth.members)
        self.join_button = ChosenButton(
            lab, "Join", lambda: ("one more node joins", self._trying(growth.begin_join)),
            css_class="lab-ring-join", icon="plus", hint="start one more node, and let it take its share over",
        )  # fmt: skip
        self.who = Menu(label="who leaves", options=names, words=names, value=names[-1])
        self.who.add_class("lab-ring-who")
        self.leave_button = ChosenButton(
            lab, "Leave", self._leaving, css_class="lab-ring-leave", icon="minus", subject="the chosen node",
            hint="let it hand its data over, and go",
        )  # fmt: skip
        self._said = ipywidgets.HTML()
        self._said.add_class("lab-ring-said")
        bar = ipywidgets.HBox([self.join_button, self.who, self.leave_button])
        bar.add_class("lab-controls")
        self.picture = Picture(ring(self.now), css_class="lab-ring")
        super().__init__([*panel_parts(), bar, self._said, self.picture])
        self.add_class("lab-panel")
        self.look()
        self._ticker = Ticker(self.look_in_time, interval_s=LOOK_EVERY_S, name="labkit-ring").start()

    # --- what cells ask for ---------------------------------------------------------------------------------

    def join(self, *, to: int) -> Change:
        """Let nodes join until there are so many; the record of the last one. By hand or by this, it is the same."""
        change = self._growth.join(to=to)
        self.look()
        return change

    def leave(self, *, to: int) -> list[str]:
        """Let those that came last leave until there are so many; who is left."""
        left = self._growth.leave(to=to)
        self.look()
        return left

    def keep(self) -> Callable[[], Picture]:
        """The ring as it is now, as a picture that is made when it is wanted."""
        now = self.now
        return lambda: Picture(ring(now), ring_rows(now), css_class="lab-ring-kept")

    def close(self) -> None:
        """Nobody looks any more; a change that is under way goes on."""
        self._ticker.stop()
        super().close()

    # --- looking --------------------------------------------------------------------------------------------

    def look_in_time(self) -> None:
        """Often while something changes, seldom otherwise; on a thread of its own."""
        is_at_rest = not self._growth.is_under_way and not self.now.taking
        if not is_at_rest or time.monotonic() - self._looked_s >= LOOK_AT_REST_EVERY_S:
            self.look()
        else:
            self._say()

    def look(self) -> None:
        """Ask the nodes, and draw."""
        self._looked_s = time.monotonic()
        try:
            names = tuple(self._growth.members)
            if names != self._client.names:
                self._client = self._cluster.client(timeout_s=ASK_TIMEOUT_S)
            rates = {facts.name: facts.rate for facts in self._lab.nodes()}
            for key in [key for key, place in self._places.items() if place is None]:
                self._places[key] = int(self._client.ring(key=key)["partition"])
            mine = {key: place for key, place in self._places.items() if place is not None}
            self.now = look(self._client, rates=rates, mine=mine)
        except (KvError, ClusterError) as error:
            self._put(f'<span class="lab-bad">✗ The ring cannot be seen: {escape(str(error))}</span>')
            return
        if self.who.options != names:
            with self.who.hold_sync():  # options, their words and the chosen one are one change
                self.who.options = self.who.words = names
                self.who.value = names[-1]
        if not page().is_frozen:
            figure = ring(self.now)
            self.picture.show(enlarged(figure) if self._lab.large else figure, ring_rows(self.now))
        self._say()

    # --- inside ---------------------------------------------------------------------------------------------

    def _leaving(self) -> tuple[str, Callable[[], object]]:
        name = str(self.who.value)
        return f"{name} leaves", self._trying(lambda: self._growth.begin_leave(name))

    def _trying(self, begin: Callable[[], object]) -> Callable[[], object]:
        """The same; a refusal is said in the panel too, until the next press or the end of the change."""

        def begun() -> object:
            self._refusal = ""
            try:
                return begin()
            except LabError as refusal:
                self._refusal, self._refused_after = str(refusal), len(self._growth.changes)
                raise
            finally:
                self._say()

        return begun

    def _say(self) -> None:
        if self._refusal and len(self._growth.changes) == self._refused_after:
            self._put(f'<span class="lab-warn">✗ {escape(self._refusal)}</span>')
            return
        try:
            summary = self._growth.summary()
        except ClusterError as error:
            summary = str(error)
        self._put(escape(summary or "Nothing changes. Press Join, or choose who leaves."))

    def _put(self, html: str) -> None:
        line = f'<div class="lab-said" role="status">{html}</div>'
        if self._said.value != line:
            self._said.value = line
