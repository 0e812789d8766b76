"""The driver in virtual time over the store in memory: open loop, bounds, retries, and the ledger's
verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest

from traffic.books import Books
from traffic.convergence import Convergence
from traffic.driver import Driver, Settings
from traffic.nodes import NodeTable
from traffic.operations import Add, Get, Operation, Put
from traffic.stores.memory import MemoryStore
from traffic.totals import RunningTotals
from traffic.watch import Watch

Run = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]


class OnlyLikes:
    """A workload of likes on one hot key."""

    name = "likes"
    kinds: tuple[str, ...] = ("like",)

    def __init__(self) -> None:
        self.liked = 0

    def next_operation(self, now_s: float) -> Operation:
        return Add(kind="like", persona="ada", key="tweet/1/likes")

    def acknowledged(self, operation: Operation, now_s: float) -> None:
        self.liked += 1


class OnlyPuts(OnlyLikes):
    kinds = ("tweet",)

    def __init__(self) -> None:
        super().__init__()
        self.issued = 0

    def next_operation(self, now_s: float) -> Operation:
        self.issued += 1
        return Put(kind="tweet", persona="ada", key=f"tweet/{self.issued}", value="{}")


class OnlyReads(OnlyLikes):
    kinds = ("read",)

    def next_operation(self, now_s: float) -> Operation:
        return Get(kind="read", persona="ada", key="tweet/1")


class Bench:
    """A driver with all its parts, on the running loop."""

    def __init__(self, workload: OnlyLikes, store: MemoryStore, *, rate: float = 100, **bounds: int) -> None:
        clock = asyncio.get_running_loop().time
        self.store = store
        self.workload = workload
        self.nodes = NodeTable(store.nodes, random=Random(1), has_room=store.has_room)
        self.totals = RunningTotals("traffic-test")
        self.books = Books(store, self.nodes, self.totals)
        self.driver = Driver(
            workload,
            store,
            nodes=self.nodes,
            totals=self.totals,
            books=self.books,
            convergence=Convergence(store, self.nodes, random=Random(2), clock=clock),
            random=Random(3),
            settings=Settings(rate=rate, pattern="even"),
            clock=clock,
            **bounds,
        )
        self.recorder = self.driver.recorder
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Bench:
        watch = Watch(self.store, self.nodes, clock=asyncio.get_running_loop().time)
        await watch.look_once()
        self._tasks = [asyncio.create_task(watch.run()), asyncio.create_task(self.driver.run())]
        self.driver.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.driver.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def test_every_arrival_is_sent_and_acknowledged(in_virtual_time: Run) -> None:
    async def main() -> None:
        async with Bench(OnlyLikes(), MemoryStore(), rate=200) as bench:
            await asyncio.sleep(30)
            bench.driver.stop()
            assert await bench.driver.drained(5)
            assert bench.recorder.operations == pytest.approx(6000, abs=2)
            assert (bench.recorder.errors, bench.recorder.shed, bench.recorder.resent) == (0, 0, 0)
            verdict = await bench.books.check()
            assert (verdict.status, verdict.lost, verdict.counters_wrong) == ("ok", 0, 0)
            assert bench.store.counters["tweet/1/likes"]["traffic-test"] == bench.recorder.operations

    in_virtual_time(main)


def test_the_rate_follows_a_change_while_running(in_virtual_time: Run) -> None:
    async def main() -> None:
        async with Bench(OnlyLikes(), MemoryStore(), rate=100) as bench:
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


def test_a_stall_shows_in_the_latency_from_the_intended_start(in_virtual_time: Run) -> None:
    """1. One operation at a time fits. 2. The store takes 50 ms, arrivals come every 10 ms. 3. A closed
    loop would report 50 ms for ever; what a user waits grows and grows."""

    async def main() -> None:
        store = MemoryStore(latency_s=0.0001)
        async with Bench(OnlyLikes(), store, rate=100, in_flight_max=1) as bench:

            async def slow(*args: Any, **more: Any) -> None:
                await asyncio.sleep(0.05)

            store.add = slow  # type: ignore[method-assign]
            await asyncio.sleep(10)
            now_s = asyncio.get_running_loop().time()
            service = bench.recorder.service_latency_ms(now_s)
            intended = bench.recorder.latency_ms(now_s)
            assert service["p50"] == pytest.approx(50, rel=0.1)
            assert (intended["p50"] or 0) > 4000

    in_virtual_time(main)


def test_what_does_not_fit_is_counted_as_shed(in_virtual_time: Run) -> None:
    async def main() -> None:
        store = MemoryStore()
        async with Bench(OnlyLikes(), store, rate=1000, in_flight_max=10, queue_max=50) as bench:
            store.silent = set(store.nodes)
            await asyncio.sleep(2)
            assert bench.driver.in_flight <= 10
            assert bench.driver.queued <= 50
            shed = bench.recorder.shed
            assert shed > 1500
            sent = len([call for call in store.calls if call[1] == "add"])
            assert sent + bench.driver.queued + shed == pytest.approx(2000, abs=30)

    in_virtual_time(main)


def test_a_definite_failure_goes_to_another_node(in_virtual_time: Run) -> None:
    async def main() -> None:
        store = MemoryStore()
        store.dead = {"node-2"}
        async with Bench(OnlyPuts(), store, rate=100) as bench:
            for name in store.nodes:  # believe in all, as in the moment in which the node dies
                bench.nodes.answered(name, {}, asyncio.get_running_loop().time())
            await asyncio.sleep(5)
            bench.driver.stop()
            await bench.driver.drained(5)
            assert bench.recorder.errors == 0
            assert bench.recorder.resent >= 1
            assert (await bench.books.check()).status == "ok"

    in_virtual_time(main)


def test_an_indefinite_put_is_an_error_and_not_repeated(in_virtual_time: Run) -> None:
    async def main() -> None:
        store = MemoryStore()
        async with Bench(OnlyPuts(), store, rate=100) as bench:
            store.silent = set(store.nodes)
            await asyncio.sleep(0.1)
            bench.driver.stop()
            await bench.driver.drained(10)
            puts = [key for _, what, key in store.calls if what == "put"]
            assert len(puts) == len(set(puts)) >= 9
            assert bench.recorder.failed_indefinite == len(puts)
            assert bench.recorder.failed_definite == 0

    in_virtual_time(main)


def test_a_read_is_tried_through_every_node(in_virtual_time: Run) -> None:
    async def main() -> None:
        store = MemoryStore()
        store.values["tweet/1"] = ("{}", "memory.0000000000000001:1")
        async with Bench(OnlyReads(), store, rate=50) as bench:
            store.silent = {"node-1", "node-2"}
            await asyncio.sleep(1)
            bench.driver.stop()
            await bench.driver.drained(20)
            assert bench.recorder.errors == 0
            assert bench.recorder.operations >= 49

    in_virtual_time(main)


def test_unanswered_likes_are_sent_again_until_they_are_answered(in_virtual_time: Run) -> None:
    """1. All nodes die for ten seconds under 100 likes/s. 2. They come back. 3. Every single like must be
    there."""

    async def main() -> None:
        store = MemoryStore()
        async with Bench(OnlyLikes(), store, rate=100) as bench:
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
            verdict = await bench.books.check()
            assert (verdict.status, verdict.lost, verdict.counters_wrong) == ("ok", 0, 0)
            assert store.counters["tweet/1/likes"]["traffic-test"] == bench.recorder.operations
            assert bench.workload.liked == bench.recorder.operations >= 1490
            loop = asyncio.get_running_loop()
            assert 10 <= bench.recorder.longest_gap_s(loop.time()) < 11.5

    in_virtual_time(main)


def test_resending_is_coalesced_and_backs_off(in_virtual_time: Run) -> None:
    async def main() -> None:
        store = MemoryStore()
        async with Bench(OnlyLikes(), store, rate=100) as bench:
            store.dead = set(store.nodes)
            await asyncio.sleep(0.2)
            bench.driver.stop()
            await bench.driver.drained(0.1)
            store.calls.clear()
            await asyncio.sleep(20)
            adds = [call for call in store.calls if call[1] == "add"]
            assert 15 < len(adds) < 45  # one request at a time, 0.5 to 1 s apart, for all likes together

    in_virtual_time(main)


def test_a_like_of_unknown_outcome_is_counted_once(in_virtual_time: Run) -> None:
    async def main() -> None:
        store = MemoryStore()
        async with Bench(OnlyLikes(), store, rate=100) as bench:
            store.silent = set(store.nodes)  # applied, and never answered
            await asyncio.sleep(1)
            store.silent = set()
            bench.driver.stop()
            assert await bench.driver.drained(20)
            assert store.counters["tweet/1/likes"]["traffic-test"] == bench.workload.liked
            assert (await bench.books.check()).status == "ok"

    in_virtual_time(main)


@pytest.mark.parametrize("workload", [OnlyLikes, OnlyPuts])
def test_a_store_that_forgets_is_caught(in_virtual_time: Run, workload: type[OnlyLikes]) -> None:
    """The bug is planted here, so that the check is known to be able to fail."""

    async def main() -> None:
        store = MemoryStore()
        async with Bench(workload(), store, rate=100) as bench:
            await asyncio.sleep(2)
            store.forgetful = True
            await asyncio.sleep(1)
            bench.driver.stop()
            await bench.driver.drained(5)
            verdict = await bench.books.check()
            assert verdict.status == "violated"
            assert verdict.lost >= 1
            assert verdict.evidence

    in_virtual_time(main)


def test_an_increment_applied_twice_is_caught(in_virtual_time: Run) -> None:
    async def main() -> None:
        store = MemoryStore()
        async with Bench(OnlyLikes(), store, rate=100) as bench:
            await asyncio.sleep(1)
            bench.driver.stop()
            await bench.driver.drained(5)
            store.counters["tweet/1/likes"]["traffic-test"] += 1
            verdict = await bench.books.check()
            assert (verdict.status, verdict.counters_wrong) == ("violated", 1)

    in_virtual_time(main)


def test_checking_while_traffic_runs_sees_no_ghosts(in_virtual_time: Run) -> None:
    async def main() -> None:
        async with Bench(OnlyLikes(), MemoryStore(latency_s=0.05), rate=300) as bench:
            for _ in range(5):
                await asyncio.sleep(1)
                verdict = await bench.books.check()
                assert (verdict.status, verdict.lost) == ("ok", 0), verdict.evidence
            assert verdict.acknowledged > 1000

    in_virtual_time(main)


def test_a_check_of_a_dead_cluster_ends_and_says_unknown(in_virtual_time: Run) -> None:
    async def main() -> None:
        store = MemoryStore()
        async with Bench(OnlyPuts(), store, rate=500) as bench:
            await asyncio.sleep(5)
            bench.driver.stop()
            store.dead = set(store.nodes)
            began_s = asyncio.get_running_loop().time()
            verdict = await bench.books.check()
            assert verdict.status == "unknown"
            assert asyncio.get_running_loop().time() - began_s < 30

    in_virtual_time(main)


def test_the_books_stay_small_and_still_count(in_virtual_time: Run) -> None:
    async def main() -> None:
        async with Bench(OnlyPuts(), MemoryStore(), rate=500) as bench:
            bench.books._keys_max = 1000
            for _ in range(20):
                await asyncio.sleep(1)
                if bench.books.full:
                    await bench.books.verify_quietly()
            bench.driver.stop()
            await bench.driver.drained(5)
            assert len(bench.books._current.keys) < 3000
            verdict = await bench.books.check()
            assert verdict.status == "ok"
            assert verdict.acknowledged == bench.recorder.operations

    in_virtual_time(main)


def test_a_loss_is_not_forgotten_with_its_ledger(in_virtual_time: Run) -> None:
    async def main() -> None:
        store = MemoryStore()
        async with Bench(OnlyPuts(), store, rate=100) as bench:
            store.forgetful = True
            await asyncio.sleep(1)
            store.forgetful = False
            for _ in range(10):
                await asyncio.sleep(1)
                await bench.books.verify_quietly()
            verdict = await bench.books.check()
            assert verdict.status == "violated"
            assert verdict.lost >= 99
            assert verdict.evidence

    in_virtual_time(main)


def test_what_could_not_be_read_is_verified_later(in_virtual_time: Run) -> None:
    async def main() -> None:
        store = MemoryStore()
        async with Bench(OnlyPuts(), store, rate=100) as bench:
            await asyncio.sleep(1)
            bench.driver.stop()
            await bench.driver.drained(5)
            store.dead = set(store.nodes)
            await bench.books.verify_quietly()
            assert (await bench.books.check()).status == "unknown"
            store.dead = set()
            await asyncio.sleep(1)
            verdict = await bench.books.check()
            assert (verdict.status, verdict.acknowledged) == ("ok", bench.recorder.operations)

    in_virtual_time(main)


def test_writes_at_risk_stay_at_risk(in_virtual_time: Run) -> None:
    async def main() -> None:
        async with Bench(OnlyPuts(), MemoryStore(), rate=100) as bench:
            bench.driver.change(w=1)
            await asyncio.sleep(1)
            bench.driver.change(w=2)
            await bench.books.verify_quietly()
            await asyncio.sleep(1)
            assert (await bench.books.check()).status == "at risk"

    in_virtual_time(main)


def test_a_refusal_is_not_repeated_for_ever(in_virtual_time: Run) -> None:
    async def main() -> None:
        from traffic.stores.base import StoreError

        store = MemoryStore()

        async def refuse(node: str, *args: Any, **more: Any) -> None:
            raise StoreError(node, "too many actors", definite=True, status=409)

        store.add = refuse  # type: ignore[method-assign]
        async with Bench(OnlyLikes(), store, rate=10) as bench:
            await asyncio.sleep(5)
            bench.driver.stop()
            assert await bench.driver.drained(1)
            assert bench.recorder.failed_definite >= 49
            assert bench.recorder.resent == 0

    in_virtual_time(main)


def test_a_bug_in_the_workload_ends_the_driver_loudly(in_virtual_time: Run) -> None:
    class Broken(OnlyLikes):
        def acknowledged(self, operation: Operation, now_s: float) -> None:
            raise KeyError("planted")

    async def main() -> None:
        bench = Bench(Broken(), MemoryStore(), rate=10)
        bench.driver.start()
        with pytest.raises(RuntimeError, match="has a bug"):
            await asyncio.wait_for(bench.driver.run(), 5)
        await bench.driver.close()

    in_virtual_time(main)


def test_bad_settings_change_nothing(in_virtual_time: Run) -> None:
    async def main() -> None:
        bench = Bench(OnlyLikes(), MemoryStore(), rate=10)
        for wrong in ({"r": 4}, {"w": 0}, {"rate": -1}, {"rate": 6000}, {"rate": 20, "w": 9}):
            with pytest.raises(ValueError, match="must be between"):
                bench.driver.change(**wrong)
        assert bench.driver.settings == Settings(rate=10, pattern="even")

    in_virtual_time(main)
