"""What follows from what: things that a workload will do at a later moment, in the order of their times.

Here: a bounded queue by due time.
Must not live here: what is done.

Thinking is a follow-up that is due later; so is the next action of somebody who came for a few in a row.
Follow-ups take the next arrivals after they fall due, so the rate on the wire is the rate asked for.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T")


class FollowUps(Generic[T]):
    """Due times in seconds of the caller's clock. Of equal times, the one that was added first comes first."""

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._heap: list[tuple[float, int, T]] = []
        self._added = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, what: T, due_s: float) -> None:
        """Beyond `count_max` it is dropped and counted: a world that cannot keep up forgets plans."""
        if len(self._heap) >= self._count_max:
            self.dropped += 1
            return
        self._added += 1
        heappush(self._heap, (due_s, self._added, what))

    def due(self, now_s: float) -> T | None:
        """The first one whose time has come; None if there is none."""
        if self._heap and self._heap[0][0] <= now_s:
            return heappop(self._heap)[2]
        return None

    def hurried(self) -> T | None:
        """The next one, whether or not its time has come."""
        return heappop(self._heap)[2] if self._heap else None

    def clear(self) -> None:
        self._heap.clear()
