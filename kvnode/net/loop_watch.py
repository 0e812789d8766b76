"""How long the event loop is held: the longest time for which a node could do nothing else.

A timer that is due every LOOP_LOOK_MS notes how late it comes. What holds the loop for longer than that is seen; of
what is shorter, a part. (A node that was stopped and goes on counts the time in between.)
"""

from __future__ import annotations

import asyncio
import time

import msgspec

from kvnode.config import LOOP_LOOK_MS
from kvnode.observe import Samples

_LATE_MS_MIN = 1.0  # less is what timers are


class LoopStats(msgspec.Struct, frozen=True):
    """The longest time for which the event loop was held, of the last ten seconds."""

    longest_hold_ms: float


class LoopWatch:
    """Looks at the running event loop from `start` to `stop`."""

    def __init__(self) -> None:
        self._late_ms = Samples()
        self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to look."""
        self._due_s = time.monotonic() + LOOP_LOOK_MS / 1000.0
        self._timer = asyncio.get_running_loop().call_later(LOOP_LOOK_MS / 1000.0, self._look)

    def _look(self) -> None:
        now_s = time.monotonic()
        late_ms = (now_s - self._due_s) * 1000.0
        if late_ms >= _LATE_MS_MIN:
            self._late_ms.add(late_ms, now_ms=now_s * 1000.0)
        self.start()

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def describe(self) -> LoopStats:
        """For /stats."""
        return LoopStats(self._late_ms.summary(time.monotonic() * 1000.0).max_ms or 0.0)
