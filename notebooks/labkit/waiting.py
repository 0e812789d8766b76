"""Bounded waiting: ask again and again until something is true, or say clearly that it never was."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from labkit.errors import Timeout

T = TypeVar("T")


def wait_until(
    ask: Callable[[], T],
    *,
    what: str,
    timeout_s: float = 15.0,
    interval_s: float = 0.1,
) -> T:
    """The first true answer of `ask`; Timeout with `what` and the last answer after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise Timeout(
                f"Waited {timeout_s:g} s in vain for: {what}.",
                why=f"the last answer was {answer!r}",
                do="look at the cockpit's lights and status line, then run this cell again",
            )
        time.sleep(interval_s)
