"""A laptop that slept: for all its nodes at once hours have passed, in which nobody could do anything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from kvnode.net import clock
from kvnode.operations import Get, Put

Play = Callable[..., None]
NIGHT_MS = 8 * 3_600_000.0


def sleep_through_the_night(components: Any) -> None:
    for each in components.clocks.values():
        each.slept_ms += NIGHT_MS


def test_nobody_is_dead_and_no_hint_is_lost_in_the_morning(play: Play) -> None:
    async def scenario(components: Any) -> None:
        components.isolate("node-3")
        node = components.nodes["node-1"]
        await components.until(lambda: node.members.state("node-3") == "dead")
        for number in range(5):
            assert (await components.ask("node-1", Put(f"k{number}", b"1")))[0] == 200
        sleep_through_the_night(components)
        await asyncio.sleep(0.5)
        assert node.hints.pending() == {"node-3": 5}
        for _ in range(20):
            await asyncio.sleep(0.2)
            assert [components.nodes[name].members.state(name) for name in ("node-1", "node-2")] == [
                "alive"
            ] * 2
            assert node.members.state("node-2") != "dead"
        components.heal()
        await components.until(lambda: not node.hints.pending())
        assert node.hints.delivered_count == 5
        await components.until(
            lambda: all(m.state == "alive" for n in components.nodes.values() for m in n.members)
        )
        assert (await components.ask("node-3", Get("k4", r=3)))[0] == 200

    play(scenario)


def test_a_night_is_no_silence_after_which_a_tombstone_may_go(play: Play) -> None:
    async def scenario(components: Any) -> None:
        await components.ask("node-1", Put("k", b"1"))
        await components.ask("node-1", Put("k", None))
        await asyncio.sleep(1.0)
        sweeps = asyncio.gather(*(node.reaper.once() for node in components.nodes.values()))
        await asyncio.sleep(10.0)
        sleep_through_the_night(components)
        results = await sweeps
        assert [result["swept"] for result in results] == [0, 0, 0]
        assert any(each["reasons"] for each in results), results
        await asyncio.sleep(40.0)
        results = await asyncio.gather(*(node.reaper.once() for node in components.nodes.values()))
        assert sum(result["swept"] for result in results) == 1, results

    play(scenario)


def test_a_nodes_clock_goes_on_while_the_computer_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """1. Messages lay in the socket of a computer that slept. 2. By time.monotonic no time had passed there."""
    asleep_s = 0.0
    real = time.clock_gettime
    expected = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    monkeypatch.setattr(time, "clock_gettime", lambda which: real(which) + asleep_s * (which == expected))
    before_ms = clock.passed_ms()
    asleep_s = 3600.0
    assert clock.passed_ms() - before_ms >= 3_600_000.0
