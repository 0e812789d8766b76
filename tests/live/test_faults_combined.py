"""Delay, partition, crash and pause on the same cluster at the same time; and what comes of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kvnode.cluster import LocalCluster
from kvnode.cluster.faults.topologies import Topology
from kvnode.cluster.table import faults_lines, topology_lines
from kvnode.errors import KvError

pytestmark = pytest.mark.live

StartCluster = Callable[..., LocalCluster]
Until = Callable[..., None]

SAMPLES_MIN = 3
SLACK_MS = 40.0  # a busy computer answers late; a delay that counts twice would be off by more


def achieved_ms(cluster: LocalCluster) -> dict[tuple[str, str], float | None]:
    """The median round trip of each link as /stats reports it; None where it has too few samples."""
    client, found = cluster.client(), {}
    for node in ("node-1", "node-2", "node-3"):
        for peer, link in client.stats(node)["links"].items():
            trips = link["round_trip_ms"]
            enough = trips is not None and trips["samples"] >= SAMPLES_MIN
            found[node, peer] = float(trips["p50"]) if enough else None
    return found


def test_round_trips_achieved_are_those_of_the_topology(live_cluster: StartCluster, until: Until) -> None:
    """Neither too small nor doubled: what a link is told and what /stats measures on it are the same."""
    cluster = live_cluster()
    cluster.topology("three-regions")
    world, nodes = Topology("three-regions"), ["node-1", "node-2", "node-3"]

    def settled() -> bool:
        trips = achieved_ms(cluster)
        return all(
            trip is not None
            and 0 <= trip - 2 * world.one_way_ms(nodes.index(one), nodes.index(other)) < SLACK_MS
            for (one, other), trip in trips.items()
        )

    try:
        until(settled, within_s=20, what="every link achieves the round trip that is set")
    finally:
        for (one, other), trip in achieved_ms(cluster).items():
            set_ms = 2 * world.one_way_ms(nodes.index(one), nodes.index(other))
            print(f"{one} to {other}: set {set_ms:.1f} ms, achieved {trip} ms")
    members = set(cluster.client().health("node-1")["members"].values())
    assert members == {"alive"}, "being far away is not being dead"


def test_faults_of_all_kinds_hold_at_once_and_reset_clears_them_all(
    live_cluster: StartCluster, until: Until
) -> None:
    cluster = live_cluster()
    client = cluster.client()
    client.put("before", 1, w=3)
    cluster.topology("three-regions", factor=0.2)
    cluster.partition([["node-1", "node-2"], ["node-3"]])
    cluster.kill("node-2")
    cluster.pause("node-3")

    state = cluster.state()
    assert [node.state for node in state.nodes] == ["running", "dead", "paused"]
    assert topology_lines(state.topology) == [
        "topology three-regions, factor 0.2: node-1 in Washington DC, node-2 in London, node-3 in Tokyo"
    ]
    assert faults_lines(cluster.faults()) == [
        "node-1 <-> node-2: 7.5 ms each way",
        "node-1 <-> node-3: cut, 16.5 ms each way",
        "node-2 <-> node-3: cut, 24.35 ms each way",
    ]
    with pytest.raises(KvError):
        client.put("alone", 1, node="node-1")

    cluster.restart("node-2")  # still delayed, and cut off from node-3: the restarted node is told so
    assert client.stats("node-2")["links"]["node-3"]["rule"] == {"delay_ms": 24.35, "cut": True}
    until(lambda: _takes(cluster, "two of three"), within_s=10, what="the majority side takes writes")

    cluster.resume("node-3")
    with pytest.raises(KvError):
        client.put("minority", 1, node="node-3")
    cluster.reconnect()
    assert cluster.faults()["node-3"] == {"node-1": {"delay_ms": 16.5}, "node-2": {"delay_ms": 24.35}}
    topology = cluster.state().topology
    assert topology is not None and topology.name == "three-regions", "reconnecting leaves the delays"

    cluster.kill("node-1")
    cluster.pause("node-2")
    cluster.isolate("node-3")
    cluster.reset()
    assert [node.state for node in cluster.nodes] == ["running"] * 3
    assert (cluster.faults(), cluster.state().topology) == ({}, None)
    for node in ("node-1", "node-2", "node-3"):
        assert all(link["rule"] == {} for link in client.stats(node)["links"].values())
    until(lambda: _takes(cluster, "after", w=3), within_s=10, what="all three take writes again")


def _takes(cluster: LocalCluster, key: str, w: int = 2) -> bool:
    try:
        cluster.client().put(key, 1, w=w, node="node-1")
    except KvError:
        return False
    return True
