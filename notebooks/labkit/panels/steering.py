"""The panels by which a session is steered beyond its cockpit: faults, one world, and standing still.

Each call makes a fresh panel and closes the one that an earlier run of the cell made: nothing piles up.
Must not live here: the panels themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from kvnode.cluster import LocalCluster
from labkit.lab import Lab
from labkit.panels.faults import Faults
from labkit.panels.freeze import Freeze
from labkit.panels.world import World
from labkit.service import TrafficService


class Steering:
    """A part of Session."""

    panel: Callable[[str, Callable[[], Any]], Any]
    cluster: LocalCluster
    traffic: TrafficService

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
