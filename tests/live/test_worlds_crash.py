"""The worlds on a real cluster, a node killed (kill -9) and restarted under load: every verdict is ok.

The same with the known bug of each world switched on: violated, and the loss is counted.

Each test prints what it measured (pytest -s, or in the report of a failure).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from kvnode.checkers import Verdict
from kvnode.cluster import LocalCluster
from traffic.clock import monotonic
from traffic.control.generator import Generator
from traffic.discovery import Address
from traffic.load.driver import Settings
from traffic.measure.events import Ended
from traffic.stores.kvnode import connect

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

BEFORE_S = 4
ABSENT_S = 4
AFTER_S = 4
DRAIN_S = 20
ALL = ("node-1", "node-2", "node-3")
RATES = {"twitter": 150, "collab": 80}

StartCluster = Callable[..., LocalCluster]


@dataclass
class Outcome:
    """How a run ended: the verdicts of the ledger, of reads and convergence, and of the world; its own numbers."""

    ledger: Verdict
    others: list[Verdict]
    world: Verdict
    stats: dict[str, Any]
    death_was_met: bool


def run_through_a_crash(cluster: LocalCluster, workload: str, bug: str | None = None) -> Outcome:
    """Traffic of one world; node-2 is killed in the middle, and comes back."""
    return asyncio.run(_run(cluster, workload, bug))


async def _run(cluster: LocalCluster, workload: str, bug: str | None) -> Outcome:
    store = await connect([Address(url) for url in cluster.urls])
    generator = Generator(store, settings=Settings(rate=RATES[workload]), seed=1)
    driver = generator.drivers[workload]
    try:
        await generator.begin()
        driver.change(rate=RATES[workload])
        generator.switch_bug(workload, bug)
        generator.start(workload)
        await asyncio.sleep(BEFORE_S)
        await asyncio.to_thread(cluster.kill, "node-2")
        await asyncio.sleep(ABSENT_S)
        death_was_met = not generator.nodes.nodes["node-2"].healthy(monotonic())
        await asyncio.to_thread(cluster.restart, "node-2")
        await asyncio.sleep(AFTER_S)
        assert (broken := generator.why_broken()) is None, broken
        generator.stop()
        assert await driver.drained(DRAIN_S)
        ledger, *others, world = verdicts = await generator.verdicts([workload])
        stats = generator.stats()["workloads"][workload]
        print(stats["counts"], stats["world"], *[f"{one.claim}: {one}" for one in verdicts], sep="\n")
        return Outcome(ledger, others, world, stats, death_was_met)
    finally:
        await generator.close()


@pytest.mark.parametrize("workload", ["twitter", "collab"])
def test_a_crash_loses_nothing(live_cluster: StartCluster, workload: str) -> None:
    ended = run_through_a_crash(live_cluster(nodes=3), workload)
    assert ended.ledger.status == "ok", ended.ledger.evidence
    assert {one.status for one in ended.others} == {"ok"}, ended.others
    assert (ended.world.status, ended.world.lost) == ("ok", 0), ended.world
    assert ended.stats["operations_total"] > 0.8 * RATES[workload] * (BEFORE_S + ABSENT_S + AFTER_S)
    assert ended.death_was_met
    if workload == "collab":
        assert ended.stats["world"]["collisions"] > 0
        assert ended.stats["world"]["automatic_merges"] > 0
        assert ended.stats["world"]["edits_lost"] == 0


@pytest.mark.parametrize(("workload", "bug"), [("twitter", "rmw-likes"), ("collab", "lww")])
def test_the_known_bug_is_reported_and_its_loss_counted(
    live_cluster: StartCluster, workload: str, bug: str
) -> None:
    ended = run_through_a_crash(live_cluster(nodes=3), workload, bug)
    verdict = ended.world
    assert verdict.status == "violated"
    assert 0 < verdict.lost < verdict.acknowledged
    assert verdict.evidence
    lost = {"twitter": "likes_lost", "collab": "edits_lost"}[workload]
    assert ended.stats["world"][lost] == verdict.lost
    assert ended.stats["bug"] == bug


def test_people_are_served_in_their_region(live_cluster: StartCluster) -> None:
    """Three nodes in three regions: who lives in one of them is served there, the others anywhere."""
    cluster = live_cluster(nodes=3)
    cluster.topology("three-regions", factor=0.02)
    served = asyncio.run(_served(cluster))
    topology = cluster.state().topology
    assert topology is not None
    regions = topology.regions
    homes = {region: node for node, region in regions.items()}
    at_home = [node == homes[region] for region, node in served if region in homes]
    elsewhere = {node for region, node in served if region not in homes}
    print(f"{sum(at_home)} of {len(at_home)} served at home")
    assert len(at_home) > 100
    assert all(at_home)
    assert elsewhere == set(ALL)


async def _served(cluster: LocalCluster) -> list[tuple[str | None, str | None]]:
    """The region of who asked, and the node that answered, of every operation of a short run."""

    heard: list[tuple[str | None, str | None]] = []

    def listen(ended: Ended) -> None:
        heard.append((ended.operation.region, ended.node))

    store = await connect([Address(url) for url in cluster.urls])
    generator = Generator(store, settings=Settings(rate=100), seed=2)
    try:
        await generator.begin()
        generator.set_listener(listen)
        generator.start("twitter")
        await asyncio.sleep(4)
        return heard
    finally:
        await generator.close()
