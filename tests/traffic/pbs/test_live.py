"""One measurement of staleness at a time."""

from __future__ import annotations

import asyncio

from traffic.pbs.live import LiveMeasurement
from traffic.pbs.measure import Wish
from traffic.stores.memory import MemoryStore


def test_of_two_that_begin_at_the_same_moment_one_runs() -> None:
    """1. One measures. 2. Two others begin in the same moment; each ends the one that runs. 3. Both ran, and one
    of them was in nobody's hands: neither DELETE nor the end of the service ended it."""

    async def scenario() -> None:
        live = LiveMeasurement(MemoryStore())
        others = asyncio.all_tasks()
        wish = Wish(writes=5000, writes_per_s=100)
        await live.begin(wish)
        await asyncio.gather(live.begin(wish), live.begin(wish))
        assert live.running
        await live.end()
        assert not live.running
        for _ in range(3):
            await asyncio.sleep(0)  # what was cancelled ends
        assert [task for task in asyncio.all_tasks() - others if not task.done()] == []

    asyncio.run(scenario())
