"""The open loop: sends what a workload yields when it falls due, whether or not earlier operations were
answered.

Here: pacing, bounds, attempts, and telling recorder, books and workload how each operation ended. Not
here: when (arrivals.py), what (workloads/), through which node (nodes.py), the wire (stores/), repeated
increments (resender.py, which also states the whole retry policy).

Bounds. At most `in_flight_max` operations are out at once; what falls due beyond that waits in a queue of
at most `queue_max`, its latency counted from the intended start; what falls due beyond that is *shed*:
counted, never sent, never silently forgotten.

How it works. One task paces: it asks the arrivals what is due, starts a task for each, and sleeps until
the next (or 50 ms). A rate change takes effect in the middle of a gap; nothing restarts.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from traffic.arrivals import Arrivals, Pattern
from traffic.books import Books
from traffic.clock import Clock, monotonic
from traffic.convergence import Convergence
from traffic.nodes import NodeTable
from traffic.operations import Add, Get, Operation, Put
from traffic.rates import Constant, checked_rate
from traffic.recorder import Recorder
from traffic.resender import Resender, Unanswered, refused
from traffic.stores.base import NotFound, Store, StoreError
from traffic.totals import RunningTotals
from traffic.workloads.base import Workload

ATTEMPTS_MAX = 3
IN_FLIGHT_MAX = 512
QUEUE_MAX = 5_000
RESENDING_MAX = 50_000
IDLE_S = 0.05
TICK_S_MIN = 0.001  # uvloop rounds a shorter sleep to none, and the pacer would spin


@dataclass(slots=True)
class Settings:
    """What people may change while traffic runs. `r` and `w` are cut down to N where a cluster is smaller."""

    rate: float = 50.0
    pattern: Pattern = "poisson"
    r: int = 2
    w: int = 2


class Driver:
    """Drives one workload. `run` is a task that lives as long as the process; `start` and `stop` switch
    arrivals."""

    def __init__(
        self,
        workload: Workload,
        store: Store,
        *,
        nodes: NodeTable,
        totals: RunningTotals,
        books: Books,
        convergence: Convergence,
        random: Random,
        settings: Settings,
        in_flight_max: int = IN_FLIGHT_MAX,
        queue_max: int = QUEUE_MAX,
        clock: Clock = monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._store = store
        self._nodes = nodes
        self._totals = totals
        self._books = books
        self._convergence = convergence
        self._in_flight_max = in_flight_max
        self._queue_max = queue_max
        self.workload = workload
        self.settings = replace(
            settings, r=min(settings.r, store.replicas), w=min(settings.w, store.replicas)
        )
        self.running = False
        self.recorder = Recorder(workload.kinds, store.nodes, self._clock())
        self._arrivals = Arrivals(
            Constant(settings.rate), random=random, start_s=self._clock(), pattern=settings.pattern
        )
        self._resender = Resender(
            store,
            nodes,
            books,
            self.recorder,
            random=random,
            clock=clock,
            w=lambda: self.settings.w,
            settled=self._resend_settled,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._queue: deque[tuple[Operation, float]] = deque()
        self._broken: BaseException | None = None

    # --- control ------------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        return len(self._tasks)

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def resending(self) -> int:
        """Increments that wait for an answer."""
        return self._resender.count

    def start(self) -> None:
        if not self.running:
            self.running = True
            self._arrivals.skip_to(self._clock())
            self._mind_the_gap()

    def stop(self) -> None:
        """No more arrivals. What waits in the queue is shed; unanswered increments go on being sent again."""
        self.running = False
        self.recorder.shed += len(self._queue)
        self._queue.clear()
        self._mind_the_gap()

    def change(
        self,
        *,
        rate: float | None = None,
        pattern: Pattern | None = None,
        r: int | None = None,
        w: int | None = None,
    ) -> None:
        """New settings, from this moment on. ValueError says what is wrong; then nothing has changed."""
        for name, quorum in (("r", r), ("w", w)):
            if quorum is not None and not 1 <= quorum <= self._store.replicas:
                raise ValueError(f"{name} must be between 1 and {self._store.replicas} (N), got {quorum}")
        new_rate = None if rate is None else Constant(checked_rate(rate))
        now_s = self._clock()
        if not self.running:
            self._arrivals.skip_to(now_s)
        self._arrivals.change(now_s=now_s, rate=new_rate, pattern=pattern)
        self.settings = Settings(
            rate=self.settings.rate if rate is None else float(rate),
            pattern=pattern or self.settings.pattern,
            r=r or self.settings.r,
            w=w or self.settings.w,
        )
        self._mind_the_gap()

    async def run(self) -> None:
        """Pace for ever. An error in the generator itself ends it loudly."""
        while self._broken is None:
            now_s = self._clock()
            if self.running:
                for intended_s in self._arrivals.due(now_s):
                    self._arrive(intended_s)
            self.recorder.tick(
                now_s, target_rate=self.settings.rate if self.running else 0.0, in_flight=self.in_flight
            )
            wait_s = self._arrivals.wait_s(now_s) if self.running else IDLE_S
            await asyncio.sleep(max(wait_s, TICK_S_MIN))
        raise RuntimeError("the generator has a bug") from self._broken

    async def drained(self, timeout_s: float) -> bool:
        """Wait until everything that was sent is answered; False if it is not within `timeout_s`."""
        deadline_s = self._clock() + timeout_s
        while self._tasks or self._queue or self.resending:
            if self._clock() >= deadline_s:
                return False
            await asyncio.sleep(0.02)
        return True

    async def close(self) -> None:
        self.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._resender.close()

    def _mind_the_gap(self) -> None:
        """Silence counts as a gap only while something should be sent."""
        if self.running and self.settings.rate > 0:
            self.recorder.began(self._clock())
        else:
            self.recorder.ended(self._clock())

    # --- arrivals -----------------------------------------------------------------------------------------

    def _arrive(self, intended_s: float) -> None:
        if len(self._tasks) < self._in_flight_max and not self._queue:
            if self._resender.count < RESENDING_MAX:
                self._begin(self.workload.next_operation(self._wall()), intended_s)
                return
        elif len(self._queue) < self._queue_max:
            self._queue.append((self.workload.next_operation(self._wall()), intended_s))
            return
        self.recorder.shed += 1

    def _begin(self, operation: Operation, intended_s: float) -> None:
        task = asyncio.get_running_loop().create_task(self._perform(operation, intended_s))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._broken = error
        elif self._queue and len(self._tasks) < self._in_flight_max:
            self._begin(*self._queue.popleft())

    # --- one operation ------------------------------------------------------------------------------------

    async def _perform(self, operation: Operation, intended_s: float) -> None:
        if isinstance(operation, Add):
            await self._add(operation, intended_s)
        elif isinstance(operation, Put):
            await self._put(operation, intended_s)
        else:
            await self._get(operation, intended_s)

    async def _put(self, operation: Put, intended_s: float) -> None:
        tried: list[str] = []
        w = self.settings.w
        while (node := self._next_node(tried)) is not None:
            sent_s = self._clock()
            self._convergence.touched(operation.key, sent_s, counter=False)
            try:
                reply = await self._store.put(node, operation.key, operation.value, w=w)
            except StoreError as error:
                self._note(node, error)
                if not error.definite:
                    self._books.indefinite_put(operation.key)
                    self.recorder.failed(definite=False)
                    return
                if refused(error):
                    break
                continue
            self._books.acknowledged_put(reply, w=w)
            self._done(operation, node, intended_s, sent_s)
            self._convergence.touched(operation.key, self._clock(), counter=False)
            return
        self.recorder.failed(definite=True)

    async def _get(self, operation: Get, intended_s: float) -> None:
        tried: list[str] = []
        definite = True
        while (node := self._next_node(tried)) is not None:
            sent_s = self._clock()
            try:
                await self._store.get(node, operation.key, r=self.settings.r)
            except NotFound:
                # An answer, if a disappointing one (possible with r + w <= N): nobody has seen the tweet.
                now_s = self._clock()
                self.recorder.succeeded(
                    operation.kind, node, intended_s=intended_s, sent_s=sent_s, done_s=now_s
                )
                return
            except StoreError as error:
                self._note(node, error)
                definite = definite and error.definite
                if refused(error):
                    break
                continue
            self._done(operation, node, intended_s, sent_s)
            return
        self.recorder.failed(definite=definite)

    async def _add(self, operation: Add, intended_s: float) -> None:
        counter = self._totals.of(operation.key)
        total = counter.add(operation.amount)
        first_sent_s = self._clock()
        tried: list[str] = []
        w = self.settings.w
        while (node := self._next_node(tried)) is not None:
            sent_s = self._clock()
            self._convergence.touched(operation.key, sent_s, counter=True)
            try:
                await self._store.add(node, operation.key, actor=counter.actor, increments=total, w=w)
            except StoreError as error:
                self._note(node, error)
                if refused(error):
                    self._books.unanswered_counter(counter, total)
                    self.recorder.failed(definite=True)
                    return
                if not error.definite:
                    break
                continue
            self._books.acknowledged_counter(counter, total, w=w)
            counter.acknowledge(total)
            self._done(operation, node, intended_s, sent_s)
            self._convergence.touched(operation.key, self._clock(), counter=True)
            if self._resender.count:
                self._resender.settle(counter, node, self._clock())
            return
        self._books.unanswered_counter(counter, total)
        self._resender.take(counter, Unanswered(operation, total, intended_s, first_sent_s))

    def _next_node(self, tried: list[str]) -> str | None:
        """The node for the next attempt, noted as tried; None when it is enough."""
        if len(tried) >= ATTEMPTS_MAX:
            return None
        node = self._nodes.choose(tried)
        if node is not None:
            if tried:
                self.recorder.resent += 1
            tried.append(node)
        return node

    def _note(self, node: str, error: StoreError) -> None:
        self.recorder.attempt_failed(node)
        if not error.status:  # no answer at all: the node, not the operation, is in doubt
            self._nodes.no_answer(node, self._clock())

    def _done(self, operation: Operation, node: str, intended_s: float, sent_s: float) -> None:
        self.recorder.succeeded(
            operation.kind, node, intended_s=intended_s, sent_s=sent_s, done_s=self._clock()
        )
        self.workload.acknowledged(operation, self._wall())

    def _resend_settled(self, unanswered: Unanswered) -> None:
        self._convergence.touched(unanswered.operation.key, self._clock(), counter=True)
        self.workload.acknowledged(unanswered.operation, self._wall())
