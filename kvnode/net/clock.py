"""runtime.Clock on the computer's own clocks, with a skew that a fault may set."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from kvnode.runtime import Cancellable

_RUNS_ON_ASLEEP = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", 0))
"""time.monotonic stands still while the computer sleeps; this goes on (on macOS CLOCK_MONOTONIC does). So a node that
slept finds that it stood still, and what lay in its sockets meanwhile is old."""


def passed_ms() -> float:
    """Time that never goes back and counts sleep."""
    return time.clock_gettime(_RUNS_ON_ASLEEP) * 1000.0


class WallClock:
    """Time as the computer tells it. skew_ms is added to what `wall_ms` says; intervals are never skewed."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.skew_ms = 0.0

    def now_ms(self) -> float:
        """See runtime.Clock."""
        return passed_ms()

    def wall_ms(self) -> float:
        """See runtime.Clock."""
        return time.time() * 1000.0 + self.skew_ms

    def sleep_ms(self, duration_ms: float) -> Awaitable[None]:
        """See runtime.Clock."""
        return asyncio.sleep(duration_ms / 1000.0)

    def call_later_ms(self, delay_ms: float, callback: Callable[[], None]) -> Cancellable:
        """See runtime.Clock."""
        return self._loop.call_later(delay_ms / 1000.0, callback)
