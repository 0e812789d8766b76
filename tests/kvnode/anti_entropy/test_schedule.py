"""Whose turn it is to exchange, and how soon: virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, cast

from kvnode.anti_entropy.schedule import Turns
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


def turns_of(*peers: str) -> Turns:
    """The turns of a node that has these peers."""

    class Doors:
        clock = Clock()
        random = random.Random(1)

    return Turns(cast(Runtime, Doors()), lambda: peers)


async def timed(turns: Turns) -> tuple[str | None, float]:
    """The next turn, and after how long (ms)."""
    began_ms = Clock().now_ms()
    peer = await turns.next()
    return peer, Clock().now_ms() - began_ms


def play(story: Callable[[], Any]) -> None:
    run(story())


def test_peers_have_their_turns_about_a_period_apart() -> None:
    async def story() -> None:
        turns = turns_of("a", "b", "c")
        found = [await timed(turns) for _ in range(9)]
        assert sorted(str(peer) for peer, _ in found) == ["a"] * 3 + ["b"] * 3 + ["c"] * 3
        assert all(0.5 * EXCHANGE_PERIOD_MS <= rest_ms <= 1.5 * EXCHANGE_PERIOD_MS for _, rest_ms in found)
        assert (await turns_of().next()) is None

    play(story)


def test_after_mending_the_next_turn_comes_soon_but_not_sooner_than_the_mending_took() -> None:
    async def story() -> None:
        turns = turns_of("a", "b")
        for took_ms, mean_ms in ((1.0, EXCHANGE_SOON_MS), (600.0, 600.0), (60_000.0, EXCHANGE_PERIOD_MS)):
            turns.mended(took_ms)
            assert 0.5 * mean_ms <= (await timed(turns))[1] <= 1.5 * mean_ms
            assert (await timed(turns))[1] >= 0.5 * EXCHANGE_PERIOD_MS, "then as ever"

    play(story)


def test_who_is_back_comes_next_and_soon() -> None:
    async def story() -> None:
        turns = turns_of("a", "b", "c")
        before = (await timed(turns))[0]
        turns.is_back(str(before))
        turns.is_back("a stranger")
        peer, rest_ms = await timed(turns)
        assert peer == before
        assert rest_ms <= 1.5 * EXCHANGE_SOON_MS

    play(story)


def test_who_is_being_mended_waits_for_a_period_whoever_is_back() -> None:
    async def story() -> None:
        turns = turns_of("a", "b")
        waiting = asyncio.ensure_future(timed(turns))
        await asyncio.sleep(0)
        turns.is_back("b")
        turns.asked()
        peer, rest_ms = await waiting
        assert peer == "b"
        assert rest_ms >= 0.5 * EXCHANGE_PERIOD_MS

    play(story)
