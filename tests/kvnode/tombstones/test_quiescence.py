"""The silence before a tombstone goes: what it waits for, and what begins it anew."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from kvnode.config import STANDSTILL_MS
from kvnode.messages import StoreRecord
from kvnode.operations import Put
from kvnode.sim.loop import run
from kvnode.tombstones.quiescence import Quiescence

Play = Callable[..., None]
AGE_S = 30.0  # config.MaintenanceConfig.message_age_s_max


def test_the_silence_begins_when_the_requests_of_before_have_ended(play: Play) -> None:
    """1. A write is under way when the sweep asks first. 2. If the silence began at once, the write, or the hint that
    it leaves, could outlast it."""

    async def scenario(components: Any) -> None:
        for value in (b'"old"', None):
            assert (await components.ask("node-1", Put("k", value)))[0] == 200
        await asyncio.sleep(1.0)
        ring = components.nodes["node-1"].ring
        other = next(f"o{n}" for n in range(99) if ring.partition_of(f"o{n}") != ring.partition_of("k"))
        components.wire.drops = lambda sender, receiver, message: isinstance(message, StoreRecord)
        request = asyncio.ensure_future(components.ask("node-2", Put(other, b"1")))
        await asyncio.sleep(0.01)
        sweeping = asyncio.gather(*(node.reaper.once() for node in components.nodes.values()))
        await request
        loop = asyncio.get_running_loop()
        ended_s = loop.time()
        components.heal()
        assert sum(result["swept"] for result in await sweeping) == 1
        assert loop.time() - ended_s > AGE_S + STANDSTILL_MS / 1000.0

    play(scenario)


def test_a_node_that_stood_still_counts_its_silence_from_when_it_ran_again() -> None:
    """1. A computer slept for an hour. 2. What it was about to send woke up with it, after an hour of "silence"."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()

        class Clock:
            slept_ms = 0.0

            def now_ms(self) -> float:
                return loop.time() * 1000.0 + self.slept_ms

            def sleep_ms(self, duration_ms: float) -> Awaitable[None]:
                return asyncio.sleep(duration_ms / 1000.0)

        clock = Clock()
        quiescence = Quiescence(clock)  # type: ignore[arg-type]
        watching = loop.create_task(quiescence.run())
        await asyncio.sleep(20.0)
        assert quiescence.quiet_ms(3) > 19_000.0
        clock.slept_ms = 3_600_000.0
        assert quiescence.quiet_ms(3) == 0.0
        await asyncio.sleep(5.0)
        assert 3_000.0 < quiescence.quiet_ms(3) <= 5_000.0
        watching.cancel()

    run(scenario())
