"""Drivers that send nothing new any more, until what they have sent is answered.

Here: seeing them out, bounded in time and number.
Must not live here: who takes their place (control/generator.py).

A class that begins anew gets new drivers with new records. What the old ones have still out ends in the old records:
an answer that comes late belongs to the class that asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from traffic.load.driver import Driver

DRAIN_S_MAX = 30.0


class Retirement:
    """Sees drivers out, each group in a task of its own."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, drivers: Collection[Driver]) -> None:
        """They are stopped, and closed once all is answered or DRAIN_S_MAX have passed."""
        for driver in drivers:
            driver.stop()
        task = asyncio.get_running_loop().create_task(_see_out(drivers))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait no longer."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _see_out(drivers: Collection[Driver]) -> None:
    try:
        async with asyncio.timeout(DRAIN_S_MAX):
            for driver in drivers:
                await driver.drained(DRAIN_S_MAX)
    except TimeoutError:
        pass  # additions to nodes that stay away: the totals know that they were sent
    finally:
        for driver in drivers:
            await driver.close()
