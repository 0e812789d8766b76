"""The oracle of one run: hears everything from the world, and passes it on to the judges."""

from __future__ import annotations

from collections.abc import Sequence

from kvnode.messages import Message
from kvnode.operations import Get, Put
from kvnode.runtime import Row
from kvnode.sim.observer import Operation
from kvnode.sim.oracle.counters import Counters
from kvnode.sim.oracle.facts import Facts
from kvnode.sim.oracle.freshness import Freshness
from kvnode.sim.oracle.history import History
from kvnode.sim.oracle.letting_go import LettingGo
from kvnode.sim.oracle.messages import Messages
from kvnode.sim.oracle.reads import Reads
from kvnode.sim.oracle.refusals import Refusals
from kvnode.sim.oracle.statuses import Statuses
from kvnode.sim.oracle.writes import Writes
from kvnode.sim.world import World


class Oracle:
    """An Observer. violations: what the judges have found by `ended`."""

    def __init__(self, world: World) -> None:
        counts, replicas = world.counts, world.config.replicas
        self._world = world
        self._history = history = History(world)
        self._nodes = list(world.names)
        facts = Facts(history, replicas)
        self._writes = Writes(counts, history, facts, world.contexts, self._nodes)
        self._freshness = Freshness(counts, history, facts)
        self._reads = Reads(counts, history, replicas, self._nodes, self._writes.handed_out)
        self._counters = Counters(counts, history, replicas, self._nodes)
        self._refusals = Refusals(counts, history)
        self._messages = Messages(counts, history)
        self._statuses = Statuses(counts, history)
        self._letting_go = LettingGo(counts, world, history)
        self.violations: list[str] = []

    def sent(self, operation: Operation) -> None:
        """See Observer."""
        self._nodes[:] = self._world.names
        match operation.request:
            case Put():
                self._writes.sent(operation)
                self._refusals.sent(operation)
            case Get():
                self._reads.sent(operation)
                self._freshness.sent(operation)
            case _:
                self._counters.sent(operation)

    def answered(self, operation: Operation) -> None:
        """See Observer."""
        request = operation.request
        self._statuses.answered(operation, self._nodes)
        match request:
            case Put():
                self._refusals.answered(operation)
                fact = self._writes.answered(operation)
                if fact is not None:
                    self._freshness.written(request.key, fact)
            case Get():
                self._freshness.answered(operation, self._reads.answered(operation))
            case _:
                self._counters.answered(operation)

    def durable(self, node: str, rows: Sequence[Row]) -> None:
        """See Observer."""
        gone = self._letting_go.before(node, rows)
        self._messages.durable(node, rows)
        for key, made in self._history.durable(node, rows):
            self._refusals.appeared(key, made)
        self._letting_go.after(node, gone)

    def message(self, sender: str, receiver: str, message: Message) -> None:
        """See Observer."""
        self._messages.sent(sender, receiver, message)
        self._letting_go.message(sender, message)

    def lost(self, node: str) -> None:
        """See Observer."""
        self._history.lost(node)
        self._messages.lost(node)

    def ended(self) -> None:
        """See Observer."""
        judges = (
            self._writes,
            self._reads,
            self._freshness,
            self._refusals,
            self._counters,
            self._messages,
            self._letting_go,
            self._statuses,
        )
        for judge in (self._history, *judges):
            self.violations += judge.violations
