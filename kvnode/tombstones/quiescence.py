"""Quiescence: for how long nothing here could have brought back an older value of a partition.

Older values hide in hints, in what a former owner has not handed over yet, and in requests that began long ago: in the
memory of a node that stood still (paused, starved, the computer asleep) they wake up with it. Whatever could let one
out disturbs the quiescence of its partition, or of all; then the time is counted from 0 again. The same happens at a
start, as a node cannot know what its earlier life had sent.

Must not live here: what the time is needed for (reaper.py).
"""

from __future__ import annotations

from collections.abc import Callable

from kvnode.config import QUIESCENCE_PERIOD_MS, STANDSTILL_MS
from kvnode.runtime import Clock


class Quiescence:
    """The disturbances of one node. Times are of its own monotonic clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._all_ms = self._looked_ms = clock.now_ms()
        self._partitions_ms: dict[int, float] = {}
        self._hiding_places: list[Callable[[int], object]] = []

    def add_hiding_place(self, holds: Callable[[int], object]) -> None:
        """From now on a partition is not quiet while `holds` says that something of it is kept away from its owners."""
        self._hiding_places.append(holds)

    def disturb(self, partition: int) -> None:
        """Something of this partition came or went that may be older than what its owners hold."""
        self._partitions_ms[partition] = self._clock.now_ms()

    def disturb_all(self) -> None:
        """The same may be true of any partition."""
        self._all_ms = self._clock.now_ms()
        self._partitions_ms.clear()

    def quiet_ms(self, partition: int) -> float:
        """How long ago the last disturbance was; 0 if it goes on, or this node has only just begun to run again."""
        now_ms = self._clock.now_ms()
        if now_ms - self._looked_ms > STANDSTILL_MS or any(holds(partition) for holds in self._hiding_places):
            return 0.0
        return now_ms - max(self._all_ms, self._partitions_ms.get(partition, self._all_ms))

    async def run(self) -> None:
        """Notice when this node has stood still, for ever."""
        while True:
            await self._clock.sleep_ms(QUIESCENCE_PERIOD_MS)
            now_ms = self._clock.now_ms()
            if now_ms - self._looked_ms > STANDSTILL_MS:
                self.disturb_all()
            self._looked_ms = now_ms
