"""Waiting for what goes on in the supervisor: a start, or a change (a join or a leave), and telling how far that is.

Must not live here: the start (supervisor.py), the change itself (membership_changes.py).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from kvnode.cluster.contract import MembershipChange
from kvnode.cluster.errors import ClusterError, NodeFailed

POLL_S = 0.05
Progress = Callable[[str, int, int], None]
"""Called with (what is waited for, partitions that have arrived, all that move) whenever one of them changes; the
numbers are 0 while no partitions move."""


def see_start_through(phase_now: Callable[[], str], name: str, timeout_s: float) -> None:
    """Wait until a start is over, whoever began it. ClusterError if it takes too long."""
    deadline = time.monotonic() + timeout_s
    while phase_now() == "starting":
        if time.monotonic() > deadline:
            raise ClusterError(f"cluster {name} is still starting after {timeout_s:.0f} s")
        time.sleep(POLL_S)


def see_change_through(
    change_now: Callable[[], MembershipChange | None], timeout_s: float, on_progress: Progress | None
) -> None:
    """Wait until the change is finished. NodeFailed if it came to nothing, ClusterError if it takes too long."""
    deadline, told = time.monotonic() + timeout_s, ("", 0, 0)
    while True:
        change = change_now()
        assert change is not None
        now = change.step, change.done, change.total
        if on_progress is not None and change.step and now != told:
            on_progress(*now)
            told = now
        if change.finished:
            if change.error:
                raise NodeFailed(f"{change.what} of {change.node}: {change.error}")
            return
        if time.monotonic() > deadline:
            raise ClusterError(
                f"{change.what} of {change.node} goes on, but was not done within {timeout_s:.0f} s"
            )
        time.sleep(POLL_S)


def show_progress(step: str, done: int, total: int) -> None:
    """On a terminal one line that changes; elsewhere a line for each step."""
    text = f"{step}: {done} of {total} partitions have arrived" if total else step
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text} ", end="", file=sys.stderr, flush=True)
    elif done == 0 or done == total:
        print(text, file=sys.stderr, flush=True)


def end_progress() -> None:
    """On a terminal: make room for what is said next."""
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
