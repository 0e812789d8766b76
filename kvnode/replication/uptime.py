"""How long this store has run, over all its lives: the clock by which hints age.

The date cannot tell: it is set forward and back, and a computer that slept, or was off, did nothing in that time that
a hint should die of. So time is counted while this node runs, and what was counted is written down now and then.
A standstill (paused, starved, asleep) counts as one second, however long it was.

Invariant: it never goes back, but for the last minute before a crash; then hints live a minute longer.
Must not live here: who ages by it (hints.py).
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite

from kvnode.config import QUIESCENCE_PERIOD_MS, STANDSTILL_MS, UPTIME_REMEMBERED_MS
from kvnode.runtime import Row, Runtime

_META, _KEY = "meta", "lived-ms"


class Uptime:
    """Milliseconds, from 0 when the store was created."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._counted_ms = self._remembered_ms = 0.0
        self._ticked_ms = runtime.clock.now_ms()

    def open(self, at_least_ms: float) -> None:
        """Go on from what was written down; at_least_ms: what is known to have been reached."""
        known = self._runtime.disk.get(_META, 0, _KEY)
        self._remembered_ms = 0.0 if known is None else _duration_ms(known[0])
        self._counted_ms = max(self._remembered_ms, at_least_ms)
        self._ticked_ms = self._runtime.clock.now_ms()

    @property
    def now_ms(self) -> float:
        """The time lived so far."""
        return self._counted_ms + min(self._runtime.clock.now_ms() - self._ticked_ms, STANDSTILL_MS)

    async def run(self, *, is_needed: Callable[[], bool]) -> None:
        """Count, for ever; written down only while it is needed."""
        while True:
            await self._runtime.clock.sleep_ms(QUIESCENCE_PERIOD_MS)
            self.tick()
            if is_needed():
                self.remember()

    def tick(self) -> None:
        """This node runs."""
        self._counted_ms = self.now_ms
        self._ticked_ms = self._runtime.clock.now_ms()

    def remember(self) -> None:
        """Write it down, if a minute of it would be lost by a crash."""
        if self._counted_ms - self._remembered_ms >= UPTIME_REMEMBERED_MS:
            self._remembered_ms = self._counted_ms
            self._runtime.disk.commit([Row(_META, 0, _KEY, f"{self._counted_ms:.0f}".encode())])


def _duration_ms(written: bytes) -> float:
    """What stands on disk; 0 if that is no duration."""
    try:
        duration_ms = float(written)
    except ValueError:
        return 0.0
    return duration_ms if isfinite(duration_ms) and duration_ms >= 0.0 else 0.0
