"""Presets: what a name means for three worlds, set while traffic runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from traffic.clock import SimulatedClock
from traffic.control.presets import CURVE_OF_WORLD, PEAK_OF_WORLD, PRESETS, apply_preset, preset
from traffic.load.rates import RATE_OPS_PER_S_MAX
from traffic.stores.memory import MemoryStore

Run = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_a_sensible_rate_for_every_world(name: str) -> None:
    chosen = PRESETS[name]
    clock = SimulatedClock(hour=chosen.hour, weekday=chosen.weekday, speed=chosen.speed)
    for world in CURVE_OF_WORLD:
        rate = chosen.rate(world, clock)
        now, _ = rate.segment(clock._pieces[0].from_s)
        assert 0 < now <= rate.peak_ops_per_s <= RATE_OPS_PER_S_MAX / 4


def test_the_names_say_what_happens() -> None:
    def rate_now(name: str, world: str) -> float:
        chosen = PRESETS[name]
        clock = SimulatedClock(hour=chosen.hour, weekday=chosen.weekday, speed=chosen.speed)
        return chosen.rate(world, clock).segment(clock._pieces[0].from_s)[0] / PEAK_OF_WORLD[world]

    assert rate_now("evening-peak", "twitter") > 0.9 > rate_now("evening-peak", "inventory")
    assert rate_now("business-hours", "inventory") > 0.9
    assert rate_now("business-hours", "collab") > 0.9
    assert all(rate_now("night-maintenance", world) < 0.15 for world in PEAK_OF_WORLD)
    assert rate_now("weekend", "collab") < 0.2 < rate_now("weekend", "twitter")


def test_an_unknown_preset_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"preset must be one of business-hours, .*classroom, got 'rush'"):
        preset("rush")


def test_a_preset_changes_running_traffic_and_the_clock(
    in_virtual_time: Run, bench_of: Callable[..., Any]
) -> None:
    async def main() -> None:
        now = asyncio.get_running_loop().time
        async with bench_of("likes", MemoryStore(), rate=10) as bench:
            generator: Any = SimpleNamespace(
                clock=SimulatedClock(clock=now),
                drivers={"twitter": bench.driver},
                preset=None,
                start=lambda *_: None,
            )
            await asyncio.sleep(2)
            apply_preset(generator, "evening-peak")
            assert generator.clock.hour() == pytest.approx(20.5)
            await asyncio.sleep(4)
            assert bench.recorder.achieved_rate(now()) == pytest.approx(200, rel=0.05)
            apply_preset(generator, "day-in-two-minutes", scale=0.5)
            assert generator.preset == "day-in-two-minutes"
            seen = []
            for _ in range(120):
                await asyncio.sleep(1)
                seen.append(bench.driver.target_rate())
            assert max(seen) == pytest.approx(100, rel=0.02)
            assert min(seen) < 12
            assert bench.recorder.shed == 0
            with pytest.raises(ValueError, match="rate must be between"):
                apply_preset(generator, "viral", scale=1000)
            assert generator.preset == "day-in-two-minutes"  # nothing has changed

    in_virtual_time(main)
