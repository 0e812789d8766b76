"""One daemon thread that calls a function a few times a second until it is told to stop.

A thread and not an asyncio task: a task gets no turn while a cell computes, a thread does. It never prints
(its output would land under whichever cell ran last); what went wrong is kept in `error`, where a notebook
can assert on it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Ticker:
    """Calls `tick` every `interval_s`; a slow tick delays the next one and never piles up."""

    def __init__(
        self, tick: Callable[[], None], *, interval_s: float = 0.25, name: str = "labkit-ticker"
    ) -> None:
        """Prepare the thread; `start` runs it."""
        self.interval_s = interval_s
        self.error: Exception | None = None
        self.ticks = 0
        self._tick = tick
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> Ticker:
        """Begin to tick."""
        self._thread.start()
        return self

    def wake(self) -> None:
        """Tick now, or right after the tick in hand: there is something to see."""
        self._wake.set()

    def stop(self, timeout_s: float = 3.0) -> None:
        """End after the tick in hand."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    @property
    def alive(self) -> bool:
        """Whether the thread still ticks."""
        return self._thread.is_alive()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            self._wake.clear()
            try:
                self._tick()
            except Exception as error:  # noqa: BLE001  (one bad tick must not blank the charts; it is kept, first one wins)
                self.error = self.error or error
            self.ticks += 1
            now = time.monotonic()
            due = max(min(due, now) + self.interval_s, now + self.interval_s / 10)
            self._wake.wait(due - now)
