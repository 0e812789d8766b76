"""Carries out operations: through one node after another, each attempt and each end an event.

Here: one attempt at one operation, and how often it is attempted at once.
Must not live here: when (driver.py), through which node (nodes/table.py), the wire (stores/), what follows from how it
went (whoever listens: measure/events.py), additions that are sent again (retries.py, which also states the whole retry
policy).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from traffic.clock import Runtime
from traffic.measure.events import (
    Acknowledged,
    AttemptFailed,
    AttemptStarted,
    Ended,
    Events,
    Listener,
    Outcome,
    Request,
    Unanswered,
)
from traffic.nodes.table import NodeTable
from traffic.operations import WRITES, Add, Count, Get, Maintain, Operation, Put
from traffic.stores.base import CounterReply, NotFound, PutReply, Reply, Store, StoreError
from traffic.verify.totals import RunningTotals

ATTEMPTS_MAX = 3
_READS = (Get, Count)
_STORED = (PutReply, CounterReply)


@dataclass(frozen=True)
class Target:
    """What the drivers of one process share: the database, what is known of its nodes, the running totals, and who
    listens to all that is sent there, in the order in which they are told."""

    store: Store
    nodes: NodeTable
    totals: RunningTotals
    listeners: Sequence[Listener] = ()


class Executor:
    """Carries out the operations of one workload, and emits what happens to them."""

    def __init__(
        self,
        workload: str,
        target: Target,
        events: Events,
        *,
        runtime: Runtime,
        quorums: Callable[[], tuple[int, int]],
    ) -> None:
        """quorums: answers (r, w) of this moment."""
        self._workload = workload
        self._store = target.store
        self._nodes = target.nodes
        self._totals = target.totals
        self._emit = events.emit
        self._clock = runtime.clock
        self._wall = runtime.wall
        self._quorums = quorums

    async def execute(self, operation: Operation, intended_s: float) -> None:
        """Try until it has ended or, an addition, is unanswered."""
        request = self.request(operation, intended_s)
        tried: list[str] = []
        definite, refused = True, False
        sent_s = first_s = self._clock()
        while len(tried) < ATTEMPTS_MAX:
            node = self._nodes.choose(tried, region=operation.region)
            if node is None:
                break
            is_again = bool(tried)
            if is_again:
                sent_s = self._clock()
            tried.append(node)
            try:
                reply = await self.attempt(request, node, sent_s, is_again=is_again)
            except StoreError as error:
                definite = definite and error.definite
                refused = error.refused
                if (
                    refused
                    or isinstance(operation, Maintain)
                    or not (definite or isinstance(operation, _READS))
                ):
                    break
            else:
                self.end(request, node, "ok", reply, sent_s=sent_s)
                return
        if isinstance(operation, Add) and not refused:
            self._emit(Unanswered(request, first_s))
        else:
            outcome: Outcome = "definite" if definite else "indefinite"
            last = tried[-1] if tried else None
            self.end(request, last, outcome, None, sent_s=sent_s)

    def request(self, operation: Operation, intended_s: float) -> Request:
        """With the quorums of this moment. An addition grows the running totals of its counter."""
        r, w = self._quorums()
        if isinstance(operation, Add):
            counter = self._totals.of(operation.key)
            return Request(
                operation, intended_s, r, w, self._store.replicas, counter, counter.add(operation.amount)
            )
        return Request(operation, intended_s, r, w, self._store.replicas)

    def newest(self, request: Request) -> Request:
        """The same addition with the newest totals of its counter, which acknowledge all below them, and with the
        quorums of this moment."""
        assert request.counter is not None
        r, w = self._quorums()
        return replace(request, r=r, w=w, n=self._store.replicas, totals=request.counter.sent)

    async def attempt(self, request: Request, node: str, sent_s: float, *, is_again: bool = False) -> Reply:
        """One try through one node, at this moment. StoreError: it failed."""
        self._emit(AttemptStarted(request, node, sent_s, is_again))
        try:
            reply = await self._sent(request, node)
        except StoreError as error:
            if isinstance(error, NotFound) and isinstance(request.operation, _READS):
                return None  # an answer, if a disappointing one
            self._emit(AttemptFailed(request, node, error, self._clock(), int(self._wall() * 1000)))
            raise
        if isinstance(request.operation, WRITES) and isinstance(reply, _STORED):
            self._emit(Acknowledged(request, node, reply, self._clock()))
        return reply

    def end(
        self,
        request: Request,
        node: str | None,
        outcome: Outcome,
        reply: Reply,
        *,
        sent_s: float,
        done_s: float | None = None,
    ) -> None:
        """This operation is not tried any more. done_s: None is now."""
        operation = request.operation
        self._emit(
            Ended(
                workload=self._workload,
                operation=operation,
                node=node,
                outcome=outcome,
                reply=reply,
                intended_s=request.intended_s,
                sent_s=sent_s,
                done_s=self._clock() if done_s is None else done_s,
                r=request.r if isinstance(operation, _READS) else None,
            )
        )

    def _sent(self, request: Request, node: str) -> Awaitable[Reply]:
        store, operation = self._store, request.operation
        if isinstance(operation, Add):
            assert request.counter is not None
            increments, decrements = request.totals
            return store.add(
                node,
                operation.key,
                actor=request.counter.actor,
                increments=increments,
                decrements=decrements,
                w=request.w,
            )
        if isinstance(operation, Put):
            context, mode = operation.context, operation.mode
            return store.put(node, operation.key, operation.value, w=request.w, context=context, mode=mode)
        if isinstance(operation, Get):
            return store.get(node, operation.key, r=request.r)
        if isinstance(operation, Count):
            return store.counter(node, operation.key, r=request.r)
        return store.repair(node) if operation.task == "repair" else store.sweep(node)
