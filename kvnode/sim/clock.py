"""The clock of one node in virtual time: it goes with the event loop, and its date can be set wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from kvnode.runtime import Cancellable
from kvnode.sim.gate import Gate

_EPOCH_MS = 1_700_000_000_000.0


class SimClock:
    """runtime.Clock of one node in one life, behind its gate. skew_ms moves its wall clock.

    wall_step_ms: the wall clock goes in such steps (0: it does not), so that two nodes may write at the same time.
    """

    def __init__(self, gate: Gate, *, wall_step_ms: float = 0.0) -> None:
        self._loop = asyncio.get_running_loop()
        self._gate = gate
        self._wall_step_ms = wall_step_ms
        self.skew_ms = 0.0

    def now_ms(self) -> float:
        """See runtime.Clock."""
        return self._loop.time() * 1000.0

    def wall_ms(self) -> float:
        """See runtime.Clock."""
        now_ms, step_ms = self.now_ms(), self._wall_step_ms
        return _EPOCH_MS + (now_ms - now_ms % step_ms if step_ms else now_ms) + self.skew_ms

    def sleep_ms(self, duration_ms: float) -> Awaitable[None]:
        """See runtime.Clock."""
        future: asyncio.Future[None] = self._loop.create_future()
        self.call_later_ms(duration_ms, lambda: None if future.done() else future.set_result(None))
        return future

    def call_later_ms(self, delay_ms: float, callback: Callable[[], None]) -> Cancellable:
        """See runtime.Clock."""
        return self._loop.call_later(delay_ms / 1000.0, self._gate.run, callback)
