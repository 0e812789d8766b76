"""Throttling maintenance: a short step, then a rest that is in proportion to the time that the step took.

So a task takes no more than a share of one core, on any computer and under any load: where requests wait for the
processor, a step takes longer, and so does the rest after it. A step is some rows, or fewer if these take long: nobody
waits for the event loop much longer than STEP_MS.
"""

from __future__ import annotations

from collections.abc import Callable

from kvnode.config import BACKGROUND_SHARE, REST_MS_MAX, REST_MS_MIN, STEP_MS
from kvnode.runtime import Clock

Share = Callable[[], float]
"""How much of one core a task may take, as things are now: above 0, at most 1."""


def background_share() -> float:
    """The share of a task that nobody waits for."""
    return BACKGROUND_SHARE


class Throttle:
    """Throttles one round of a task: the task lowers `room` by what it has looked at, and rests when none is left.

    rows: how much room a step has at most.
    """

    def __init__(self, clock: Clock, rows: int, share: Share = background_share) -> None:
        self._clock = clock
        self._rows_max = rows
        self._rows = rows
        self._share = share
        self._began_ms = clock.now_ms()
        self.budget = rows

    async def rest(self) -> None:
        """If a step is over: rest, then there is room again."""
        worked_ms = self._clock.now_ms() - self._began_ms
        if self.budget > 0 and worked_ms < STEP_MS:
            return
        rest_ms = worked_ms * (1.0 / self._share() - 1.0)
        await self._clock.sleep_ms(min(max(rest_ms, REST_MS_MIN), REST_MS_MAX))
        if worked_ms > STEP_MS:
            self._rows = max(1, int(self._rows * STEP_MS / worked_ms))
        else:
            self._rows = min(2 * self._rows, self._rows_max)
        self.budget = self._rows
        self._began_ms = self._clock.now_ms()
