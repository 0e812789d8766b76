"""What a scene leaves to look at: what is still stored of its keys, and what the nodes noted of its operations.

Must not live here: drawing it (labkit.figures), and what happened in the scene itself (scene.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from kvnode.cluster import LocalCluster
from kvnode.errors import KvError
from labkit.course.operations import Operation

Event = dict[str, Any]
"""node, wall_ms, event, peer?"""


class Aftermath:
    """left: the dots of the versions that stood under each key when the scene ended. events: by trace id."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster
        self.left: dict[str, set[str]] = {}
        self.events: dict[str, list[Event]] = {}

    def look(self, operations: Iterable[Operation]) -> None:
        """At the scene's end, once all its faults are undone: what somebody does to a key later is not the scene's."""
        operations = list(operations)
        client = self._cluster.client()
        for key in {one.key for one in operations if one.verb in ("put", "get", "delete")}:
            with suppress(KvError):
                self.left[key] = {one["dot"] for one in client.get(key, r=self._cluster.replicas)["siblings"]}
        self.fetch_traces(operations)

    def fetch_traces(self, operations: Iterable[Operation]) -> None:
        """Ask for every operation's trace; what was in flight when it was last asked for has arrived since."""
        client = self._cluster.client()
        for operation in operations:
            if operation.trace_id is not None:
                with suppress(KvError):
                    self._merge(operation.trace_id, client.trace(operation.trace_id))

    def _merge(self, trace_id: str, told: Mapping[str, Any]) -> None:
        """Of each node the fuller account."""
        began_ms = float(told.get("began") or 0.0)
        by_node: dict[str, list[Event]] = {}
        for event in told.get("events", ()):
            noted = {
                "node": event["node"],
                "wall_ms": began_ms + float(event["at_ms"]),
                "event": event["event"],
            }
            if event.get("peer"):
                noted["peer"] = event["peer"]
            by_node.setdefault(event["node"], []).append(noted)
        known = self.events.get(trace_id, [])
        merged: list[Event] = []
        for node in sorted({*by_node, *(event["node"] for event in known)}):
            before = [event for event in known if event["node"] == node]
            now = by_node.get(node, [])
            merged += now if len(now) >= len(before) else before
        self.events[trace_id] = sorted(merged, key=lambda event: float(event["wall_ms"]))
