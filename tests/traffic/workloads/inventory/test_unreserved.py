"""The inventory world by read-modify-write: what is lost is found, and counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from kvnode.checkers import Verdict
from traffic.stores.memory import MemoryStore
from traffic.workloads.inventory import Inventory
from traffic.workloads.inventory.warehouses import CATALOGUE
from traffic.workloads.inventory.world import UNRESERVED

Run = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]
BenchOf = Callable[..., Any]
MakeWorld = Callable[..., Inventory]
Finish = Callable[[Any], Coroutine[Any, Any, Verdict]]


def test_read_modify_write_loses_updates_and_oversells_and_is_counted(
    in_virtual_time: Run, bench_of: BenchOf, inventory: MakeWorld, finished: Finish
) -> None:
    async def main() -> None:
        world = inventory(bug=UNRESERVED)
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
    in_virtual_time: Run, bench_of: BenchOf, inventory: MakeWorld
) -> None:
    async def main() -> None:
        world = inventory()
        async with bench_of(world, MemoryStore(), rate=200) as bench:
            await asyncio.sleep(10)
            world.bugs = frozenset((UNRESERVED,))
            await asyncio.sleep(20)
            assert world.products[0].sku.endswith("-test")
            world.bugs = frozenset()
            await asyncio.sleep(10)
            assert world.products[0] in CATALOGUE
            bench.driver.stop()
            assert await bench.driver.drained(30)
            verdicts = await world.check(bench.write_ledger.reads)
        assert [verdict.status for verdict in verdicts] == ["ok", "violated"]

    in_virtual_time(main)
