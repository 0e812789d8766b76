"""How long the event loop was held is seen, and forgotten after a while."""

from __future__ import annotations

import asyncio
import time

from kvnode.net.loop_watch import LoopWatch


def test_what_holds_the_loop_is_seen() -> None:
    async def scenario() -> None:
        watch = LoopWatch()
        watch.start()
        await asyncio.sleep(0.05)
        time.sleep(0.3)  # what nobody should do  # noqa: ASYNC251
        await asyncio.sleep(0.05)
        assert watch.describe().longest_hold_ms >= 250.0
        watch.stop()

    asyncio.run(scenario())


def test_of_a_loop_that_nobody_looked_at_nothing_is_said() -> None:
    async def scenario() -> None:
        assert LoopWatch().describe().longest_hold_ms == 0.0

    asyncio.run(scenario())
