"""Virtual time: sleeping costs nothing, order is that of the timers, and waiting for nobody is noticed."""

import asyncio
import time

import pytest

from kvnode.sim.loop import Deadlock, VirtualLoop, run


def test_an_hour_of_sleep_takes_no_time() -> None:
    async def sleep() -> float:
        await asyncio.sleep(3600.0)
        return asyncio.get_running_loop().time()

    started = time.perf_counter()
    assert run(sleep()) == pytest.approx(3600.0)
    assert time.perf_counter() - started < 5.0


def test_timers_ring_in_order_of_their_time() -> None:
    rung: list[str] = []

    async def two_sleepers() -> None:
        async def sleeper(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            rung.append(name)

        await asyncio.gather(sleeper("late", 2.0), sleeper("early", 1.0), sleeper("between", 1.5))

    run(two_sleepers())
    assert rung == ["early", "between", "late"]


def test_waiting_for_nobody_is_a_deadlock_and_not_a_hang() -> None:
    loop = VirtualLoop()
    with pytest.raises(Deadlock):
        loop.run_until_complete(loop.create_future())
    loop.close()


def test_background_tasks_are_cancelled_at_the_end() -> None:
    ended: list[bool] = []

    async def main() -> None:
        async def background() -> None:
            try:
                await asyncio.sleep(1e9)
            finally:
                ended.append(True)

        task = asyncio.ensure_future(background())
        await asyncio.sleep(0.0)
        assert not task.done()

    run(main())
    assert ended == [True]
