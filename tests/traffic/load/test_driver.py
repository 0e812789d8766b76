"""The driver in virtual time over the store in memory: open loop, bounds, retries."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from traffic.load.driver import Settings
from traffic.measure.events import Ended
from traffic.operations import Add, Operation
from traffic.stores.base import CounterReply, Reply
from traffic.stores.memory import MemoryStore, Version
from traffic.workloads.base import Workload

Run = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]
BenchOf = Callable[..., Any]


def test_every_arrival_is_sent_and_acknowledged(in_virtual_time: Run, bench_of: BenchOf) -> None:
    async def main() -> None:
        async with bench_of("likes", MemoryStore(), rate=200) as bench:
            await asyncio.sleep(30)
            bench.driver.stop()
            assert await bench.driver.drained(5)
            assert bench.recorder.operations == pytest.approx(6000, abs=2)
            assert (bench.recorder.errors, bench.recorder.shed, bench.recorder.resent) == (0, 0, 0)
            verdict = await bench.write_ledger.check()
            assert (verdict.status, verdict.lost, verdict.counters_wrong) == ("ok", 0, 0)
            assert (
                bench.store.counters["tweet/1/likes"]["traffic-test"].increments == bench.recorder.operations
            )

    in_virtual_time(main)


def test_the_rate_follows_a_change_while_running(in_virtual_time: Run, bench_of: BenchOf) -> None:
    async def main() -> None:
        async with bench_of("likes", MemoryStore(), rate=100) as bench:
            loop = asyncio.get_running_loop()
            await asyncio.sleep(5)
            assert bench.recorder.achieved_rate(loop.time()) == pytest.approx(100, rel=0.05)
            bench.driver.change(rate=800)
            await asyncio.sleep(3)
            assert bench.recorder.achieved_rate(loop.time()) == pytest.approx(800, rel=0.05)
            bench.driver.change(rate=0)
            await asyncio.sleep(3)
            assert bench.recorder.achieved_rate(loop.time()) == 0
            assert bench.recorder.longest_gap_s(loop.time()) < 0.2  # nobody wanted anything: no gap

    in_virtual_time(main)


def test_a_stall_shows_in_the_latency_from_the_intended_start(
    in_virtual_time: Run, bench_of: BenchOf
) -> None:
    """1. One operation at a time fits. 2. The store takes 50 ms, arrivals come every 10 ms. 3. A closed
    loop would report 50 ms for ever; what a user waits grows and grows."""

    async def main() -> None:
        store = MemoryStore(latency_s=0.0001)
        async with bench_of("likes", store, rate=100, in_flight_max=1) as bench:

            async def slow(node: str, key: str, **more: Any) -> CounterReply:
                await asyncio.sleep(0.05)
                return CounterReply(key, 0, node)

            store.add = slow  # type: ignore[method-assign]
            await asyncio.sleep(10)
            now_s = asyncio.get_running_loop().time()
            service = bench.recorder.service_latency_ms(now_s)
            intended = bench.recorder.latency_ms(now_s)
            assert service["p50"] == pytest.approx(50, rel=0.1)
            assert (intended["p50"] or 0) > 4000

    in_virtual_time(main)


def test_what_does_not_fit_is_counted_as_shed(in_virtual_time: Run, bench_of: BenchOf) -> None:
    async def main() -> None:
        store = MemoryStore()
        async with bench_of("likes", store, rate=1000, in_flight_max=10, queue_max=50) as bench:
            store.silent = set(store.nodes)
            await asyncio.sleep(2)
            assert bench.driver.in_flight <= 10
            assert bench.driver.queued <= 50
            shed = bench.recorder.shed
            assert shed > 1500
            sent = len([call for call in store.calls if call[1] == "add"])
            assert sent + bench.driver.queued + shed == pytest.approx(2000, abs=30)

    in_virtual_time(main)


def test_a_definite_failure_goes_to_another_node(in_virtual_time: Run, bench_of: BenchOf) -> None:
    async def main() -> None:
        store = MemoryStore()
        store.dead = {"node-2"}
        async with bench_of("puts", store, rate=100) as bench:
            for name in store.nodes:  # believe in all, as in the moment in which the node dies
                bench.nodes.answered(name, {}, asyncio.get_running_loop().time())
            await asyncio.sleep(5)
            bench.driver.stop()
            await bench.driver.drained(5)
            assert bench.recorder.errors == 0
            assert bench.recorder.resent >= 1
            assert (await bench.write_ledger.check()).status == "ok"

    in_virtual_time(main)


def test_an_indefinite_put_is_an_error_and_not_repeated(in_virtual_time: Run, bench_of: BenchOf) -> None:
    async def main() -> None:
        store = MemoryStore()
        async with bench_of("puts", store, rate=100) as bench:
            store.silent = set(store.nodes)
            await asyncio.sleep(0.1)
            bench.driver.stop()
            await bench.driver.drained(10)
            puts = [key for _, what, key in store.calls if what == "put"]
            assert len(puts) == len(set(puts)) >= 9
            assert bench.recorder.failed_indefinite == len(puts)
            assert bench.recorder.failed_definite == 0

    in_virtual_time(main)


def test_a_read_is_tried_through_every_node(in_virtual_time: Run, bench_of: BenchOf) -> None:
    async def main() -> None:
        store = MemoryStore()
        store.values["tweet/1"] = [Version("{}", 1)]
        async with bench_of("reads", store, rate=50) as bench:
            store.silent = {"node-1", "node-2"}
            await asyncio.sleep(1)
            bench.driver.stop()
            await bench.driver.drained(20)
            assert bench.recorder.errors == 0
            assert bench.recorder.operations >= 49

    in_virtual_time(main)


def test_unanswered_likes_are_sent_again_until_they_are_answered(
    in_virtual_time: Run, bench_of: BenchOf
) -> None:
    """1. All nodes die for ten seconds under 100 likes/s. 2. They come back. 3. Every single like must be
    there."""

    async def main() -> None:
        store = MemoryStore()
        async with bench_of("likes", store, rate=100) as bench:
            await asyncio.sleep(2)
            store.dead = set(store.nodes)
            await asyncio.sleep(10)
            assert bench.driver.resending > 900
            assert bench.recorder.errors == 0
            store.dead = set()
            await asyncio.sleep(3)
            assert bench.driver.resending == 0
            bench.driver.stop()
            assert await bench.driver.drained(5)
            verdict = await bench.write_ledger.check()
            assert (verdict.status, verdict.lost, verdict.counters_wrong) == ("ok", 0, 0)
            assert store.counters["tweet/1/likes"]["traffic-test"].increments == bench.recorder.operations
            assert bench.workload.liked == bench.recorder.operations >= 1490
            loop = asyncio.get_running_loop()
            assert 10 <= bench.recorder.longest_gap_s(loop.time()) < 11.5

    in_virtual_time(main)


def test_resending_is_coalesced_and_backs_off(in_virtual_time: Run, bench_of: BenchOf) -> None:
    async def main() -> None:
        store = MemoryStore()
        async with bench_of("likes", store, rate=100) as bench:
            store.dead = set(store.nodes)
            await asyncio.sleep(0.2)
            bench.driver.stop()
            await bench.driver.drained(0.1)
            store.calls.clear()
            await asyncio.sleep(20)
            adds = [call for call in store.calls if call[1] == "add"]
            assert 15 < len(adds) < 45  # one request at a time, 0.5 to 1 s apart, for all likes together

    in_virtual_time(main)


def test_a_like_of_unknown_outcome_is_counted_once(in_virtual_time: Run, bench_of: BenchOf) -> None:
    async def main() -> None:
        store = MemoryStore()
        async with bench_of("likes", store, rate=100) as bench:
            store.silent = set(store.nodes)  # applied, and never answered
            await asyncio.sleep(1)
            store.silent = set()
            bench.driver.stop()
            assert await bench.driver.drained(20)
            assert store.counters["tweet/1/likes"]["traffic-test"].increments == bench.workload.liked
            assert (await bench.write_ledger.check()).status == "ok"

    in_virtual_time(main)


def test_a_refusal_is_not_repeated_for_ever(in_virtual_time: Run, bench_of: BenchOf) -> None:
    async def main() -> None:
        from traffic.stores.base import StoreError

        store = MemoryStore()

        async def refuse(node: str, *args: Any, **more: Any) -> CounterReply:
            raise StoreError(node, "too many actors", definite=True, status=409)

        store.add = refuse  # type: ignore[method-assign]
        async with bench_of("likes", store, rate=10) as bench:
            await asyncio.sleep(5)
            bench.driver.stop()
            assert await bench.driver.drained(1)
            assert bench.recorder.failed_definite >= 49
            assert bench.recorder.resent == 0

    in_virtual_time(main)


def test_a_bug_in_the_workload_ends_the_driver_loudly(in_virtual_time: Run, bench_of: BenchOf) -> None:
    def broken(operation: Operation, reply: Reply, now_s: float) -> None:
        raise KeyError("planted")

    async def main() -> None:
        bench = bench_of("likes", MemoryStore(), rate=10)
        bench.workload.answered = broken
        bench.driver.start()
        with pytest.raises(RuntimeError, match="has a bug"):
            await asyncio.wait_for(bench.driver.run(), 5)
        await bench.driver.close()

    in_virtual_time(main)


def test_a_listener_hears_of_every_end(in_virtual_time: Run, bench_of: BenchOf) -> None:
    """1. Everybody answers. 2. Nobody does. 3. All are dead. Each operation is told once, with its outcome."""

    async def main() -> None:
        store = MemoryStore()
        heard: list[Ended] = []
        async with bench_of("puts", store, rate=100) as bench:
            bench.driver.events.subscribe(Ended, heard.append)
            await asyncio.sleep(1)
            store.silent = set(store.nodes)
            await asyncio.sleep(1)
            store.silent, store.dead = set(), set(store.nodes)
            await asyncio.sleep(1)
            bench.driver.stop()
            assert await bench.driver.drained(10)
            outcomes = Counter(ended.outcome for ended in heard)
            assert outcomes["ok"] == bench.recorder.operations > 90
            assert outcomes["indefinite"] == bench.recorder.failed_indefinite > 90
            assert outcomes["definite"] == bench.recorder.failed_definite > 90
            assert len({ended.operation.key for ended in heard}) == bench.workload.issued
            for ended in heard:
                assert ended.intended_s <= ended.sent_s <= ended.done_s
                assert (ended.reply is not None) == (ended.outcome == "ok")

    in_virtual_time(main)


def test_a_client_is_served_in_its_region_while_that_can_be(in_virtual_time: Run, bench_of: BenchOf) -> None:
    class Londoner(Workload):
        name = "likes"
        kinds = ("like",)

        def next_operation(self, now_s: float) -> Operation:
            return Add(kind="like", persona="ada", key="tweet/1/likes", region="London")

        def answered(self, operation: Operation, reply: Reply, now_s: float) -> None: ...

    def asked(store: MemoryStore) -> set[str]:
        nodes = {node for node, what, _ in store.calls if what == "add"}
        store.calls.clear()
        return nodes

    async def main() -> None:
        store = MemoryStore()
        async with bench_of(Londoner(), store, rate=100) as bench:
            await asyncio.sleep(1)
            assert asked(store) == set(store.nodes)  # no topology: the region is only a label
            bench.nodes.place({"node-1": "Tokyo", "node-2": "London", "node-3": "Tokyo"})
            await asyncio.sleep(0.1)
            store.calls.clear()
            await asyncio.sleep(1)
            assert asked(store) == {"node-2"}
            store.dead = {"node-2"}
            await asyncio.sleep(1)
            store.calls.clear()
            await asyncio.sleep(1)
            assert asked(store) == {"node-1", "node-3"}
            assert bench.recorder.errors == 0

    in_virtual_time(main)


def test_bad_settings_change_nothing(in_virtual_time: Run, bench_of: BenchOf) -> None:
    async def main() -> None:
        bench = bench_of("likes", MemoryStore(), rate=10)
        for wrong in ({"r": 4}, {"w": 0}, {"rate": -1}, {"rate": 6000}, {"rate": 20, "w": 9}):
            with pytest.raises(ValueError, match="must be between"):
                bench.driver.change(**wrong)
        assert bench.driver.settings == Settings(rate=10, pattern="even")

    in_virtual_time(main)
