"""The inventory world over the store in memory, in virtual time: conserved and never oversold, whatever fails; and by
read-modify-write it is not, and the verdict counts it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest

from kvnode.checkers import Verdict
from traffic.operations import Add, Maintain, Operation
from traffic.stores.base import StoreError
from traffic.stores.memory import MemoryStore
from traffic.workloads.inventory import Inventory
from traffic.workloads.inventory.rights import Rights
from traffic.workloads.inventory.stories import SHELF_TARGET
from traffic.workloads.inventory.warehouses import CATALOGUE, WAREHOUSES, shelf_key
from traffic.workloads.inventory.world import UNRESERVED

Run = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]
BenchOf = Callable[..., Any]

BUG = frozenset((UNRESERVED,))


def inventory(
    seed: int = 1, *, hour: float = 11, bugs: frozenset[str] = frozenset(), tag: str = "test"
) -> Inventory:
    return Inventory(Random(seed), tag=tag, bugs=bugs, hour_of_day=lambda: hour)


async def finished(bench: Any) -> Verdict:
    """Stop, wait for what is under way on the wire, and ask for the verdict (there must be one)."""
    bench.driver.stop()
    assert await bench.driver.drained(30)
    (verdict,) = await bench.workload.check(bench.books.reads)
    ledger = await bench.books.check()
    assert ledger.status == "ok", ledger.evidence
    return verdict


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


# --- with reservations ------------------------------------------------------------------------------------


def test_a_business_day_ends_with_all_stock_accounted_for(in_virtual_time: Run, bench_of: BenchOf) -> None:
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

    in_virtual_time(main)


def test_nodes_that_die_fall_silent_and_return_change_nothing(
    in_virtual_time: Run, bench_of: BenchOf
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


def test_the_verdict_holds_while_traffic_runs(in_virtual_time: Run, bench_of: BenchOf) -> None:
    async def main() -> None:
        world = inventory()
        async with bench_of(world, MemoryStore(latency_s=0.02), rate=200) as bench:
            for _ in range(10):
                await asyncio.sleep(3)
                (verdict,) = await world.check(bench.books.reads)
                assert verdict.status == "ok", verdict.evidence

    in_virtual_time(main)


def test_a_store_that_cannot_be_read_makes_it_unknown(in_virtual_time: Run, bench_of: BenchOf) -> None:
    async def main() -> None:
        store, world = MemoryStore(), inventory()
        async with bench_of(world, store, rate=50) as bench:
            await asyncio.sleep(20)
            bench.driver.stop()
            store.dead = set(store.nodes)
            (verdict,) = await world.check(bench.books.reads)
        assert verdict.status == "unknown"

    in_virtual_time(main)


def test_several_processes_share_shelves_and_none_oversells(in_virtual_time: Run, bench_of: BenchOf) -> None:
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


def test_running_out_is_refused_and_never_oversold(in_virtual_time: Run, bench_of: BenchOf) -> None:
    async def main() -> None:
        world = inventory()
        world.season = "black-friday"
        async with bench_of(world, MemoryStore(), rate=200) as bench:
            await asyncio.sleep(30)
            verdict = await finished(bench)
        assert verdict.status == "ok", verdict.evidence
        assert world.counts()["refused_out_of_stock"] > 50
        assert world.counts()["oversold"] == 0

    in_virtual_time(main)


# --- planted bugs, so that the verdict is known to be able to fail ----------------------------------------


def promises_without_looking(self: Rights, units: int) -> bool:
    self.reserved += units
    return True


def gives_spent_units_back(self: Rights, units: int) -> None:
    self.reserved -= units  # and forgets that they are gone


@pytest.mark.parametrize(
    ("method", "bug"), [("reserve", promises_without_looking), ("spend", gives_spent_units_back)]
)
def test_a_bug_in_the_reservation_is_caught(
    in_virtual_time: Run,
    bench_of: BenchOf,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    bug: Callable[..., Any],
) -> None:
    monkeypatch.setattr(Rights, method, bug)
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


def test_a_store_that_forgets_movements_is_caught(in_virtual_time: Run, bench_of: BenchOf) -> None:
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
            (verdict,) = await world.check(bench.books.reads)
        assert verdict.status == "violated"
        assert verdict.facts["units_missing"] > 0

    in_virtual_time(main)


# --- without reservations ---------------------------------------------------------------------------------


def test_read_modify_write_loses_updates_and_oversells_and_is_counted(
    in_virtual_time: Run, bench_of: BenchOf
) -> None:
    async def main() -> None:
        world = inventory(bugs=BUG)
        world.season = "black-friday"
        async with bench_of(world, MemoryStore(), rate=200) as bench:
            await asyncio.sleep(30)
            verdict = await finished(bench)
        assert verdict.status == "violated"
        assert verdict.facts["units_too_many"] + verdict.facts["units_missing"] > 0
        assert world.counts()["discrepancies"] > 0
        assert world.counts()["oversold"] == verdict.facts["oversold_units"] > 0

    in_virtual_time(main)


def test_the_bug_can_be_switched_on_and_off_while_traffic_runs(
    in_virtual_time: Run, bench_of: BenchOf
) -> None:
    async def main() -> None:
        world = inventory()
        async with bench_of(world, MemoryStore(), rate=200) as bench:
            await asyncio.sleep(10)
            world.bugs = BUG
            await asyncio.sleep(20)
            assert world.products[0].sku.endswith("-test")
            world.bugs = frozenset()
            await asyncio.sleep(10)
            assert world.products[0] in CATALOGUE
            bench.driver.stop()
            assert await bench.driver.drained(30)
            verdicts = await world.check(bench.books.reads)
        assert [verdict.status for verdict in verdicts] == ["ok", "violated"]

    in_virtual_time(main)


# --- habits -----------------------------------------------------------------------------------------------


def kinds_of(bench_of: BenchOf, in_virtual_time: Run, hour: float, season: str = "normal") -> Counter[str]:
    """What was done in a minute at this hour, by kind, and which products were sold, by sku."""
    done: Counter[str] = Counter()

    async def main() -> None:
        world = inventory(hour=hour)
        world.season = season  # type: ignore[assignment]
        async with bench_of(world, MemoryStore(), rate=60) as bench:
            await asyncio.sleep(60)
            done.update(bench.recorder.ok)
            done.update({f"of {product.sku}": booked_of(bench.store, product.sku) for product in CATALOGUE})

    in_virtual_time(main)
    return done


def booked_of(store: MemoryStore, sku: str) -> int:
    return sum(totals.increments for totals in store.counters.get(f"sold/{sku}", {}).values())


def test_the_hour_decides_what_is_done(in_virtual_time: Run, bench_of: BenchOf) -> None:
    day, evening, night = (kinds_of(bench_of, in_virtual_time, hour) for hour in (11, 21, 3))
    assert day["order"] > 1.2 * evening["order"] > 1.2 * night["order"]
    assert night["stock_take"] > 3 * day["stock_take"]
    assert evening["browse"] > day["browse"]
    assert day["repair"] == evening["sweep"] == 0
    assert 4 <= night["repair"] <= 7
    assert 4 <= night["sweep"] <= 7


def test_black_friday_brings_more_orders_and_a_hot_product(in_virtual_time: Run, bench_of: BenchOf) -> None:
    usual = kinds_of(bench_of, in_virtual_time, 20)
    black = kinds_of(bench_of, in_virtual_time, 20, "black-friday")
    assert black["order"] + black["look"] > 1.5 * (usual["order"] + usual["look"])
    share = {name: done["of mug"] / sum(done[f"of {one.sku}"] for one in CATALOGUE) for name, done in
             (("usual", usual), ("black", black))}  # fmt: skip
    assert share["black"] > 1.5 * share["usual"]


def test_an_unknown_season_is_refused() -> None:
    with pytest.raises(ValueError, match="season must be one of normal, black-friday, got 'easter'"):
        inventory().season = "easter"  # type: ignore[assignment]


def test_night_work_that_no_node_can_do_is_counted(in_virtual_time: Run, bench_of: BenchOf) -> None:
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


# --- what the driver relies on ----------------------------------------------------------------------------


def test_the_same_seed_begins_the_same_work() -> None:
    def begun(seed: int) -> list[Operation]:
        world = inventory(seed)
        return [world.next_operation(1_790_000_000 + number / 10) for number in range(200)]

    assert begun(1) == begun(1)
    assert begun(1) != begun(2)


def test_there_is_always_an_operation_even_if_nothing_is_ever_answered() -> None:
    world = inventory(hour=3)
    kinds = {world.next_operation(1_790_000_000 + number / 100).kind for number in range(20_000)}
    assert kinds <= set(world.kinds)
    assert "browse" in kinds


def test_every_kind_is_declared_and_happens(in_virtual_time: Run, bench_of: BenchOf) -> None:
    seen = kinds_of(bench_of, in_virtual_time, 3) + kinds_of(bench_of, in_virtual_time, 11)
    assert {kind for kind in seen if not kind.startswith("of ")} == set(Inventory.kinds)


def test_operations_carry_a_region_a_persona_and_a_session_of_their_own() -> None:
    world = inventory(hour=11)
    out: set[str] = set()
    for number in range(500):
        operation = world.next_operation(1_790_000_000 + number / 10)
        assert operation.region in {warehouse.region for warehouse in WAREHOUSES}
        assert operation.persona
        assert operation.session is not None
        assert operation.session not in out
        out.add(operation.session)
        assert isinstance(operation, Maintain) or len(operation.key.encode()) <= 512
        assert not (isinstance(operation, Add) and operation.amount == 0)
