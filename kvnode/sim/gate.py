"""The gate of one node's life: everything that reaches the node from outside comes through it.

Timers, messages and finished syncs are callbacks. An open gate runs them at once, a paused one keeps them for later
(SIGSTOP: the world goes on, and on waking everything is there at once), a shut one drops them (a crash).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any


class Gate:
    """Open, paused or shut. Invariant: callbacks run in the order in which they came."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._kept: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self.paused = False
        self.shut = False

    def run(self, callback: Callable[..., None], *arguments: Any) -> None:
        """Run it now, later or never."""
        if self.shut:
            return
        if self.paused:
            self._kept.append((callback, arguments))
        else:
            callback(*arguments)

    def pause(self) -> None:
        """From now on callbacks are kept."""
        self.paused = True

    def resume(self) -> None:
        """Run what was kept, in order, then go on as before."""
        self.paused = False
        while self._kept and not self.paused and not self.shut:
            callback, arguments = self._kept.popleft()
            callback(*arguments)

    def close(self) -> None:
        """Never again."""
        self.shut = True
        self._kept.clear()
