"""Leases: who broke what, so that it can be undone when they have gone, and nothing else with it.

A lease is a connection to the supervisor that stays open. What is done over it is its holder's: when the connection
ends, or the holder's process does, however it died, every fault of its own is undone. The kernel closes the socket of a
process that was killed, so no timer and no heartbeat is needed.

Faults of different holders lie on each other in layers, for each single thing that can be wrong (rules.py). The latest
layer counts. A lease that ends takes its layers away, from the top or from between; what is below shows again. A
command of somebody without a lease is to stay: it is the ground from then on, and all layers above are gone.

Invariant: what is wrong with a thing is its top layer, or the ground where there is none.
Must not live here: connections (control.py), the holder's side (leased.py), telling nodes (faults/sync.py).
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from kvnode.cluster.faults.rules import FaultPlan, Thing


@dataclass(eq=False)
class Lease:
    """One holder. held: a connection that never asked for a lease is nobody's."""

    held: bool = False
    holder: str = ""
    pid: int = 0
    process_start: str = ""
    stopped: dict[str, int] = field(default_factory=dict)
    """Nodes that it killed, paused or wiped, and how often each had been started by then."""


class Layers:
    """Who has made each thing what it is."""

    def __init__(self) -> None:
        self._ground: dict[Thing, Any] = {}
        self._layers: dict[Thing, dict[Lease, Any]] = {}

    def note(self, lease: Lease | None, before: FaultPlan, after: FaultPlan) -> None:
        """A holder, or somebody without a lease, made `after` of `before`."""
        old, new = before.wrong, after.wrong
        for thing in sorted(old.keys() | new.keys(), key=repr):
            if old.get(thing) == new.get(thing):
                continue
            if lease is None:
                self._ground.pop(thing, None)
                self._layers.pop(thing, None)
                continue
            self._ground.setdefault(thing, old.get(thing))
            layers = self._layers.setdefault(thing, {})
            layers.pop(lease, None)  # so that it comes to lie on top
            layers[lease] = new.get(thing)

    def without(self, lease: Lease, plan: FaultPlan) -> FaultPlan:
        """The plan as it is when this lease's layers are taken away."""
        things = dict(plan.wrong)
        for thing, layers in list(self._layers.items()):
            if lease not in layers:
                continue
            del layers[lease]
            things[thing] = list(layers.values())[-1] if layers else self._ground[thing]
            if not layers:
                del self._layers[thing], self._ground[thing]
        return FaultPlan.of_things(plan.nodes, things)

    def count(self, lease: Lease) -> int:
        """How many things this lease has changed."""
        return sum(lease in layers for layers in self._layers.values())


_here: ContextVar[Lease | None] = ContextVar("lease", default=None)


def enter(lease: Lease) -> None:
    """What this task and its children do from now on is this lease's."""
    _here.set(lease)


def of_this_task() -> Lease | None:
    """The lease of the connection whose command the running task carries out, held or not."""
    return _here.get()


def current() -> Lease | None:
    """The held lease under which the running task works, if it works under one."""
    lease = _here.get()
    return lease if lease is not None and lease.held else None
