"""Waiting for a move (a join or a leave) that goes on in the supervisor, and telling how far it is.

Not here: the move itself (moves.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kvnode.cluster.errors import ClusterError, NodeFailed

POLL_S = 0.05
Progress = Callable[[int, int], None]
"""Called with (partitions that have arrived, all that move) whenever that changes."""


def see_move_through(
    move_now: Callable[[], dict[str, Any]], timeout_s: float, on_progress: Progress | None
) -> None:
    """Wait until the move is finished. NodeFailed if it came to nothing, ClusterError if it takes too long."""
    deadline, told = time.monotonic() + timeout_s, (-1, -1)
    while True:
        move = move_now()
        now = move["done"], move["total"]
        if on_progress is not None and move["total"] and now != told:
            on_progress(*now)
            told = now
        if move["finished"]:
            if move["error"]:
                raise NodeFailed(f"{move['what']} of {move['node']}: {move['error']}")
            return
        if time.monotonic() > deadline:
            raise ClusterError(
                f"{move['what']} of {move['node']} goes on, but was not done within {timeout_s:.0f} s"
            )
        time.sleep(POLL_S)
