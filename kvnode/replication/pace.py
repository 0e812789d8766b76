"""How a work in the background goes slowly: some rows, then a rest that is in proportion to the time they took.

So it takes no more than a share of one core, on any computer and under any load: where requests wait for the
processor, a step takes longer, and so does the rest after it.
"""

from __future__ import annotations

from kvnode.config import REST_MS_MAX, REST_MS_MIN, UPKEEP_SHARE
from kvnode.runtime import Clock


class Pace:
    """The pace of one round of a work: a rest after every `rows` rows, so that it takes `share` of one core."""

    def __init__(self, clock: Clock, rows: int, *, share: float = UPKEEP_SHARE) -> None:
        self._clock = clock
        self._rows = rows
        self._rest_per_ms = 1.0 / share - 1.0
        self._began_ms = clock.now_ms()
        self.room = rows

    async def rest(self) -> None:
        """Once the room for rows is used up: rest, then there is room again."""
        if self.room > 0:
            return
        worked_ms = self._clock.now_ms() - self._began_ms
        await self._clock.sleep_ms(min(max(worked_ms * self._rest_per_ms, REST_MS_MIN), REST_MS_MAX))
        self.room = self._rows
        self._began_ms = self._clock.now_ms()
