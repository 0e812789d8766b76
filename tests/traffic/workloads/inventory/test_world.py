"""The inventory world as its driver sees it: what the hour changes, and what can be relied on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from kvnode.checkers import Verdict
from traffic.operations import Add, Maintain, Operation
from traffic.stores.base import StoreError
from traffic.stores.memory import MemoryStore
from traffic.workloads.inventory import Inventory
from traffic.workloads.inventory.habits import Season
from traffic.workloads.inventory.warehouses import CATALOGUE, WAREHOUSES, by_distance
from traffic.workloads.personas import REGIONS

Run = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]
BenchOf = Callable[..., Any]
MakeWorld = Callable[..., Inventory]
Finish = Callable[[Any], Coroutine[Any, Any, Verdict]]
DoneAt = Callable[..., Counter[str]]


def sold(store: MemoryStore, sku: str) -> int:
    return sum(totals.increments for totals in store.counters.get(f"sold/{sku}", {}).values())


@pytest.fixture
def done_at(in_virtual_time: Run, bench_of: BenchOf, inventory: MakeWorld) -> DoneAt:
    """What was done in a minute at this hour, by kind; and how much of each product was sold, as "of {sku}"."""

    def run(hour: float, season: Season = "normal") -> Counter[str]:
        done: Counter[str] = Counter()

        async def main() -> None:
            world = inventory(hour=hour)
            world.season = season
            async with bench_of(world, MemoryStore(), rate=60) as bench:
                await asyncio.sleep(60)
                done.update(bench.recorder.ok)
                done.update({f"of {product.sku}": sold(bench.store, product.sku) for product in CATALOGUE})

        in_virtual_time(main)
        return done

    return run


def test_the_hour_decides_what_is_done(done_at: DoneAt) -> None:
    day, evening, night = (done_at(hour) for hour in (11, 21, 3))
    assert day["order"] > 1.2 * evening["order"] > 1.2 * night["order"]
    assert night["stock_take"] > 3 * day["stock_take"]
    assert evening["browse"] > day["browse"]
    assert day["repair"] == evening["sweep"] == 0
    assert 4 <= night["repair"] <= 7
    assert 4 <= night["sweep"] <= 7


def test_black_friday_brings_more_orders_and_a_hot_product(done_at: DoneAt) -> None:
    usual = done_at(20)
    black = done_at(20, "black-friday")
    assert black["order"] + black["look"] > 1.5 * (usual["order"] + usual["look"])
    share = {name: done["of mug"] / sum(done[f"of {one.sku}"] for one in CATALOGUE) for name, done in
             (("usual", usual), ("black", black))}  # fmt: skip
    assert share["black"] > 1.5 * share["usual"]


def test_an_unknown_season_is_refused(inventory: MakeWorld) -> None:
    with pytest.raises(ValueError, match="season must be one of normal, black-friday, got 'easter'"):
        inventory().season = "easter"  # type: ignore[assignment]


def test_night_work_that_no_node_can_do_is_counted(
    in_virtual_time: Run, bench_of: BenchOf, inventory: MakeWorld, finished: Finish
) -> None:
    async def main() -> None:
        store, world = MemoryStore(), inventory(hour=2)

        async def refuse(node: str) -> None:
            raise StoreError(node, "no such route", definite=True, status=404)

        store.sweep = refuse  # type: ignore[method-assign]
        async with bench_of(world, store, rate=50) as bench:
            await asyncio.sleep(60)
            verdict = await finished(bench)
        assert verdict.status == "ok"
        assert world.counts()["repairs"] == world.counts()["maintenance_refused"] > 3
        assert world.counts()["sweeps"] == 0

    in_virtual_time(main)


def test_the_same_seed_begins_the_same_work(inventory: MakeWorld) -> None:
    def begun(seed: int) -> list[Operation]:
        world = inventory(seed)
        return [world.next_operation(1_790_000_000 + number / 10) for number in range(200)]

    assert begun(1) == begun(1)
    assert begun(1) != begun(2)


def test_there_is_always_an_operation_even_if_nothing_is_ever_answered(inventory: MakeWorld) -> None:
    world = inventory(hour=3)
    kinds = {world.next_operation(1_790_000_000 + number / 100).kind for number in range(20_000)}
    assert kinds <= set(world.kinds)
    assert "browse" in kinds


def test_every_kind_is_declared_and_happens(done_at: DoneAt) -> None:
    seen = done_at(3) + done_at(11)
    assert {kind for kind in seen if not kind.startswith("of ")} == set(Inventory.kinds)


def test_operations_carry_a_region_a_persona_and_a_session_of_their_own(inventory: MakeWorld) -> None:
    world = inventory(hour=11)
    out: set[str] = set()
    for number in range(500):
        operation = world.next_operation(1_790_000_000 + number / 10)
        assert operation.region in REGIONS
        assert operation.persona
        assert operation.session is not None
        assert operation.session not in out
        out.add(operation.session)
        assert isinstance(operation, Maintain) or len(operation.key.encode()) <= 512
        assert not (isinstance(operation, Add) and operation.amount == 0)


@pytest.mark.parametrize("region", REGIONS)
def test_everybody_has_a_nearest_warehouse_and_two_more(region: str) -> None:
    names = by_distance(region)
    assert sorted(names) == sorted(warehouse.name for warehouse in WAREHOUSES)
    at_home = [warehouse.name for warehouse in WAREHOUSES if warehouse.region == region]
    assert not at_home or names[0] == at_home[0]


@pytest.mark.parametrize("bug", [None, "unreserved"])
@pytest.mark.parametrize(("w", "status"), [(1, "at risk"), (2, "violated")])
def test_units_that_are_lost_break_a_promise_only_where_one_was_made(
    in_virtual_time: Run, bench_of: BenchOf, inventory: MakeWorld, w: int, status: str, bug: str | None
) -> None:
    """1. Movements are acknowledged by w replicas. 2. What they wrote is gone. 3. With w=1 nobody had promised it."""

    async def main() -> None:
        store = MemoryStore()
        async with bench_of(inventory(bug=bug), store, rate=60) as bench:
            bench.driver.change(w=w)
            await asyncio.sleep(30)
            bench.driver.stop()
            assert await bench.driver.drained(30)
            for table in (store.counters, store.values):
                for key in [key for key in table if key.startswith("stock/")]:
                    del table[key]
            (verdict,) = await bench.workload.check(bench.write_ledger.reads)
            assert verdict.status == status
            assert verdict.facts["units_missing"] > 0

    in_virtual_time(main)


def test_at_w_1_a_good_run_is_at_risk(in_virtual_time: Run, bench_of: BenchOf, inventory: MakeWorld) -> None:
    async def main() -> None:
        async with bench_of(inventory(), MemoryStore(), rate=60) as bench:
            bench.driver.change(w=1)
            await asyncio.sleep(20)
            bench.driver.stop()
            assert await bench.driver.drained(30)
            (verdict,) = await bench.workload.check(bench.write_ledger.reads)
            assert (verdict.status, verdict.evidence) == ("at risk", ())

    in_virtual_time(main)
