"""An event loop whose clock is virtual: when nothing is ready it jumps to the next timer instead of waiting.

(trio's MockClock with autojump does the same.) Node code runs on it unchanged, as it only ever awaits futures and
timers; there are no sockets and no threads here, so nothing else can wake the loop.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
_LAST_WORDS_MAX = 3


class Deadlock(Exception):
    """Nothing is ready and no timer is set: everybody waits for somebody else, for ever."""


class _JumpingSelector(selectors.BaseSelector):
    """Never waits: the time it was asked to wait for is added to the virtual clock."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("nothing is ready and no timer is set")
        self.now_s += max(0.0, timeout)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, 0, None)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop in virtual time, beginning at 0."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jumping.now_s

    def _make_self_pipe(self) -> None:
        """No signals and no threads: nothing to wake up from."""

    def _close_self_pipe(self) -> None:
        """See _make_self_pipe."""


def keep_faults(loop: asyncio.AbstractEventLoop, failures: list[BaseException]) -> None:
    """Keep what callbacks raise: a real node ends by it (kvnode/__main__.py), and the loop would only print it."""

    def complained(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "handle" in context:  # else of a future that nobody asked, found whenever memory is tidied up
            failures.append(context["exception"])

    loop.set_exception_handler(complained)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run one coroutine to its end in virtual time; tasks that are still running are cancelled."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        for _ in range(_LAST_WORDS_MAX):  # who is cancelled may begin something about it
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            if tasks:
                loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.close()
