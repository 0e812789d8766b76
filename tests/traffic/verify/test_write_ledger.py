"""The books in virtual time: every loss is found, nothing else is, and memory stays bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest

from traffic.clock import Runtime
from traffic.load.executor import Executor, Target
from traffic.measure.events import Events, Request
from traffic.nodes.table import NodeTable
from traffic.operations import Add
from traffic.stores.base import ActorTotals
from traffic.stores.memory import MemoryStore
from traffic.verify.totals import RunningTotals
from traffic.verify.write_ledger import WriteLedger

Run = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]
BenchOf = Callable[..., Any]


@pytest.mark.parametrize("workload", ["likes", "puts"])
def test_a_store_that_forgets_is_caught(in_virtual_time: Run, bench_of: BenchOf, workload: str) -> None:
    """The bug is planted here, so that the check is known to be able to fail."""

    async def main() -> None:
        store = MemoryStore()
        async with bench_of(workload, store, rate=100) as bench:
            await asyncio.sleep(2)
            store.forgetful = True
            await asyncio.sleep(1)
            bench.driver.stop()
            await bench.driver.drained(5)
            verdict = await bench.write_ledger.check()
            assert verdict.status == "violated"
            assert verdict.lost >= 1
            assert verdict.evidence

    in_virtual_time(main)


def test_an_increment_applied_twice_is_caught(in_virtual_time: Run, bench_of: BenchOf) -> None:
    async def main() -> None:
        store = MemoryStore()
        async with bench_of("likes", store, rate=100) as bench:
            await asyncio.sleep(1)
            bench.driver.stop()
            await bench.driver.drained(5)
            actors = store.counters["tweet/1/likes"]
            actors["traffic-test"] = ActorTotals(actors["traffic-test"].increments + 1, 0)
            verdict = await bench.write_ledger.check()
            assert (verdict.status, verdict.counters_wrong) == ("violated", 1)

    in_virtual_time(main)


def test_decrements_are_exact_through_silence_and_death(in_virtual_time: Run, bench_of: BenchOf) -> None:
    async def main() -> None:
        store = MemoryStore()
        async with bench_of("ups and downs", store, rate=90) as bench:
            await asyncio.sleep(2)
            store.silent = {"node-1"}
            await asyncio.sleep(2)
            store.dead = set(store.nodes)
            await asyncio.sleep(2)
            store.silent, store.dead = set(), set()
            bench.driver.stop()
            assert await bench.driver.drained(10)
            counted = bench.recorder.ok
            final = await bench.write_ledger.reads.counter("stock/1")
            assert final.value == 3 * counted["add"] - counted["take"] > 100
            assert len(bench.workload.seen) == bench.recorder.operations
            assert (await bench.write_ledger.check()).status == "ok"
            store.counters["stock/1"]["traffic-test"] = ActorTotals(3 * counted["add"], 0)
            assert (await bench.write_ledger.check()).status == "violated"

    in_virtual_time(main)


def test_checking_while_traffic_runs_sees_no_ghosts(in_virtual_time: Run, bench_of: BenchOf) -> None:
    async def main() -> None:
        async with bench_of("likes", MemoryStore(latency_s=0.05), rate=300) as bench:
            for _ in range(5):
                await asyncio.sleep(1)
                verdict = await bench.write_ledger.check()
                assert (verdict.status, verdict.lost) == ("ok", 0), verdict.evidence
            assert verdict.acknowledged > 1000

    in_virtual_time(main)


def test_a_check_of_a_dead_cluster_ends_and_says_unknown(in_virtual_time: Run, bench_of: BenchOf) -> None:
    async def main() -> None:
        store = MemoryStore()
        async with bench_of("puts", store, rate=500) as bench:
            await asyncio.sleep(5)
            bench.driver.stop()
            store.dead = set(store.nodes)
            began_s = asyncio.get_running_loop().time()
            verdict = await bench.write_ledger.check()
            assert verdict.status == "unknown"
            assert asyncio.get_running_loop().time() - began_s < 30

    in_virtual_time(main)


def test_the_books_stay_small_and_still_count(in_virtual_time: Run, bench_of: BenchOf) -> None:
    async def main() -> None:
        async with bench_of("puts", MemoryStore(), rate=500) as bench:
            bench.write_ledger._keys_max = 1000
            for _ in range(20):
                await asyncio.sleep(1)
                if bench.write_ledger.full:
                    await bench.write_ledger.verify_quietly()
            bench.driver.stop()
            await bench.driver.drained(5)
            assert len(bench.write_ledger._current.keys) < 3000
            verdict = await bench.write_ledger.check()
            assert verdict.status == "ok"
            assert verdict.acknowledged == bench.recorder.operations

    in_virtual_time(main)


def test_a_loss_is_not_forgotten_with_its_ledger(in_virtual_time: Run, bench_of: BenchOf) -> None:
    async def main() -> None:
        store = MemoryStore()
        async with bench_of("puts", store, rate=100) as bench:
            store.forgetful = True
            await asyncio.sleep(1)
            store.forgetful = False
            for _ in range(10):
                await asyncio.sleep(1)
                await bench.write_ledger.verify_quietly()
            verdict = await bench.write_ledger.check()
            assert verdict.status == "violated"
            assert verdict.lost >= 99
            assert verdict.evidence

    in_virtual_time(main)


def test_what_could_not_be_read_is_verified_later(in_virtual_time: Run, bench_of: BenchOf) -> None:
    async def main() -> None:
        store = MemoryStore()
        async with bench_of("puts", store, rate=100) as bench:
            await asyncio.sleep(1)
            bench.driver.stop()
            await bench.driver.drained(5)
            store.dead = set(store.nodes)
            await bench.write_ledger.verify_quietly()
            assert (await bench.write_ledger.check()).status == "unknown"
            store.dead = set()
            await asyncio.sleep(1)
            verdict = await bench.write_ledger.check()
            assert (verdict.status, verdict.acknowledged) == ("ok", bench.recorder.operations)

    in_virtual_time(main)


def test_writes_at_risk_stay_at_risk(in_virtual_time: Run, bench_of: BenchOf) -> None:
    async def main() -> None:
        async with bench_of("puts", MemoryStore(), rate=100) as bench:
            bench.driver.change(w=1)
            await asyncio.sleep(1)
            bench.driver.change(w=2)
            await bench.write_ledger.verify_quietly()
            await asyncio.sleep(1)
            assert (await bench.write_ledger.check()).status == "at risk"

    in_virtual_time(main)


class Additions:
    """Additions that are answered at once, and books that are told of them; few counters are remembered."""

    def __init__(self, *, counters_max: int) -> None:
        self.store = MemoryStore(latency_s=0)
        self.totals = RunningTotals("a", counters_max=counters_max)
        nodes = NodeTable(self.store.nodes, random=Random(1), has_room=self.store.has_room)
        self.write_ledger = WriteLedger(self.store, nodes, self.totals)
        self.events = Events(self.write_ledger, self.totals)
        self.executor = Executor(
            "work",
            Target(self.store, nodes, self.totals),
            self.events,
            runtime=Runtime(Random(2)),
            quorums=lambda: (2, 2),
        )

    async def add(self, *keys: str) -> None:
        for key in keys:
            await self.executor.attempt(self.addition(key), "node-1", 0.0)

    def addition(self, key: str) -> Request:
        return self.executor.request(Add(kind="add", persona="ada", key=key), 0.0)


@pytest.mark.parametrize("forgettings", [1, 2, 5])
def test_a_ledger_that_waits_through_forgettings_of_counters_accuses_nobody(
    in_virtual_time: Run, forgettings: int
) -> None:
    """1. An addition is booked. 2. Its ledger cannot be read back, and waits. 3. The counter grows; that is booked in
    the next ledger, which is read back and let go. 4. The counters are forgotten, more than once. 5. The first ledger
    is read at last, and has never heard who sent so much."""

    async def main() -> None:
        work = Additions(counters_max=4)
        await work.add("tweets")
        work.store.dead = set(work.store.nodes)
        await work.write_ledger.verify_quietly()
        work.store.dead = set()
        await work.add("tweets", "tweets")
        for number in range(forgettings):
            generation = work.totals.actor
            while work.totals.actor == generation:
                await work.add(f"other/{number}/{len(work.store.counters)}")
        assert work.totals.known("tweets") is None
        verdict = await work.write_ledger.check()
        assert (verdict.status, verdict.evidence) == ("ok", ())
        work.store.counters["tweets"]["a"] = ActorTotals(4, 0)  # one more than was ever sent
        assert (await work.write_ledger.check()).status == "violated"
        work.store.counters["tweets"]["a"] = ActorTotals(2, 0)  # one less than was acknowledged
        assert (await work.write_ledger.check()).status == "violated"

    in_virtual_time(main)


def test_counters_forgotten_while_they_are_read_back_accuse_nobody(in_virtual_time: Run) -> None:
    async def main() -> None:
        work = Additions(counters_max=4)
        await work.add("tweets", "x")
        work.store.latency_s = 0.05
        checking = asyncio.create_task(work.write_ledger.check())
        await asyncio.sleep(0.001)  # sealed, and the reads are under way
        work.store.latency_s = 0
        await work.add("tweets", *(f"other/{number}" for number in range(20)))
        assert work.totals.known("tweets") is None
        work.store.latency_s = 0.05
        verdict = await checking
        assert (verdict.status, verdict.evidence) == ("ok", ())

    in_virtual_time(main)


def test_an_answer_that_comes_late_and_a_forgotten_counter_accuse_nobody(in_virtual_time: Run) -> None:
    """1. Two additions to one counter are under way. 2. The second is answered first; its ledger is sealed. 3. The
    answer to the first goes into the next ledger, which so knows less than was sent. 4. The counter is forgotten."""

    async def main() -> None:
        work = Additions(counters_max=4)
        await work.add("x")
        first, second = work.addition("tweets"), work.addition("tweets")
        await work.executor.attempt(second, "node-1", 0.0)
        assert (await work.write_ledger.check()).status == "ok"
        await work.executor.attempt(first, "node-1", 0.0)
        await work.add(*(f"other/{number}" for number in range(20)))
        assert work.totals.known("tweets") is None
        verdict = await work.write_ledger.check()
        assert (verdict.status, verdict.evidence) == ("ok", ())

    in_virtual_time(main)
