"""Carries out one operation: from the first attempt to its end, of which everybody is told.

Here: attempts through one node after another, and what recorder, write ledger, convergence, workload and listener
hear of how it ended. Not here: when (driver.py), through which node (nodes/table.py), the wire (stores/), additions
that need to be sent again (retries.py, which also states the whole retry policy).

How it works. Each kind of operation is a short loop over nodes. Every operation ends in exactly one of two
places, `_succeeded` and `_failed`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random

from traffic.clock import Clock
from traffic.load.retries import RetryQueue, Unanswered, doubt, refused
from traffic.measure.events import Ended, Listener, Outcome
from traffic.measure.recorder import Recorder
from traffic.nodes.convergence import Convergence
from traffic.nodes.table import NodeTable
from traffic.operations import Add, Count, Get, Maintain, Operation, Put
from traffic.stores.base import CounterReply, NotFound, Reply, Store, StoreError
from traffic.verify.totals import RunningTotals
from traffic.verify.write_ledger import WriteLedger
from traffic.workloads.base import Workload

ATTEMPTS_MAX = 3


class Executor:
    """Carries out the operations of one workload. `listener` may be set at any time."""

    def __init__(
        self,
        workload: Workload,
        store: Store,
        *,
        nodes: NodeTable,
        totals: RunningTotals,
        write_ledger: WriteLedger,
        convergence: Convergence,
        recorder: Recorder,
        random: Random,
        quorums: Callable[[], tuple[int, int]],
        clock: Clock,
        wall: Callable[[], float],
    ) -> None:
        """quorums: answers (r, w) of this moment. clock: monotonic. wall: what the workload goes by."""
        self._workload = workload
        self._store = store
        self._nodes = nodes
        self._totals = totals
        self._write_ledger = write_ledger
        self._convergence = convergence
        self._recorder = recorder
        self._quorums = quorums
        self._clock = clock
        self._wall = wall
        self.listener: Listener | None = None
        self._retries = RetryQueue(
            store,
            nodes,
            write_ledger,
            recorder,
            random=random,
            clock=clock,
            wall=wall,
            w=lambda: self._quorums()[1],
            settled=self._retry_settled,
            given_up=self._retry_given_up,
        )

    @property
    def resending(self) -> int:
        """Additions that wait for an answer."""
        return self._retries.count

    async def close(self) -> None:
        await self._retries.close()

    async def execute(self, operation: Operation, intended_s: float) -> None:
        """Try until it has ended, or (an addition) is the retry queue's business."""
        r, _ = self._quorums()
        if isinstance(operation, Add):
            await self._add(operation, intended_s)
        elif isinstance(operation, Put):
            await self._put(operation, intended_s)
        elif isinstance(operation, Get):
            await self._read(operation, intended_s, r, lambda node: self._store.get(node, operation.key, r=r))
        elif isinstance(operation, Count):
            await self._read(
                operation, intended_s, r, lambda node: self._store.counter(node, operation.key, r=r)
            )
        else:
            await self._maintain(operation, intended_s)

    # --- the kinds of operation ---------------------------------------------------------------------------

    async def _put(self, operation: Put, intended_s: float) -> None:
        _, w = self._quorums()
        tried: list[str] = []
        sent_s = self._clock()
        while (node := self._next_node(operation, tried)) is not None:
            sent_s = self._clock()
            self._convergence.touched(operation.key, sent_s, counter=False)
            try:
                reply = await self._store.put(
                    node,
                    operation.key,
                    operation.value,
                    w=w,
                    context=operation.context,
                    mode=operation.mode,
                )
            except StoreError as error:
                self._note(operation, node, error)
                if not error.definite:
                    self._write_ledger.indefinite_put(operation.key)
                    self._failed(operation, node, definite=False, intended_s=intended_s, sent_s=sent_s)
                    return
                if refused(error):
                    break
                continue
            self._write_ledger.acknowledged_put(reply, w=w, mode=operation.mode)
            self._convergence.touched(operation.key, self._clock(), counter=False)
            self._succeeded(operation, node, reply, intended_s=intended_s, sent_s=sent_s)
            return
        self._failed(
            operation, tried[-1] if tried else None, definite=True, intended_s=intended_s, sent_s=sent_s
        )

    async def _read(
        self,
        operation: Get | Count,
        intended_s: float,
        r: int,
        read: Callable[[str], Awaitable[Reply]],
    ) -> None:
        tried: list[str] = []
        definite = True
        sent_s = self._clock()
        while (node := self._next_node(operation, tried)) is not None:
            sent_s = self._clock()
            try:
                reply = await read(node)
            except NotFound:
                reply = None  # an answer, if a disappointing one
            except StoreError as error:
                self._note(operation, node, error)
                definite = definite and error.definite
                if refused(error):
                    break
                continue
            self._succeeded(operation, node, reply, intended_s=intended_s, sent_s=sent_s, r=r)
            return
        self._failed(
            operation, tried[-1] if tried else None, definite=definite, intended_s=intended_s, sent_s=sent_s
        )

    async def _add(self, operation: Add, intended_s: float) -> None:
        counter = self._totals.of(operation.key)
        totals = counter.add(operation.amount)
        _, w = self._quorums()
        tried: list[str] = []
        first_sent_s = self._clock()
        while (node := self._next_node(operation, tried)) is not None:
            sent_s = self._clock()
            self._convergence.touched(operation.key, sent_s, counter=True)
            self._write_ledger.sending(counter)
            try:
                reply = await self._store.add(
                    node,
                    operation.key,
                    actor=counter.actor,
                    increments=totals.increments,
                    decrements=totals.decrements,
                    w=w,
                )
            except StoreError as error:
                self._note(operation, node, error)
                if refused(error):
                    self._write_ledger.unanswered_counter(counter, totals)
                    self._failed(operation, node, definite=True, intended_s=intended_s, sent_s=sent_s)
                    return
                if not error.definite:
                    break
                continue
            self._write_ledger.acknowledged_counter(counter, totals, w=w)
            counter.acknowledge(totals)
            self._convergence.touched(operation.key, self._clock(), counter=True)
            self._succeeded(operation, node, reply, intended_s=intended_s, sent_s=sent_s)
            if self._retries.count:
                self._retries.settle(counter, node, reply)
            return
        self._write_ledger.unanswered_counter(counter, totals)
        self._retries.take(counter, Unanswered(operation, totals, intended_s, first_sent_s))

    async def _maintain(self, operation: Maintain, intended_s: float) -> None:
        """Tried once: whoever asks for night work asks again the next night."""
        node = self._nodes.choose(region=operation.region) or self._store.nodes[0]
        sent_s = self._clock()
        try:
            if operation.task == "repair":
                await self._store.repair(node)
            else:
                await self._store.sweep(node)
        except StoreError as error:
            self._note(operation, node, error)
            self._failed(operation, node, definite=error.definite, intended_s=intended_s, sent_s=sent_s)
        else:
            self._succeeded(operation, node, None, intended_s=intended_s, sent_s=sent_s)

    # --- attempts -----------------------------------------------------------------------------------------

    def _next_node(self, operation: Operation, tried: list[str]) -> str | None:
        """The node for the next attempt, noted as tried; None when it is enough."""
        if len(tried) >= ATTEMPTS_MAX:
            return None
        node = self._nodes.choose(tried, region=operation.region)
        if node is not None:
            if tried:
                self._recorder.resent += 1
            tried.append(node)
        return node

    def _note(self, operation: Operation, node: str, error: StoreError) -> None:
        at_ms = int(self._wall() * 1000)
        self._recorder.attempt_failed(node, error.detail, kind=operation.kind, at_ms=at_ms)
        doubt(self._nodes, node, error, self._clock())

    # --- ends ---------------------------------------------------------------------------------------------

    def _succeeded(
        self,
        operation: Operation,
        node: str,
        reply: Reply,
        *,
        intended_s: float,
        sent_s: float,
        r: int | None = None,
    ) -> None:
        done_s = self._clock()
        self._recorder.note(
            operation.kind,
            node,
            operation.region,
            "ok",
            intended_s=intended_s,
            sent_s=sent_s,
            done_s=done_s,
        )
        if self.listener is not None:
            self._tell(self.listener, operation, node, "ok", reply, (intended_s, sent_s, done_s), r)
        self._workload.answered(operation, reply, self._wall())

    def _failed(
        self, operation: Operation, node: str | None, *, definite: bool, intended_s: float, sent_s: float
    ) -> None:
        outcome: Outcome = "definite" if definite else "indefinite"
        done_s = self._clock()
        self._recorder.note(
            operation.kind,
            node,
            operation.region,
            outcome,
            intended_s=intended_s,
            sent_s=sent_s,
            done_s=done_s,
        )
        if self.listener is not None:
            self._tell(self.listener, operation, node, outcome, None, (intended_s, sent_s, done_s))
        self._workload.failed(operation, definite=definite, now_s=self._wall())

    def _tell(
        self,
        listener: Listener,
        operation: Operation,
        node: str | None,
        outcome: Outcome,
        reply: Reply,
        times_s: tuple[float, float, float],
        r: int | None = None,
    ) -> None:
        intended_s, sent_s, done_s = times_s
        listener.operation(
            Ended(
                workload=self._workload.name,
                operation=operation,
                node=node,
                outcome=outcome,
                reply=reply,
                intended_s=intended_s,
                sent_s=sent_s,
                done_s=done_s,
                r=r,
            )
        )

    def _retry_settled(self, unanswered: Unanswered, node: str, reply: CounterReply) -> None:
        operation, times = unanswered.operation, (unanswered.intended_s, unanswered.sent_s)
        self._convergence.touched(operation.key, self._clock(), counter=True)
        self._succeeded(operation, node, reply, intended_s=times[0], sent_s=times[1])

    def _retry_given_up(self, unanswered: Unanswered, node: str) -> None:
        """Indefinite: an earlier attempt, of which nobody knows, may have been applied."""
        operation, times = unanswered.operation, (unanswered.intended_s, unanswered.sent_s)
        self._failed(operation, node, definite=False, intended_s=times[0], sent_s=times[1])
