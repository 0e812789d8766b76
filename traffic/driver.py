"""The open loop: sends what a workload yields when it falls due, whether or not earlier operations were
answered.

Here: pacing and bounds. Not here: when (arrivals.py), what (workloads/), how one operation is carried out
(performer.py), repeated additions (resender.py, which also states the whole retry policy).

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
from traffic.operations import Operation
from traffic.performer import Performer
from traffic.rates import Constant, checked_rate
from traffic.recorder import Recorder
from traffic.stores.base import Store
from traffic.tap import Tap
from traffic.totals import RunningTotals
from traffic.workloads.base import Workload

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
        self._performer = Performer(
            workload,
            store,
            nodes=nodes,
            totals=totals,
            books=books,
            convergence=convergence,
            recorder=self.recorder,
            random=random,
            quorums=lambda: (self.settings.r, self.settings.w),
            clock=clock,
            wall=wall,
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
        """Additions that wait for an answer."""
        return self._performer.resending

    @property
    def tap(self) -> Tap | None:
        """Who is told of every operation that has ended; None by default."""
        return self._performer.tap

    @tap.setter
    def tap(self, tap: Tap | None) -> None:
        self._performer.tap = tap

    def start(self) -> None:
        if not self.running:
            self.running = True
            self._arrivals.skip_to(self._clock())
            self._mind_the_gap()

    def stop(self) -> None:
        """No more arrivals. What waits in the queue is shed; unanswered additions go on being sent again."""
        self.running = False
        self.recorder.shed += len(self._queue)
        for operation, _ in self._queue:
            self.workload.failed(operation, definite=True, now_s=self._wall())
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
        await self._performer.close()

    def _mind_the_gap(self) -> None:
        """Silence counts as a gap only while something should be sent."""
        if self.running and self.settings.rate > 0:
            self.recorder.began(self._clock())
        else:
            self.recorder.ended(self._clock())

    # --- arrivals -----------------------------------------------------------------------------------------

    def _arrive(self, intended_s: float) -> None:
        if len(self._tasks) < self._in_flight_max and not self._queue:
            if self.resending < RESENDING_MAX:
                self._begin(self.workload.next_operation(self._wall()), intended_s)
                return
        elif len(self._queue) < self._queue_max:
            self._queue.append((self.workload.next_operation(self._wall()), intended_s))
            return
        self.recorder.shed += 1

    def _begin(self, operation: Operation, intended_s: float) -> None:
        task = asyncio.get_running_loop().create_task(self._performer.perform(operation, intended_s))
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
