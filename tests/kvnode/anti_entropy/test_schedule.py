"""Whose turn it is to exchange, and how soon: virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, cast

from kvnode.anti_entropy.schedule import ExchangeSchedule
from kvnode.config import EXCHANGE_PERIOD_MS, EXCHANGE_SOON_MS
from kvnode.runtime import Runtime
from kvnode.sim.loop import run


class Clock:
    def now_ms(self) -> float:
        return asyncio.get_running_loop().time() * 1000.0

    def sleep_ms(self, duration_ms: float) -> Awaitable[None]:
        return asyncio.sleep(duration_ms / 1000.0)

    def call_later_ms(self, delay_ms: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(delay_ms / 1000.0, callback)


def turns_of(*peers: str) -> ExchangeSchedule:
    """The turns of a node that has these peers."""

    class Doors:
        clock = Clock()
        random = random.Random(1)

    return ExchangeSchedule(cast(Runtime, Doors()), lambda: peers)


async def timed(schedule: ExchangeSchedule) -> tuple[str | None, float]:
    """The next turn, and after how long (ms)."""
    began_ms = Clock().now_ms()
    peer = await schedule.next()
    return peer, Clock().now_ms() - began_ms


def play(scenario: Callable[[], Any]) -> None:
    run(scenario())


def test_peers_have_their_turns_about_a_period_apart() -> None:
    async def scenario() -> None:
        schedule = turns_of("a", "b", "c")
        found = [await timed(schedule) for _ in range(9)]
        assert sorted(str(peer) for peer, _ in found) == ["a"] * 3 + ["b"] * 3 + ["c"] * 3
        assert all(0.5 * EXCHANGE_PERIOD_MS <= rest_ms <= 1.5 * EXCHANGE_PERIOD_MS for _, rest_ms in found)
        assert (await turns_of().next()) is None

    play(scenario)


def test_after_mending_the_next_turn_comes_soon_but_not_sooner_than_the_mending_took() -> None:
    async def scenario() -> None:
        schedule = turns_of("a", "b")
        for took_ms, mean_ms in ((1.0, EXCHANGE_SOON_MS), (600.0, 600.0), (60_000.0, EXCHANGE_PERIOD_MS)):
            schedule.mended(took_ms)
            assert 0.5 * mean_ms <= (await timed(schedule))[1] <= 1.5 * mean_ms
            assert (await timed(schedule))[1] >= 0.5 * EXCHANGE_PERIOD_MS, "then as ever"

    play(scenario)


def test_who_is_back_comes_next_and_soon() -> None:
    async def scenario() -> None:
        schedule = turns_of("a", "b", "c")
        before = (await timed(schedule))[0]
        schedule.is_back(str(before))
        schedule.is_back("a stranger")
        peer, rest_ms = await timed(schedule)
        assert peer == before
        assert rest_ms <= 1.5 * EXCHANGE_SOON_MS

    play(scenario)


def test_who_is_being_mended_waits_for_a_period_whoever_is_back() -> None:
    async def scenario() -> None:
        schedule = turns_of("a", "b")
        waiting = asyncio.ensure_future(timed(schedule))
        await asyncio.sleep(0)
        schedule.is_back("b")
        schedule.asked()
        peer, rest_ms = await waiting
        assert peer == "b"
        assert rest_ms >= 0.5 * EXCHANGE_PERIOD_MS

    play(scenario)
