"""Flows: what people do in several steps, written as one scenario.

Here: the engine that runs scenarios.
Must not live here: any scenario.

A flow is a generator that yields operations and gets their replies:

    reply = yield who.get("look", key)      # raises OperationFailed where it failed for good
    yield Later(2.5)                        # thinking, walking, driving
    reply = yield who.add("shipment", key, -3)

One arrival is one operation on the wire, so the rate on the wire is the rate that was asked for: a step that is due
waits for the next arrival, steps that are due come before anything new, the longest due first. A flow has one
operation out at a time; replies find their flow by the operation's session, which is the flow's own.

Bounded: at most `flows_max` scenarios at once; who wants to start one more is told that there is no room.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple, TypeVar

from traffic.operations import Add, Count, Get, Maintain, Operation, Put
from traffic.stores.base import Reply

FLOWS_MAX = 5_000

T = TypeVar("T")


class OperationFailed(Exception):
    """The operation that the flow waited for has failed for good. definite: no replica can have applied it."""

    def __init__(self, operation: Operation, *, definite: bool) -> None:
        super().__init__(f"{operation.kind} of {operation.key!r} failed")
        self.definite = definite


class Later(NamedTuple):
    """A pause in a scenario."""

    seconds: float


Flow = Generator[Operation | Later, Reply, T]


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody in one scenario; the steps of the scenario are theirs."""

    persona: str
    region: str
    session: str

    def put(self, kind: str, key: str, value: str) -> Put:
        return Put(
            kind=kind, key=key, value=value, persona=self.persona, region=self.region, session=self.session
        )

    def get(self, kind: str, key: str) -> Get:
        return Get(kind=kind, key=key, **self._fields())

    def add(self, kind: str, key: str, amount: int) -> Add:
        return Add(kind=kind, key=key, amount=amount, **self._fields())

    def count(self, kind: str, key: str) -> Count:
        return Count(kind=kind, key=key, **self._fields())

    def repair(self, kind: str) -> Maintain:
        return Maintain(kind=kind, task="repair", **self._fields())

    def sweep(self, kind: str) -> Maintain:
        return Maintain(kind=kind, task="sweep", **self._fields())

    def _fields(self) -> dict[str, str]:
        return {"persona": self.persona, "region": self.region, "session": self.session}


class Flows:
    """All scenarios that are going on. Invariant: each is in `_due` or in `_out`, never in both."""

    def __init__(self, *, flows_max: int = FLOWS_MAX) -> None:
        self._flows_max = flows_max
        self._number = count()  # breaks ties, in the order of coming
        self._due: list[tuple[float, int, Flow[None], Operation | None]] = []
        self._out: dict[str, Flow[None]] = {}

    def __len__(self) -> int:
        return len(self._due) + len(self._out)

    @property
    def has_room(self) -> bool:
        return len(self) < self._flows_max

    def start(self, flow: Flow[None], now_s: float) -> None:
        """Begin a scenario; its first operation is due at once. RuntimeError without room."""
        if not self.has_room:
            raise RuntimeError(f"{self._flows_max} flows are going on already")
        self._go_on(flow, None, now_s)

    def next_due(self, now_s: float) -> Operation | None:
        """The operation that has been due for longest; None if none is."""
        while self._due and self._due[0][0] <= now_s:
            due_s, _, flow, operation = heappop(self._due)
            if operation is None:  # a pause is over, and perhaps has been for a while
                self._go_on(flow, None, due_s)
                continue
            assert operation.session is not None
            assert operation.session not in self._out, f"two operations of {operation.session} at once"
            self._out[operation.session] = flow
            return operation
        return None

    def answered(self, operation: Operation, reply: Reply, now_s: float) -> None:
        flow = self._out.pop(operation.session or "", None)
        if flow is not None:
            self._go_on(flow, reply, now_s)

    def failed(self, operation: Operation, *, definite: bool, now_s: float) -> None:
        flow = self._out.pop(operation.session or "", None)
        if flow is not None:
            self._go_on(flow, OperationFailed(operation, definite=definite), now_s)

    def _go_on(self, flow: Flow[None], news: Reply | OperationFailed, now_s: float) -> None:
        """Tell the flow what happened, and note its next step. One that does not handle a failure ends."""
        try:
            step = flow.throw(news) if isinstance(news, OperationFailed) else flow.send(news)
        except (StopIteration, OperationFailed):
            return
        if isinstance(step, Later):
            heappush(self._due, (now_s + step.seconds, next(self._number), flow, None))
        else:
            heappush(self._due, (now_s, next(self._number), flow, step))
