"""The panels by which a session is steered beyond its cockpit: faults, one world, the ring, and the freeze.

Each call makes a fresh panel and closes the one that an earlier run of the cell made: nothing piles up.
Must not live here: the panels themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from kvnode.cluster import LocalCluster
from labkit.growth import Growth
from labkit.lab import Lab
from labkit.launch.service import TrafficService
from labkit.panels.faults import Faults
from labkit.panels.freeze import Freeze
from labkit.panels.ring import RingPanel
from labkit.panels.world import World


class Steering:
    """A part of Session."""

    panel: Callable[[str, Callable[[], Any]], Any]
    cluster: LocalCluster
    traffic: TrafficService
    _growth: Growth | None = None

    @property
    def growth(self) -> Growth:
        """The joins and leaves of this session, and the records of those that are over."""
        if self._growth is None:
            self._growth = Growth(self)
        return self._growth

    def ring(self, *mine: str) -> RingPanel:
        """Who holds what, with buttons by which nodes join and leave. mine: keys that it points at."""

        def make() -> RingPanel:
            return RingPanel(cast(Lab, self), self.cluster, self.growth, mine=mine)

        panel: RingPanel = self.panel("ring", make)
        return panel

    def faults(self) -> Faults:
        """Everything that can be broken, under one lease: undone when the panel is closed, or the kernel ends."""
        panel: Faults = self.panel("faults", lambda: Faults(cast(Lab, self), self.cluster))
        return panel

    def world(self, name: str) -> World:
        """One world of the traffic by hand: "twitter", "collab" or "inventory"."""
        panel: World = self.panel(f"world {name}", lambda: World(cast(Lab, self), self.traffic, name))
        return panel

    def freeze(self) -> Freeze:
        """A button that lets everything on the page stand still; measuring goes on."""
        panel: Freeze = self.panel("freeze", Freeze)
        return panel
