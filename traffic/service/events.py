"""What has happened to the cluster while the service watched: who did what to a node, and what became of it.

Here: a bounded list, made of looks at the supervisor's state and at the nodes' health.
Must not live here: how two states differ (runs/faults.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import structs

from kvnode.cluster.contract import OF_LINKS
from traffic.nodes.supervisor import State
from traffic.runs.faults import fault_actions, seen
from traffic.runs.recording import Fault

EVENTS_MAX = 300
SHOWN = 30

_WORDS = {
    "kill": "was killed",
    "wipe": "was killed, and its data deleted",
    "pause": "was paused",
    "resume": "was resumed",
    "restart": "was restarted",
    "dead": "is dead to the others",
    "suspect": "is suspected by the others",
    "alive": "is alive again",
    "cut off": "is cut off from the others",
    "unreachable": "does not answer",
    "joined": "joined",
    "left": "left",
}


class Event(NamedTuple):
    """at_ms: wall clock; at_s: the monotonic clock of the series."""

    at_ms: int
    at_s: float
    fault: Fault


class Events:
    """Call `look` often. What was so before the first look is no event, but for faults: those are told."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=EVENTS_MAX)
        self._state: State | None = None
        self._health: Mapping[str, str] | None = None

    def look(self, state: State | None, health: Mapping[str, str], *, at_ms: int, at_s: float) -> None:
        """state: the supervisor's; health: what each node is, by name."""
        news = [] if self._health is None else seen(self._health, health, 0.0)
        self._health = dict(health)
        if state is not None and state is not self._state:
            news = [*fault_actions(self._state, state, at_s=0.0), *news]
            self._state = state
        self._events += (Event(at_ms, at_s, fault) for fault in news)

    def shown(self) -> list[dict[str, Any]]:
        """The last ones, the newest first, in words."""
        told: dict[tuple[int, str], Fault] = {}
        for event in reversed(self._events):
            # A delay of all links is one event for people, though each pair of nodes has its own.
            together = event.fault.what if event.fault.what in OF_LINKS else repr(event.fault)
            known = told.get((event.at_ms, together))
            if known is None and len(told) == SHOWN:
                break
            nodes = sorted({*event.fault.nodes, *(known.nodes if known else ())})
            told[event.at_ms, together] = structs.replace(event.fault, nodes=nodes) if known else event.fault
        return [
            {
                "at": at_ms,
                "what": fault.what,
                "nodes": fault.nodes,
                "done": fault.source == "done",
                "says": sentence(fault),
            }
            for (at_ms, _), fault in told.items()
        ]

    def faults(self, began_s: float) -> list[Fault]:
        """All of them, timed from the beginning of a series."""
        return [
            Fault(
                t_s=round(max(event.at_s - began_s, 0.0), 3),
                what=event.fault.what,
                nodes=event.fault.nodes,
                source=event.fault.source,
                figures=event.fault.figures,
            )
            for event in self._events
        ]


def sentence(fault: Fault) -> str:
    """One event in words."""
    nodes = " and ".join(fault.nodes)
    if fault.what in _WORDS:
        return f"{nodes} {_WORDS[fault.what]}"
    if fault.what == "cut":
        return f"{nodes} were cut off from each other"
    if fault.what == "cut-one-way":
        return f"what {fault.nodes[0]} sends to {fault.nodes[1]} is lost"
    if fault.what in ("heal", "reconnect"):
        return "the network was healed"
    if fault.what == "delay":
        delay_ms = float(fault.figures.get("delay_ms", 0))
        return f"links of {nodes}: {f'{delay_ms:g} ms slower each way' if delay_ms else 'as fast as ever'}"
    figures = ", ".join(
        f"{value:g} {name}" for name, value in fault.figures.items() if not isinstance(value, str)
    )
    return f"{nodes}: {fault.what} {figures or '0 ms'}"
