"""Drives a workload.

By default as an open loop: it sends what the workload yields when it falls due, whether or not earlier operations
were answered.

Here: pacing, settings and bounds.
Must not live here: when (arrivals.py), what (workloads/), how one operation is carried out (executor.py), repeated
additions (retries.py, which also states the whole retry policy), the workers of a closed loop (closed_loop.py).

Bounds. At most `in_flight_max` operations are out at once; what falls due beyond that waits in a queue of
at most `queue_max`, its latency counted from the intended start; what falls due beyond that is *shed*:
counted, never sent, never silently forgotten. So is, in both loops, what falls due while `resending_max` additions wait
for an answer.

How it works. One task paces: it asks the arrivals what is due, starts a task for each, and sleeps until
the next (or 50 ms). A rate change takes effect in the middle of a gap; nothing restarts. Switching to the
closed loop lets the workers go on where the pacer was; what is out still comes back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, get_args

from traffic.clock import Runtime
from traffic.load.arrivals import Arrivals, Pattern
from traffic.load.closed_loop import WORKERS_DEFAULT, ClosedLoop, checked_workers
from traffic.load.executor import Executor, Target
from traffic.load.rates import Constant, Rate, checked_rate, rate_now
from traffic.load.retries import RetryQueue
from traffic.measure.events import Ended, Events
from traffic.measure.recorder import Recorder
from traffic.operations import Operation
from traffic.workloads.base import Workload

IDLE_S = 0.05
TICK_S_MIN = 0.001  # uvloop rounds a shorter sleep to none, and the pacer would spin


Loop = Literal["open", "closed"]
LOOPS: tuple[Loop, ...] = get_args(Loop)


@dataclass(slots=True)
class Settings:
    """What people may change while traffic runs. `r` and `w` are cut down to N where a cluster is smaller.

    rate: operations/s; where `shape` is given, the highest that it reaches. shape: how the rate goes with time,
    from the moment at which traffic starts or the shape is set; None: it stays the same.
    """

    rate: float = 50.0
    pattern: Pattern = "poisson"
    r: int = 2
    w: int = 2
    loop: Loop = "open"
    workers: int = WORKERS_DEFAULT
    shape: Rate | None = None

    def __post_init__(self) -> None:
        if self.shape is not None:
            self.rate = self.shape.peak_ops_per_s

    def whole_rate(self) -> Rate:
        return Constant(self.rate) if self.shape is None else self.shape

    def describe(self) -> dict[str, Any]:
        """For people and JSON."""
        return {
            "rate": self.rate,
            "rate_shape": self.whole_rate().describe(),
            "pattern": self.pattern,
            "r": self.r,
            "w": self.w,
            "loop": self.loop,
            **({"workers": self.workers} if self.loop == "closed" else {}),
        }


@dataclass(frozen=True)
class Limits:
    """Of operations that are out, that wait for a free place, and of additions that wait for an answer."""

    in_flight_max: int = 512
    queue_max: int = 5_000
    resending_max: int = 50_000


class Schedule(Protocol):
    """When operations fall due; arrivals.Arrivals, or the times of a recorded run."""

    def due(self, now_s: float) -> Iterable[float]: ...

    def wait_s(self, now_s: float) -> float: ...

    def change(self, *, now_s: float, rate: Rate | None = None, pattern: Pattern | None = None) -> None: ...

    def skip_to(self, now_s: float) -> None: ...


class Driver:
    """Drives one workload. `run` is a task that lives as long as the process; `start` and `stop` switch
    arrivals."""

    def __init__(
        self,
        workload: Workload,
        target: Target,
        *,
        settings: Settings,
        runtime: Runtime,
        limits: Limits = Limits(),
        schedule: Schedule | None = None,
    ) -> None:
        """schedule: instead of arrivals at the rate of the settings."""
        store = target.store
        self._runtime = runtime
        self._clock = runtime.clock
        self._wall = runtime.wall
        self._store = store
        self._limits = limits
        self.workload = workload
        self.settings = replace(
            settings, r=min(settings.r, store.replicas), w=min(settings.w, store.replicas)
        )
        self.running = False
        self.recorder = Recorder(workload.kinds, store.nodes, self._clock())
        self._rate = settings.whole_rate().anchored(self._clock())
        self._arrivals: Schedule = schedule or Arrivals(
            self._rate, random=runtime.random, start_s=self._clock(), pattern=settings.pattern
        )
        self._workers: ClosedLoop | None = None
        self._retired: list[ClosedLoop] = []  # stopped, with operations still out
        self.events = Events(*target.listeners, self.recorder)
        self._executor = Executor(
            workload.name,
            target,
            self.events,
            runtime=runtime,
            quorums=lambda: (self.settings.r, self.settings.w),
        )
        self._retries = RetryQueue(self._executor, target.nodes, runtime)
        self._retries.listen(self.events)
        self.events.subscribe(Ended, self._tell_workload)
        self._tasks: set[asyncio.Task[None]] = set()
        self._queue: deque[tuple[Operation, float]] = deque()
        self._minding = False
        self._broken: BaseException | None = None

    # --- control ------------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        loops = self._retired if self._workers is None else [*self._retired, self._workers]
        return len(self._tasks) + sum(loop.busy for loop in loops)

    @property
    def queued(self) -> int:
        return len(self._queue) + (0 if self._workers is None else self._workers.behind)

    @property
    def resending(self) -> int:
        """Additions that wait for an answer."""
        return self._retries.count

    def target_rate(self, now_s: float | None = None) -> float:
        """What the rate is now, in operations/s; 0 while stopped."""
        return rate_now(self._rate, self._clock() if now_s is None else now_s) if self.running else 0.0

    def start(self) -> None:
        """A rate with a shape begins with its beginning."""
        if not self.running:
            now_s = self._clock()
            self.running = True
            self._rate = self.settings.whole_rate().anchored(now_s)
            self._arrivals.skip_to(now_s)
            self._arrivals.change(now_s=now_s, rate=self._rate)
            self._begin_loop()
            self._mind_the_gap(now_s)

    def stop(self) -> None:
        """No more arrivals. What waits in the queue is shed; unanswered additions go on being sent again."""
        now_s = self._clock()
        self.running = False
        self._end_loop()
        self._shed_queue()
        self._mind_the_gap(now_s)

    def check_quorums(self, *, r: int | None = None, w: int | None = None) -> None:
        """ValueError if one of them cannot be had."""
        for name, quorum in (("r", r), ("w", w)):
            if quorum is not None and not 1 <= quorum <= self._store.replicas:
                raise ValueError(f"{name} must be between 1 and {self._store.replicas} (N), got {quorum}")

    def change(
        self,
        *,
        rate: float | Rate | None = None,
        pattern: Pattern | None = None,
        r: int | None = None,
        w: int | None = None,
        loop: Loop | None = None,
        workers: int | None = None,
    ) -> None:
        """New settings, from this moment on; a rate with a shape begins now. ValueError says what is wrong;
        then nothing has changed."""
        self.check_quorums(r=r, w=w)
        checked_workers(workers)
        new = replace(self.settings, pattern=pattern or self.settings.pattern)
        new.r, new.w = r or new.r, w or new.w
        new.loop, new.workers = loop or new.loop, workers or new.workers
        if isinstance(rate, int | float):
            new = replace(new, rate=checked_rate(rate), shape=None)
        elif rate is not None:
            new = replace(new, shape=rate)
        now_s = self._clock()
        another_loop = (new.loop, new.workers) != (self.settings.loop, self.settings.workers)
        self.settings = new
        if self.running and self._workers is None:
            self._arrive_all(now_s)  # by the rate and the loop that held until now
        else:
            self._arrivals.skip_to(now_s)
        if rate is not None:
            self._rate = new.whole_rate().anchored(now_s)
        self._arrivals.change(now_s=now_s, rate=self._rate if rate is not None else None, pattern=pattern)
        if another_loop:
            self._end_loop()
            self._begin_loop()
        elif self._workers is not None:
            self._workers.change(rate=self._rate if rate is not None else None, pattern=pattern)
        self._mind_the_gap(now_s)

    async def run(self) -> None:
        """Pace for ever. An error in the generator itself ends it loudly.

        By a timer's callback, not by sleeping: at 1,000 operations/s waking up is what costs most, and waking a
        task costs a third more."""
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()
        timer: asyncio.TimerHandle | None = None

        def turn() -> None:
            nonlocal timer
            try:
                wait_s = self._turn()
            except Exception as error:  # noqa: BLE001 whatever it is, `run` raises it
                self._broken = error
            if self._broken is None:
                timer = loop.call_later(max(wait_s, TICK_S_MIN), turn)
            elif not over.done():
                over.set_result(None)

        turn()
        try:
            await over
        finally:
            if timer is not None:
                timer.cancel()
        raise RuntimeError("the generator has a bug") from self._broken

    def _turn(self) -> float:
        """Send what is due; how long to wait for more."""
        now_s = self._clock()
        pacing = self.running and self._workers is None
        if pacing:
            self._arrive_all(now_s)
        self._mind_the_gap(now_s)
        self._tick(now_s)
        return self._arrivals.wait_s(now_s) if pacing else IDLE_S

    async def drained(self, timeout_s: float) -> bool:
        """Wait until everything that was sent is answered; False if it is not within `timeout_s`."""
        deadline_s = self._clock() + timeout_s
        while self.in_flight or self.queued or self.resending:
            if self._clock() >= deadline_s:
                return False
            await asyncio.sleep(0.02)
        return True

    async def close(self) -> None:
        self.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for loop in self._retired:
            await loop.close()
        await self._retries.close()

    def _mind_the_gap(self, now_s: float) -> None:
        """Silence counts as a gap only while something should be sent."""
        wanted = self.target_rate(now_s) > 0
        if wanted != self._minding:
            self._minding = wanted
            (self.recorder.began if wanted else self.recorder.ended)(now_s)

    def _tick(self, now_s: float) -> None:
        self.recorder.tick(now_s, target_rate=self.target_rate(now_s), in_flight=self.in_flight)

    # --- the closed loop ----------------------------------------------------------------------------------

    def _begin_loop(self) -> None:
        if not self.running or self.settings.loop == "open":
            return
        self._workers = ClosedLoop(
            self._act,
            workers=self.settings.workers,
            rate=self._rate,
            pattern=self.settings.pattern,
            runtime=self._runtime,
            shed=self._shed,
        )
        self._workers.start(self._worker_ended)

    def _end_loop(self) -> None:
        if self._workers is not None:
            self._workers.stop()
            self._retired = [loop for loop in self._retired if loop.busy]
            self._retired.append(self._workers)
            self._workers = None

    def _shed(self, count: int) -> None:
        self.recorder.shed += count

    async def _act(self, intended_s: float) -> None:
        if self._too_many_unanswered:
            self._shed(1)
            return
        await self._executor.execute(self.workload.next_operation(self._wall()), intended_s)

    def _worker_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._broken = task.exception()

    # --- arrivals -----------------------------------------------------------------------------------------

    @property
    def _too_many_unanswered(self) -> bool:
        return self.resending >= self._limits.resending_max

    def _arrive_all(self, now_s: float) -> None:
        for intended_s in self._arrivals.due(now_s):
            self._arrive(intended_s)

    def _arrive(self, intended_s: float) -> None:
        if len(self._tasks) < self._limits.in_flight_max and not self._queue:
            if not self._too_many_unanswered:
                self._begin(self.workload.next_operation(self._wall()), intended_s)
                return
        elif len(self._queue) < self._limits.queue_max:
            self.recorder.queued += 1
            self._queue.append((self.workload.next_operation(self._wall()), intended_s))
            return
        self._shed(1)

    def _begin(self, operation: Operation, intended_s: float) -> None:
        task = asyncio.get_running_loop().create_task(self._executor.execute(operation, intended_s))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _tell_workload(self, ended: Ended) -> None:
        if ended.outcome == "ok":
            self.workload.answered(ended.operation, ended.reply, self._wall())
        else:
            self.workload.failed(ended.operation, definite=ended.outcome == "definite", now_s=self._wall())

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._broken = error
        elif self._queue and self._too_many_unanswered:
            self._shed_queue()
        elif self._queue and len(self._tasks) < self._limits.in_flight_max:
            self._begin(*self._queue.popleft())

    def _shed_queue(self) -> None:
        self._shed(len(self._queue))
        for operation, _ in self._queue:
            self.workload.failed(operation, definite=True, now_s=self._wall())
        self._queue.clear()
