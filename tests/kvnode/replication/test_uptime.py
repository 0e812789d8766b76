"""The time that a store has lived: it stops with the node, survives restarts, and counts a standstill as nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from kvnode.replication.uptime import Uptime
from kvnode.runtime import Row, Runtime
from kvnode.sim.loop import run
from kvnode.storage import MemoryDisk


class SetClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.ms = 5_000.0

    def now_ms(self) -> float:
        return self.ms


def story_of(told: Callable[[SetClock, Runtime], None]) -> None:
    async def whole() -> None:
        clock: Any = SetClock()
        nothing: Any = None
        told(clock, Runtime(clock, nothing, MemoryDisk(), random.Random(1), nothing, nothing))
        await asyncio.sleep(0.0)

    run(whole())


def test_it_counts_from_zero_while_the_node_runs() -> None:
    def told(clock: SetClock, runtime: Runtime) -> None:
        uptime = Uptime(runtime)
        uptime.open(0.0)
        for _ in range(8):
            clock.ms += 250.0
            uptime.tick()
        clock.ms += 100.0
        assert uptime.now_ms == 2_100.0

    story_of(told)


def test_a_night_asleep_counts_as_a_second() -> None:
    def told(clock: SetClock, runtime: Runtime) -> None:
        uptime = Uptime(runtime)
        uptime.open(0.0)
        clock.ms += 8 * 3_600_000.0
        assert uptime.now_ms == 1_000.0
        uptime.tick()
        assert uptime.now_ms == 1_000.0

    story_of(told)


def test_what_was_written_down_is_where_the_next_life_goes_on() -> None:
    def told(clock: SetClock, runtime: Runtime) -> None:
        uptime = Uptime(runtime)
        uptime.open(0.0)
        for _ in range(59):
            clock.ms += 1_000.0
            uptime.tick()
        uptime.remember()
        assert runtime.disk.get("meta", 0, "lived-ms") is None, "not every time"
        clock.ms += 1_000.0
        uptime.tick()
        uptime.remember()
        again = Uptime(runtime)
        again.open(0.0)
        assert again.now_ms == 60_000.0
        again.open(at_least_ms=70_000.0)
        assert again.now_ms == 70_000.0

    story_of(told)


@pytest.mark.parametrize("written", [b"", b"soon", b"nan", b"inf", b"-5", b"\xff"])
def test_what_is_no_duration_is_none(written: bytes) -> None:
    def told(clock: SetClock, runtime: Runtime) -> None:
        runtime.disk.commit([Row("meta", 0, "lived-ms", written)])
        uptime = Uptime(runtime)
        uptime.open(0.0)
        assert uptime.now_ms == 0.0

    story_of(told)
