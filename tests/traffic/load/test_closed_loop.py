"""The paced closed loop beside the open one: who sees a stall, and what a change of loops costs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from traffic.load.rates import Burst, Ramp
from traffic.stores.memory import MemoryStore

Run = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]
BenchOf = Callable[..., Any]


class StallingStore(MemoryStore):
    """Stands still from time to time, as a paused process does: what arrives meanwhile is answered after."""

    def __init__(self) -> None:
        super().__init__(nodes=1, latency_s=0.002)
        self.until_s = 0.0

    async def _arrive(self, node: str, what: str, key: str) -> bool:
        silent = await super()._arrive(node, what, key)
        await asyncio.sleep(max(self.until_s - asyncio.get_running_loop().time(), 0))
        return silent

    def stall(self, seconds: float) -> None:
        self.until_s = asyncio.get_running_loop().time() + seconds


async def p99s_with_a_stall(bench_of: BenchOf, loop: str) -> tuple[float, float, int]:
    """(from the intended start, from the send, operations): 30 s at 200/s with 1.4 s of standstill in it."""
    store = StallingStore()
    async with bench_of("likes", store, rate=200) as bench:
        bench.driver.change(loop=loop, workers=4)
        await asyncio.sleep(10)
        store.stall(1.4)
        await asyncio.sleep(20)
        bench.driver.stop()
        assert await bench.driver.drained(5)
        latency = bench.recorder.run_latency_ms()
        return latency["all"]["p99"], latency["all, from the actual send"]["p99"], bench.recorder.operations


def test_a_closed_loop_hides_a_stall_from_those_who_measure_from_the_send(
    in_virtual_time: Run, bench_of: BenchOf
) -> None:
    """Coordinated omission: 1. Four workers. 2. A standstill of 1.4 s in 30 s. 3. Four answers are slow; 276
    more operations were due and not sent. 4. Measured from the send, the 99th percentile knows of nothing."""
    corrected_ms, sent_ms, operations = in_virtual_time(lambda: p99s_with_a_stall(bench_of, "closed"))
    assert operations == pytest.approx(6000, abs=8)  # it caught up
    assert 1000 < corrected_ms < 1500
    assert sent_ms < 20
    assert corrected_ms > 20 * sent_ms


def test_an_open_loop_sees_the_stall_by_both_clocks(in_virtual_time: Run, bench_of: BenchOf) -> None:
    corrected_ms, sent_ms, operations = in_virtual_time(lambda: p99s_with_a_stall(bench_of, "open"))
    assert operations == pytest.approx(6000, abs=4)
    assert 1000 < corrected_ms < 1500
    assert corrected_ms == pytest.approx(sent_ms, rel=0.1)


def test_no_more_operations_are_out_than_there_are_workers(in_virtual_time: Run, bench_of: BenchOf) -> None:
    async def main() -> None:
        async with bench_of("likes", MemoryStore(latency_s=0.2), rate=1000) as bench:
            bench.driver.change(loop="closed", workers=3)
            for _ in range(200):
                await asyncio.sleep(0.01)
                assert bench.driver.in_flight <= 3
            assert bench.driver.queued > 1500  # due, and not sent
            assert bench.driver.settings.describe()["workers"] == 3

    in_virtual_time(main)


def test_changing_the_loop_neither_loses_nor_doubles_an_arrival(
    in_virtual_time: Run, bench_of: BenchOf
) -> None:
    """Each new worker begins with a random part of a gap, which is why a few operations may be missing."""

    async def main() -> None:
        async with bench_of("puts", MemoryStore(latency_s=0.0005), rate=200) as bench:
            for _ in range(5):
                await asyncio.sleep(2)
                bench.driver.change(loop="closed", workers=4)
                await asyncio.sleep(2)
                bench.driver.change(loop="open")
            await asyncio.sleep(1)
            bench.driver.stop()
            assert await bench.driver.drained(2)
            total = bench.recorder.operations + bench.recorder.shed
            assert total == pytest.approx(21 * 200, abs=5 * 4)
            puts = [key for _, what, key in bench.store.calls if what == "put"]
            assert len(puts) == len(set(puts)) == bench.recorder.operations

    in_virtual_time(main)


def test_rates_and_workers_change_while_the_loop_runs(in_virtual_time: Run, bench_of: BenchOf) -> None:
    async def main() -> None:
        clock = asyncio.get_running_loop().time
        async with bench_of("likes", MemoryStore(), rate=100) as bench:
            bench.driver.change(loop="closed", workers=4)
            await asyncio.sleep(3)
            assert bench.recorder.achieved_rate(clock()) == pytest.approx(100, rel=0.05)
            bench.driver.change(rate=400)
            await asyncio.sleep(3)
            assert bench.recorder.achieved_rate(clock()) == pytest.approx(400, rel=0.05)
            bench.driver.change(workers=8)
            await asyncio.sleep(3)
            assert bench.recorder.achieved_rate(clock()) == pytest.approx(400, rel=0.05)
            assert bench.recorder.shed == 0
            with pytest.raises(ValueError, match="workers must be between 1 and 256, got 0"):
                bench.driver.change(workers=0)

    in_virtual_time(main)


def test_what_a_worker_cannot_catch_up_with_is_shed(in_virtual_time: Run, bench_of: BenchOf) -> None:
    async def main() -> None:
        async with bench_of("likes", MemoryStore(latency_s=0.1), rate=2000) as bench:
            bench.driver.change(loop="closed", workers=1)
            await asyncio.sleep(5)
            assert 4990 <= bench.driver.queued <= 5000
            assert bench.recorder.shed > 3000
            bench.driver.stop()
            assert bench.driver.queued == 0
            assert bench.recorder.shed + bench.recorder.operations == pytest.approx(10_000, abs=5)

    in_virtual_time(main)


def test_a_bug_in_the_workload_ends_a_closed_loop_loudly(in_virtual_time: Run, bench_of: BenchOf) -> None:
    def broken(*args: Any) -> None:
        raise KeyError("planted")

    async def main() -> None:
        bench = bench_of("likes", MemoryStore(), rate=10)
        bench.workload.answered = broken
        bench.driver.change(loop="closed")
        bench.driver.start()
        with pytest.raises(RuntimeError, match="has a bug"):
            await asyncio.wait_for(bench.driver.run(), 5)
        await bench.driver.close()

    in_virtual_time(main)


def test_a_shape_begins_when_traffic_starts_and_when_it_is_set(
    in_virtual_time: Run, bench_of: BenchOf
) -> None:
    async def main() -> None:
        async with bench_of("likes", MemoryStore(), rate=10) as bench:
            driver = bench.driver
            await asyncio.sleep(5)
            driver.change(rate=Ramp(0, 200, duration_s=10))
            await asyncio.sleep(5)
            assert driver.target_rate() == pytest.approx(100, abs=1)
            await asyncio.sleep(10)
            assert driver.target_rate() == 200
            driver.stop()
            assert driver.target_rate() == 0
            await asyncio.sleep(30)
            driver.start()
            await asyncio.sleep(2.5)
            assert driver.target_rate() == pytest.approx(50, abs=1)
            assert driver.settings.describe()["rate_shape"]["shape"] == "ramp"
            assert driver.settings.rate == 200
            # 5 s at 10; the ramp and 5 s of its end; a quarter of the ramp.
            assert bench.recorder.operations == pytest.approx(50 + 1000 + 1000 + 62, abs=4)

    in_virtual_time(main)


def test_silence_between_bursts_is_no_gap(in_virtual_time: Run, bench_of: BenchOf) -> None:
    async def main() -> None:
        clock = asyncio.get_running_loop().time
        async with bench_of("likes", MemoryStore(), rate=100) as bench:
            bench.driver.change(rate=Burst(0, 200, every_s=10, lasts_s=2))
            await asyncio.sleep(33)
            assert bench.recorder.longest_gap_s(clock()) < 0.1
            assert bench.recorder.operations == pytest.approx(3 * 400, abs=3)
            rows = [row for row in bench.recorder.series if row["target_rate"]]
            assert rows and all(row["target_rate"] == 200 for row in rows)

    in_virtual_time(main)


@pytest.mark.parametrize("loop", ["open", "closed"])
@pytest.mark.parametrize("fault", ["dead", "silent"])
def test_what_falls_due_while_too_many_additions_are_unanswered_is_shed(
    in_virtual_time: Run, bench_of: BenchOf, loop: str, fault: str
) -> None:
    """1. Nobody answers. 2. Each worker leaves its addition to the resender and takes the next one. 3. Without a
    bound there are more unanswered additions each second, for as long as the cluster is away."""

    async def main() -> None:
        store = MemoryStore()
        async with bench_of("likes", store, rate=300, in_flight_max=20, resending_max=50) as bench:
            bench.driver.change(loop=loop, workers=8)
            await asyncio.sleep(1)
            setattr(store, fault, set(store.nodes))
            await asyncio.sleep(30)
            assert 50 <= bench.driver.resending < 50 + 20 + 8  # beside those that were out already
            assert bench.recorder.shed > 300
            setattr(store, fault, set())
            await asyncio.sleep(10)
            bench.driver.stop()
            assert await bench.driver.drained(30)
            issued = bench.recorder.operations + bench.recorder.shed
            assert issued == pytest.approx(41 * 300, abs=60)  # the rest is nothing: each is sent or counted
            assert (await bench.write_ledger.check()).status == "ok"

    in_virtual_time(main)
