"""Works in the background take their share of the time, whatever a step takes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from kvnode.config import REST_MS_MAX, REST_MS_MIN, STEP_MS
from kvnode.records.merkle import MerkleForest
from kvnode.throttle import Throttle


class Clock:
    """Time passes when a test says so, and in sleep."""

    def __init__(self) -> None:
        self.ms = 1000.0
        self.slept: list[float] = []

    def now_ms(self) -> float:
        return self.ms

    wall_ms = now_ms

    def sleep_ms(self, duration_ms: float) -> Awaitable[None]:
        self.slept.append(duration_ms)
        self.ms += duration_ms
        return asyncio.sleep(0)

    def call_later_ms(self, delay_ms: float, callback: object) -> None:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("step_ms", "rest_ms"),
    [(8.0, 24.0), (40.0, 120.0), (0.0, REST_MS_MIN), (3_600_000.0, REST_MS_MAX)],
    ids=["a step", "a step on a busy machine", "virtual time stands still", "the process stood still"],
)
def test_a_rest_is_in_proportion_to_the_step_before_it(step_ms: float, rest_ms: float) -> None:
    async def scenario() -> None:
        clock = Clock()
        throttle = Throttle(clock, 100, lambda: 0.25)  # type: ignore[arg-type]
        for _ in range(3):
            clock.ms += step_ms
            throttle.budget = 0
            await throttle.rest()
            assert throttle.budget > 0
        assert clock.slept == pytest.approx([rest_ms] * 3)

    asyncio.run(scenario())


def test_there_is_no_rest_while_there_is_room_and_time() -> None:
    async def scenario() -> None:
        clock = Clock()
        throttle = Throttle(clock, 100)  # type: ignore[arg-type]
        clock.ms += STEP_MS / 2
        throttle.budget -= 99
        await throttle.rest()
        assert (throttle.budget, clock.slept) == (1, [])
        clock.ms += STEP_MS / 2
        await throttle.rest()
        assert (throttle.budget, len(clock.slept)) == (100, 1), (
            "what takes long is over, however few the rows"
        )

    asyncio.run(scenario())


def test_steps_get_shorter_where_rows_take_long_and_longer_again() -> None:
    async def scenario() -> None:
        clock = Clock()
        throttle = Throttle(clock, 100)  # type: ignore[arg-type]
        components = []
        for row_ms in (5.0, 5.0, 5.0, 0.001, 0.001, 0.001, 0.001, 0.001, 0.001, 0.001):
            clock.ms += throttle.budget * row_ms
            throttle.budget = 0
            await throttle.rest()
            components.append(throttle.budget)
        assert components == [2, 4, 2, 4, 8, 16, 32, 64, 100, 100]
        clock.ms += 3_600_000.0
        await throttle.rest()
        assert throttle.budget == 1

    asyncio.run(scenario())


def test_whoever_wants_the_whole_forest_waits_for_the_same_work_and_none_builds_a_tree_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        built: list[int] = []

        def load(partition: int) -> list[int]:
            built.append(partition)
            return [partition + 1]

        forest, clock = MerkleForest(16, load), Clock()
        forest.root(5)
        monkeypatch.setattr("kvnode.records.merkle.FOREST_ROWS", 2)
        asked = (None, True, False, False)
        await asyncio.gather(*(forest.build_all(clock, is_asked=bool(each)) for each in asked))  # type: ignore[arg-type]
        assert sorted(built) == list(range(16))
        assert clock.slept
        assert [forest.root(partition) for partition in range(16)] == list(range(1, 17))

    asyncio.run(scenario())
