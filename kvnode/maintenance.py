"""Maintenance: what a node does for its data from time to time, and when asked: repair, sweep, checkpoint, scrub.

Each task has a period. Rounds begin at random times about a period apart, or as far apart as the last one took, so
that nodes do not all work at the same time, and none all the time. Besides, a task that looks at all rows is throttled
(throttle.py), unless it was asked for. What became of the last round is kept for /stats.

Must not live here: what the tasks do (anti_entropy/exchange.py, tombstones/reaper.py, records/scrub.py, storage/).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from kvnode.config import ASKED_SHARE
from kvnode.runtime import Runtime
from kvnode.throttle import Share, background_share

Work = Callable[[Share], Awaitable[dict[str, Any]]]
"""One round, which takes no more than that share of a core; answers what became of it."""


class TaskStats(msgspec.Struct, frozen=True):
    """How one task stands. last_began: wall ms. last_duration_s is None before the first round has ended.

    next_in_s: when the next round begins, if none is under way. result: what the last round answered.
    """

    running: bool
    rounds_total: int
    last_began: float | None
    last_duration_s: float | None
    next_in_s: float | None
    result: dict[str, Any]
    error: str


class MaintenanceTask:
    """One task and its rounds. result: what the last round answered; error: why it failed, or nothing."""

    def __init__(self, runtime: Runtime, work: Work, *, period_s: float, at_start: bool = False) -> None:
        self._runtime = runtime
        self._work = work
        self._period_ms = period_s * 1000.0
        self._wake: asyncio.Future[None] | None = None
        self._is_due = at_start
        self._is_asked = False
        self._ended = asyncio.Event()  # of the round that is under way, or of the next
        self._next_ms = 0.0
        self._duration_ms = 0.0
        self._began_wall_ms: float | None = None
        self.is_running = False
        self.round_count = 0
        self.result: dict[str, Any] = {}
        self.error = ""

    async def run(self) -> None:
        """Rest, work, rest, for ever."""
        clock = self._runtime.clock
        while True:
            await self._rest()
            self.is_running, began_ms = True, clock.now_ms()
            self._began_wall_ms = clock.wall_ms()
            try:
                self.result, self.error = await self._work(self._share), ""
            except OSError as error:
                self.error = str(error)
            self.is_running, self._duration_ms = False, clock.now_ms() - began_ms
            self._is_asked = False
            self.round_count += 1
            ended, self._ended = self._ended, asyncio.Event()
            ended.set()

    async def _rest(self) -> None:
        if self._is_due:
            self._is_due = False
            return
        mean_ms = max(self._period_ms, self._duration_ms)
        rest_ms = mean_ms * (0.5 + self._runtime.random.random())
        self._next_ms = self._runtime.clock.now_ms() + rest_ms
        wake = self._wake = asyncio.get_running_loop().create_future()
        timer = self._runtime.clock.call_later_ms(rest_ms, lambda: _resolve(wake))
        await wake
        timer.cancel()
        self._wake = None

    def begin(self) -> asyncio.Event:
        """Begin a round now, or hurry the one that is under way; the event is set when it has ended."""
        self._is_asked = True
        if self._wake is not None:
            _resolve(self._wake)
        elif not self.is_running:
            self._is_due = True
        return self._ended

    def _share(self) -> float:
        return ASKED_SHARE if self._is_asked else background_share()

    def describe(self) -> TaskStats:
        """For /stats."""
        is_idle = not self.is_running and self._wake is not None
        next_ms = max(0.0, self._next_ms - self._runtime.clock.now_ms())
        began = self._began_wall_ms
        return TaskStats(
            running=self.is_running,
            rounds_total=self.round_count,
            last_began=None if began is None else round(began, 3),
            last_duration_s=round(self._duration_ms / 1000.0, 3) if self.round_count else None,
            next_in_s=round(next_ms / 1000.0, 3) if is_idle else None,
            result=self.result,
            error=self.error,
        )


class Maintenance:
    """The maintenance tasks of one node, by name."""

    def __init__(self, runtime: Runtime, tasks: Mapping[str, MaintenanceTask]) -> None:
        self._runtime = runtime
        self.tasks = dict(tasks)

    def open(self) -> None:
        """Begin the rounds."""
        for name, task in self.tasks.items():
            self._runtime.spawn(task.run(), f"maintenance: {name}")

    async def begin(self, works: tuple[str, ...], *, patience_ms: float) -> dict[str, TaskStats]:
        """Begin these tasks now, and wait for their end, but not for longer than this; how they stand then."""
        endings = [asyncio.ensure_future(self.tasks[name].begin().wait()) for name in works]
        over = asyncio.get_running_loop().create_future()
        timer = self._runtime.clock.call_later_ms(patience_ms, lambda: _resolve(over))
        try:
            while not over.done() and (left := [ending for ending in endings if not ending.done()]):
                await asyncio.wait((*left, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            for ending in endings:
                ending.cancel()
        return self.describe(works)

    def describe(self, works: tuple[str, ...] = ()) -> dict[str, TaskStats]:
        """For /stats: how these tasks stand, or all."""
        return {name: self.tasks[name].describe() for name in works or self.tasks}


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
