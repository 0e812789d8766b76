"""Real warehouse traffic with a crash and a restart in it: stock is conserved with reservations, and is not without.

A generator, in a process of its own or in this one, trades on a real cluster of three. What was measured is printed
(pytest -s, or in the report of a failure).
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kvnode.checkers import Verdict
from kvnode.cluster import LocalCluster
from traffic.control.generator import Generator
from traffic.discovery import from_urls
from traffic.load.driver import Settings
from traffic.stores.kvnode import connect
from traffic.workloads.inventory import Inventory
from traffic.workloads.inventory.warehouses import CATALOGUE, WAREHOUSES, shelf_key

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

RATE = 200.0
BEFORE_S, ABSENT_S, AFTER_S = 4, 3, 4

StartCluster = Callable[..., LocalCluster]
Until = Callable[..., None]

GENERATOR = """
import asyncio, sys
from traffic.discovery import from_urls
from traffic.load.driver import Settings
from traffic.control.generator import Generator
from traffic.stores.kvnode import connect

async def main():
    generator = Generator(await connect(from_urls(sys.argv[1])), settings=Settings(), seed=1)
    generator.drivers["inventory"].change(rate=float(sys.argv[2]))
    generator.drivers["inventory"].workload.season = "black-friday"
    await generator.begin()
    generator.start("inventory")
    while True:
        await asyncio.sleep(0.2)
        print(generator.drivers["inventory"].workload.counts()["shipped"], flush=True)

asyncio.run(main())
"""


async def traded(
    cluster: LocalCluster, *, bug: str | None = None, crash: str | None = "node-2", hour: float = 11
) -> tuple[list[Verdict], Inventory]:
    """Black Friday on a real cluster, with a node killed and restarted in it.

    Answers the ledger's verdict, that on stock, and the world."""
    generator = Generator(await connect(from_urls(",".join(cluster.urls))), settings=Settings(), seed=7)
    world = generator.drivers["inventory"].workload
    assert isinstance(world, Inventory)
    world.season = "black-friday"
    world.hour_of_day = lambda: hour
    generator.switch_bug("inventory", bug)
    generator.drivers["inventory"].change(rate=RATE)
    try:
        await generator.begin()
        generator.start("inventory")
        await asyncio.sleep(BEFORE_S)
        if crash:
            await asyncio.to_thread(cluster.kill, crash)
        await asyncio.sleep(ABSENT_S)
        if crash:
            await asyncio.to_thread(cluster.restart, crash)
        await asyncio.sleep(AFTER_S)
        generator.stop()
        assert await generator.drivers["inventory"].drained(30), "not everything was answered"
        verdicts = [await generator.check(), *await world.check(generator.write_ledger.reads)]
        assert (broken := generator.why_broken()) is None, broken
    finally:
        await generator.close()
    print(dict(world.counts()))
    for verdict in verdicts:
        print(f"{verdict.claim}: {verdict}", *verdict.evidence[:5], sep="\n  ")
    return verdicts, world


def test_stock_is_conserved_through_a_crash_and_a_restart(live_cluster: StartCluster) -> None:
    verdicts, world = asyncio.run(traded(live_cluster(nodes=3)))
    assert [verdict.status for verdict in verdicts] == ["ok", "ok"]
    stock = verdicts[1].facts
    assert stock["opening_units"] + stock["restocked_units"] == (
        stock["shipped_units"] + stock["in_transit_units"] + stock["final_units"]
    )
    counts = world.counts()
    assert counts["shipped"] == stock["shipped_units"] > 100
    assert counts["oversold"] == counts["negative"] == counts["discrepancies"] == counts["unanswered"] == 0


def test_stock_by_read_modify_write_is_not_and_the_loss_is_counted(live_cluster: StartCluster) -> None:
    (ledger, verdict), world = asyncio.run(traded(live_cluster(nodes=3), bug="unreserved"))
    assert ledger.status == "ok"  # each write is there, or a later one that its coordinator had seen it under
    assert verdict.status == "violated"
    assert verdict.facts["units_too_many"] + verdict.facts["units_missing"] > 0
    assert world.counts()["oversold"] == verdict.facts["oversold_units"]
    assert verdict.evidence


def test_night_work_is_done_or_refused_and_counted(live_cluster: StartCluster) -> None:
    (_, verdict), world = asyncio.run(traded(live_cluster(nodes=3), crash=None, hour=2))
    assert verdict.status == "ok"
    counts = world.counts()
    assert counts["repairs"] >= 1
    assert counts["repairs"] + counts["sweeps"] + counts["maintenance_refused"] >= 2


def test_the_units_of_a_killed_process_stay_unsold_and_the_next_one_sells_its_own(
    live_cluster: StartCluster, until: Until
) -> None:
    """1. A generator process trades. 2. kill -9. 3. Another one trades through a crash of a node, and ends well. 4. No
    share of any process is negative, and what was restocked is sold, or on a shelf, or was between two steps."""
    cluster = live_cluster(nodes=3)
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", GENERATOR, ",".join(cluster.urls), str(RATE)]
    killed = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)
    watchdog = time.monotonic() + 60
    try:
        assert killed.stdout is not None
        for line in killed.stdout:
            if int(line) >= 60 or time.monotonic() > watchdog:
                break
        assert killed.poll() is None, "the generator ended by itself"
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.wait()

    verdicts, _ = asyncio.run(traded(cluster))
    assert [verdict.status for verdict in verdicts] == ["ok", "ok"]
    assert verdicts[1].facts["units_of_others"] > 0

    client = cluster.client()
    until(
        lambda: len(client.counter(shelf_key("tokyo", "mug"))["actors"]) == 2, within_s=5, what="two actors"
    )
    shelves = [
        client.counter(shelf_key(one.name, product.sku)) for one in WAREHOUSES for product in CATALOGUE
    ]
    shares = [
        totals["increments"] - totals["decrements"]
        for shelf in shelves
        for totals in shelf["actors"].values()
    ]
    assert min(shares) >= 0
    restocked = sum(client.counter(product.restocked_key)["value"] for product in CATALOGUE)
    sold = sum(client.counter(product.sold_key)["value"] for product in CATALOGUE)
    half_done = restocked - sold - sum(shelf["value"] for shelf in shelves)
    print(f"restocked {restocked}, sold {sold}, half done {half_done}")
    assert 0 <= half_done < 400
