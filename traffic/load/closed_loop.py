"""The paced closed loop: k workers, each of which sends its next operation only when its last one was answered.

Here: the workers and their schedules.
Must not live here: what is sent and how (driver.py and executor.py lend `act`).

What it teaches. Most load testers work like this, and it hides what users feel. Each worker has a schedule of
its own; k of them share the rate. While the database stands still for 1.4 s, k operations wait and all others
are not even sent: measured from the send, that is k slow answers among thousands. Measured from when each was
*due*, everything that should have been sent meanwhile was late, too. Gil Tene calls the difference coordinated
omission: the tester has coordinated with the system under test to leave the bad moments out ("How NOT to
Measure Latency", 2013). The recorder keeps both clocks; wrk2, by the same author, corrects in this way, by a
plan of when each request was due. The open loop needs no correction: there nothing waits to be sent.

Once behind its schedule, a worker sends without pause until it has caught up. BEHIND_MAX bounds what it tries to
catch up with; what falls due beyond that is shed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from traffic.clock import Runtime
from traffic.load.arrivals import Arrivals, Pattern
from traffic.load.rates import Rate, Scaled

WORKERS_DEFAULT = 4
WORKERS_MAX = 256
BEHIND_MAX = 5_000
IDLE_S = 0.05
TICK_S_MIN = 0.001

Act = Callable[[float], Awaitable[None]]
"""Sends one operation that was due at that moment (or gives it up), and returns when it has ended."""


def checked_workers(workers: int | None) -> int | None:
    """ValueError if so many are too few or too many; None says nothing about it."""
    if workers is not None and not 1 <= workers <= WORKERS_MAX:
        raise ValueError(f"workers must be between 1 and {WORKERS_MAX}, got {workers}")
    return workers


class ClosedLoop:
    """Runs from `start` to `stop`; a loop that was stopped is not started again. Times are on `clock`."""

    def __init__(
        self,
        act: Act,
        *,
        workers: int,
        rate: Rate,
        pattern: Pattern,
        runtime: Runtime,
        shed: Callable[[int], None],
    ) -> None:
        """rate: of all workers together. shed: hears how many operations were given up."""
        self._act = act
        self._shed = shed
        self._clock = runtime.clock
        now_s = self._clock()
        share = Scaled(rate, 1 / workers)
        self._schedules = [
            Arrivals(share, random=runtime.random, start_s=now_s, pattern=pattern) for _ in range(workers)
        ]
        self._late: list[deque[float]] = [deque() for _ in range(workers)]
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self.busy = 0

    @property
    def workers(self) -> int:
        return len(self._schedules)

    @property
    def behind(self) -> int:
        """How many operations were due and are not sent yet."""
        return sum(len(late) for late in self._late)

    def start(self, failed: Callable[[asyncio.Task[None]], None]) -> None:
        """failed: hears of each worker that has ended, with whatever ended it."""
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._work(schedule, late))
            for schedule, late in zip(self._schedules, self._late, strict=True)
        ]
        for task in self._tasks:
            task.add_done_callback(failed)

    def stop(self) -> None:
        """No more operations; the ones under way are waited for by nobody but `close`."""
        if not self._stopping:
            now_s = self._clock()
            self._shed(self.behind + sum(1 for schedule in self._schedules for _ in schedule.due(now_s)))
        self._stopping = True
        for late in self._late:
            late.clear()

    def change(self, *, rate: Rate | None = None, pattern: Pattern | None = None) -> None:
        """Another rate or pattern from now on; each worker's gap under way goes on."""
        share = None if rate is None else Scaled(rate, 1 / self.workers)
        now_s = self._clock()
        for schedule in self._schedules:
            schedule.change(now_s=now_s, rate=share, pattern=pattern)

    async def close(self) -> None:
        self.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self, schedule: Arrivals, late: deque[float]) -> None:
        while not self._stopping:
            now_s = self._clock()
            for intended_s in schedule.due(now_s):
                if len(late) < BEHIND_MAX:
                    late.append(intended_s)
                else:
                    self._shed(1)
            if not late:
                await asyncio.sleep(max(schedule.wait_s(now_s), TICK_S_MIN))
                continue
            self.busy += 1
            try:
                await self._act(late.popleft())
            finally:
                self.busy -= 1
