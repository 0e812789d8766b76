"""The inventory world with reservations, over the store in memory and in virtual time.

Conserved and never oversold, whatever fails; and with a bug planted in the reservation it is caught."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from kvnode.checkers import Verdict
from traffic.stores.memory import MemoryStore
from traffic.workloads.inventory import Inventory
from traffic.workloads.inventory.rights import Rights
from traffic.workloads.inventory.scenarios import SHELF_TARGET
from traffic.workloads.inventory.warehouses import CATALOGUE, WAREHOUSES, shelf_key

Run = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]
BenchOf = Callable[..., Any]
MakeWorld = Callable[..., Inventory]
Finish = Callable[[Any], Coroutine[Any, Any, Verdict]]


def units_on_shelves(store: MemoryStore) -> int:
    return sum(
        totals.increments - totals.decrements
        for warehouse in WAREHOUSES
        for product in CATALOGUE
        for totals in store.counters.get(shelf_key(warehouse.name, product.sku), {}).values()
    )


def booked(store: MemoryStore, book: str) -> int:
    """Units in the books of all products: "restocked" or "sold"."""
    return sum(
        totals.increments
        for product in CATALOGUE
        for totals in store.counters.get(f"{book}/{product.sku}", {}).values()
    )


def test_a_business_day_ends_with_all_stock_accounted_for(
    in_virtual_time: Run, bench_of: BenchOf, inventory: MakeWorld, finished: Finish
) -> None:
    async def main() -> None:
        world = inventory()
        async with bench_of(world, MemoryStore(), rate=50) as bench:
            await asyncio.sleep(60)
            verdict = await finished(bench)
        assert verdict.status == "ok", verdict.evidence
        counts = world.counts()
        assert counts["shipped"] == verdict.facts["shipped_units"] > 500
        assert counts["transfers"] > 20
        assert counts["stock_takes"] > 5
        assert counts["discrepancies"] == counts["oversold"] == counts["unanswered"] == 0
        assert verdict.facts["opening_units"] == SHELF_TARGET * len(CATALOGUE) * len(WAREHOUSES)
        assert world.active == len(CATALOGUE)
        shown = [await world.stock_of(product, bench.write_ledger.reads) for product in world.products]
        assert set(shown[0]) == {warehouse.name for warehouse in WAREHOUSES}
        assert sum(units or 0 for one in shown for units in one.values()) == verdict.facts["final_units"]

    in_virtual_time(main)


def test_nodes_that_die_fall_silent_and_return_change_nothing(
    in_virtual_time: Run, bench_of: BenchOf, inventory: MakeWorld, finished: Finish
) -> None:
    """1. One node is dead. 2. All are silent, and apply what they do not answer. 3. All are dead. 4. All return."""

    async def main() -> None:
        store = MemoryStore()
        world = inventory()
        async with bench_of(world, store, rate=50) as bench:
            await asyncio.sleep(20)
            store.dead = {"node-2"}
            await asyncio.sleep(10)
            store.silent = set(store.nodes)
            await asyncio.sleep(5)
            assert world.counts()["unanswered"] > 0
            store.silent, store.dead = set(), set(store.nodes)
            await asyncio.sleep(10)
            store.dead = set()
            await asyncio.sleep(30)
            verdict = await finished(bench)
        assert verdict.status == "ok", verdict.evidence
        assert world.counts()["oversold"] == world.counts()["discrepancies"] == 0
        assert world.counts()["unanswered"] == 0

    in_virtual_time(main)


def test_the_verdict_holds_while_traffic_runs(
    in_virtual_time: Run, bench_of: BenchOf, inventory: MakeWorld
) -> None:
    async def main() -> None:
        world = inventory()
        async with bench_of(world, MemoryStore(latency_s=0.02), rate=200) as bench:
            for _ in range(10):
                await asyncio.sleep(3)
                (verdict,) = await world.check(bench.write_ledger.reads)
                assert verdict.status == "ok", verdict.evidence

    in_virtual_time(main)


def test_a_store_that_cannot_be_read_makes_it_unknown(
    in_virtual_time: Run, bench_of: BenchOf, inventory: MakeWorld
) -> None:
    async def main() -> None:
        store, world = MemoryStore(), inventory()
        async with bench_of(world, store, rate=50) as bench:
            await asyncio.sleep(20)
            bench.driver.stop()
            store.dead = set(store.nodes)
            (verdict,) = await world.check(bench.write_ledger.reads)
        assert verdict.status == "unknown"

    in_virtual_time(main)


def test_several_processes_share_shelves_and_none_oversells(
    in_virtual_time: Run, bench_of: BenchOf, inventory: MakeWorld, finished: Finish
) -> None:
    """1. Two processes trade on one store; a third joins. 2. The first is killed in the middle of it. 3. The others
    end well, the units of the dead one stay on the shelves, and the product books allow for all of them."""

    async def main() -> None:
        store = MemoryStore()
        worlds = [inventory(seed, tag=f"p{seed}") for seed in range(3)]
        for world in worlds:
            world.season = "black-friday"
        benches = [
            bench_of(world, store, rate=100, actor=f"p{number}") for number, world in enumerate(worlds)
        ]
        async with benches[1], benches[2]:
            async with benches[0]:
                await asyncio.sleep(20)
            # Its tasks are cancelled wherever they stood: as good as kill -9, for the store.
            await asyncio.sleep(20)
            for bench in benches[1:]:
                bench.driver.stop()
            for bench in benches[1:]:
                assert await bench.driver.drained(30)
            verdicts = [await finished(bench) for bench in benches[1:]]
        assert [verdict.status for verdict in verdicts] == ["ok", "ok"]
        shares = [
            totals.increments - totals.decrements
            for key, actors in store.counters.items()
            if key.startswith("stock/")
            for totals in actors.values()
        ]
        assert min(shares) >= 0
        assert max(world.counts()["refused_without_rights"] for world in worlds) > 0
        others = [verdict.facts["units_of_others"] + verdict.facts["final_units"] for verdict in verdicts]
        assert others == [units_on_shelves(store)] * 2
        half_done = booked(store, "restocked") - booked(store, "sold") - units_on_shelves(store)
        assert 0 <= half_done < 400  # what stood between two steps when each process stopped or was killed

    in_virtual_time(main)


def test_running_out_is_refused_and_never_oversold(
    in_virtual_time: Run, bench_of: BenchOf, inventory: MakeWorld, finished: Finish
) -> None:
    async def main() -> None:
        world = inventory()
        world.season = "black-friday"
        async with bench_of(world, MemoryStore(), rate=200) as bench:
            await asyncio.sleep(30)
            verdict = await finished(bench)
        assert verdict.status == "ok", verdict.evidence
        assert world.counts()["refused_out_of_stock"] > 5
        assert world.counts()["oversold"] == 0

    in_virtual_time(main)


def promises_without_looking(self: Rights, units: int) -> bool:
    self.reserved += units
    return True


def gives_spent_units_back(self: Rights, units: int) -> None:
    self.reserved -= units  # and forgets that they are gone


BUGS = {"reserve": promises_without_looking, "spend": gives_spent_units_back}


@pytest.mark.parametrize("method", BUGS)
def test_a_bug_in_the_reservation_is_caught(
    in_virtual_time: Run,
    bench_of: BenchOf,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    inventory: MakeWorld,
    finished: Finish,
) -> None:
    monkeypatch.setattr(Rights, method, BUGS[method])
    monkeypatch.setattr(Rights, "_check", lambda self: None)

    async def main() -> None:
        world = inventory()
        world.season = "black-friday"
        async with bench_of(world, MemoryStore(), rate=200) as bench:
            await asyncio.sleep(30)
            verdict = await finished(bench)
        assert verdict.status == "violated"
        assert verdict.facts["oversold_units"] == world.counts()["oversold"] > 0
        assert verdict.facts["negative_shelves"] > 0
        assert verdict.facts["units_too_many"] == verdict.facts["units_missing"] == 0  # sold, not miscounted

    in_virtual_time(main)


def test_a_store_that_forgets_movements_is_caught(
    in_virtual_time: Run, bench_of: BenchOf, inventory: MakeWorld
) -> None:
    async def main() -> None:
        store, world = MemoryStore(), inventory()
        async with bench_of(world, store, rate=50) as bench:
            await asyncio.sleep(20)
            bench.driver.stop()
            assert await bench.driver.drained(30)
            busiest = max(
                store.counters, key=lambda key: key.startswith("stock/") and len(store.counters[key])
            )
            del store.counters[busiest]
            (verdict,) = await world.check(bench.write_ledger.reads)
        assert verdict.status == "violated"
        assert verdict.facts["units_missing"] > 0

    in_virtual_time(main)
