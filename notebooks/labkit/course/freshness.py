"""How stale, live: R, W and the links' mean delay by hand, measured points beside the model and the guess.

The traffic service measures and predicts; this panel asks it once a second. The links are slow only while it measures
(a lease), whatever becomes of this kernel.
Must not live here: measuring (traffic/pbs/measure.py) and how the chart looks (labkit.figures.staleness).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets  # type: ignore[import-untyped]

from kvnode.cluster import LocalCluster
from labkit.course.cards import Guess
from labkit.course.pictures import figure_and_rows
from labkit.course.stage import on_stage
from labkit.course.trials import DISK_MS
from labkit.errors import LabError
from labkit.panels.buttons import CommandButton
from labkit.panels.controls import Choice, Slider
from labkit.panels.picture import Picture
from labkit.panels.style import card_parts

if TYPE_CHECKING:
    from labkit.session import Session

T_MS = (0.0, 20.0, 50.0, 100.0)
WRITES_PER_S = 60.0
SECONDS = 10.0
LOOK_EVERY_S = 0.9
SETTLE_S_MAX = 15.0


class Freshness(ipywidgets.VBox):  # type: ignore[misc]
    """Three controls, a button and a chart."""

    def __init__(self, session: Session, *, guess: Guess | None = None) -> None:
        self._session = session
        self._prediction = None if guess is None else guess.prediction
        self.told: dict[str, Any] = {"running": False, "points": []}
        self._forget: Callable[[], None] = lambda: None
        self._again = self._measuring = self._moved_by_code = False
        self.r = _sizes("R (a read waits for)", "lab-fresh-r")
        self.w = _sizes("W (a write waits for)", "lab-fresh-w")
        self.repair = Choice(label="read repair", options=("off", "on"), value="off")
        self.repair.add_class("lab-fresh-repair")
        self.mean_ms = Slider(label="mean delay (ms)", min=20, max=100, step=10, value=50)
        self.mean_ms.add_class("lab-fresh-delay")
        self.button = CommandButton(
            session, "Measure", "measuring freshness", self.measure,
            css_class="lab-fresh-measure", hint="600 writes, each read at four times",
        )  # fmt: skip
        self._said = ipywidgets.HTML()
        self.picture = Picture(self._figure(), css_class="lab-staleness")
        bar = ipywidgets.HBox([self.r, self.w, self.repair, self.mean_ms, self.button])
        bar.add_class("lab-fresh-bar")
        super().__init__([*card_parts(), bar, self._said, self.picture])
        self.add_class("lab-panel")
        for control in (self.r, self.w, self.repair, self.mean_ms):
            control.observe(self._changed, "value")
        self._say("Choose R and W, then press Measure.")
        if self._prediction is not None:
            self._forget = self._prediction.on_change(self.show)

    def set(self, *, r: int | None = None, w: int | None = None, mean_ms: int | None = None) -> None:
        """Move the controls from code; nothing is measured yet."""
        self._moved_by_code = True
        try:
            for control, value in ((self.r, r), (self.w, w), (self.mean_ms, mean_ms)):
                if value is not None:
                    control.value = value
        finally:
            self._moved_by_code = False

    def measure(self, *, seconds: float = SECONDS) -> dict[float, float]:
        """Measure with what is set, and wait for its end: the share of fresh reads in %, by the time t in ms."""
        while True:
            self._again = False
            r, w, mean_ms = int(self.r.value), int(self.w.value), float(self.mean_ms.value)
            with on_stage(self._session.cluster, f"freshness with R={r}, W={w}") as held:
                _slow_down(held, mean_ms)
                self._session.traffic.begin_pbs(
                    r=r, w=w, writes=int(seconds * WRITES_PER_S), writes_per_s=WRITES_PER_S, t_ms=list(T_MS),
                    repair=self.repair.value == "on",
                )  # fmt: skip
                try:
                    self._follow(seconds + SETTLE_S_MAX)
                finally:
                    self.end()
            if not self._again:
                return self.measured

    def _follow(self, within_s: float) -> None:
        """Until it is over, or a control was moved."""
        deadline_s = time.monotonic() + within_s
        self._measuring = True
        try:
            while self.look()["running"] and not self._again:
                if time.monotonic() > deadline_s:
                    raise LabError("The measurement of freshness did not end.", do="measure again")
                time.sleep(LOOK_EVERY_S)
        finally:
            self._measuring = False

    def close(self) -> None:
        """Nobody sees it any more."""
        self._forget()
        super().close()

    def end(self) -> None:
        """End what is being measured; the points so far stay."""
        if self.told["running"]:
            self._session.traffic.end_pbs()
            self.told = {**self.told, "running": False}

    def look(self) -> dict[str, Any]:
        """Ask the service for the points so far, and draw them."""
        self.told = self._session.traffic.pbs()
        reads = sum(int(point["reads"]) for point in self.told["points"])
        state = "measuring" if self.told["running"] else "measured"
        self._say(f"R={self.told['r']}, W={self.told['w']}: {state}, {reads} reads so far.")
        self.show()
        return self.told

    @property
    def measured(self) -> dict[float, float]:
        """The share of fresh reads in %, by t in ms."""
        points = self.told["points"]
        return {
            float(one["t_ms"]): round(100.0 * one["share"], 1)
            for one in points
            if one.get("share") is not None
        }

    @property
    def reads(self) -> int:
        """How many reads the newest measurement has."""
        return sum(int(point["reads"]) for point in self.told["points"])

    def keep(self) -> Callable[[], Picture]:
        """What was measured just now, as a picture that is made when it is wanted, with the guess as it is then."""
        told = self.told
        title = f"R={told.get('r')}, W={told.get('w')}, links with {self.mean_ms.value} ms on average"
        return lambda: Picture(
            *figure_and_rows("staleness", *self._arguments(told)), css_class="lab-staleness-kept", title=title
        )

    def show(self) -> None:
        """Draw what is known; also when the guess was locked meanwhile."""
        self.picture.show(self._figure(), self._rows())

    # --- inside -------------------------------------------------------------------------------------------

    def _arguments(
        self, told: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[float, float], dict[float, float]]:
        points = (told or self.told)["points"]
        model = {
            float(one["t_ms"]): 100.0 * one["predicted"] for one in points if one.get("predicted") is not None
        }
        return points, model, self._guessed()

    def _guessed(self) -> dict[float, float]:
        locked = self._prediction is not None and self._prediction.state == "locked"
        return dict(self._prediction.guess) if self._prediction is not None and locked else {}

    def _figure(self) -> dict[str, Any]:
        figure, _ = figure_and_rows("staleness", *self._arguments())
        return figure

    def _rows(self) -> Any:
        return figure_and_rows("staleness", *self._arguments())[1]

    def _changed(self, change: Any) -> None:
        """A control was moved: measure anew with it."""
        change["owner"].told = f"now {change['new']}"
        if self._measuring:
            self._again = True
        elif not self._moved_by_code:
            self.button.click()

    def _say(self, text: str) -> None:
        self._said.value = f'<div class="lab-said" role="status">{escape(text)}</div>'


def _slow_down(cluster: LocalCluster, mean_ms: float) -> None:
    cluster.delay(mean_ms, distribution="exponential")
    for info in cluster.nodes:
        cluster.slow_disk(info.name, DISK_MS)


def _sizes(label: str, css_class: str) -> Choice:
    choice = Choice(label=label, options=(1, 2, 3), value=1)
    choice.add_class(css_class)
    return choice
