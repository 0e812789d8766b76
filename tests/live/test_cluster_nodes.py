"""The supervisor's commands have on real nodes the effect that their names promise."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import psutil
import pytest

from kvnode.client import Client
from kvnode.cluster import LocalCluster
from kvnode.errors import QuorumUnmet

pytestmark = pytest.mark.live

StartCluster = Callable[..., LocalCluster]

READY_WITHIN_S = 2.0


def held_alike(client: Client, key: str) -> bool:
    """Whether all replicas of the key are reachable and hold the same."""
    replicas = client.replicas(key)["replicas"]
    return all(replica["reachable"] for replica in replicas) and len({r.get("digest") for r in replicas}) == 1


def member(client: Client, asked: str, about: str) -> str:
    return client.health(asked)["members"][about]


def test_three_nodes_are_ready_in_two_seconds(live_cluster: StartCluster) -> None:
    took_s = []
    for number in range(3):
        started = time.monotonic()
        cluster = live_cluster(f"exp-cluster-ready{number}")
        took_s.append(time.monotonic() - started)
        assert [cluster.client().health(node.name)["status"] for node in cluster.nodes] == ["ok"] * 3
        cluster.stop()
    print("\nthree nodes ready after " + ", ".join(f"{each:.2f} s" for each in took_s))
    assert min(took_s) < READY_WITHIN_S


def test_nodes_end_with_their_supervisor_the_portable_way_too(
    live_cluster: StartCluster,
    monkeypatch: pytest.MonkeyPatch,
    until: Callable[..., None],
    processes_mentioning: Callable[[str], list[psutil.Process]],
) -> None:
    """Where the kernel does not tie lives (macOS), a node watches its stdin: --exit-with-stdin."""
    monkeypatch.setenv("QUORUM_LAB_LIFETIME", "pipe")
    cluster = live_cluster()
    assert len(processes_mentioning(str(cluster.folder))) == 4  # the supervisor and its nodes
    os.kill(cluster.supervisor_pid, signal.SIGKILL)
    started = time.monotonic()
    until(lambda: not processes_mentioning(str(cluster.folder)), within_s=2, what="the nodes are gone")
    print(f"\ngone {(time.monotonic() - started) * 1000:.0f} ms after the supervisor's SIGKILL")


def test_a_cluster_of_one_node_serves(live_cluster: StartCluster) -> None:
    cluster = live_cluster(nodes=1)
    client = cluster.client()
    assert client.put("k", "v")["acknowledged_by"] == ["node-1"]
    assert client.get("k")["value"] == "v"


def test_a_dead_node_is_missed_and_catches_up(live_cluster: StartCluster, until: Callable[..., None]) -> None:
    cluster = live_cluster()
    client = cluster.client()
    cluster.kill(2)
    until(lambda: member(client, "node-1", "node-2") == "dead", within_s=6, what="node-2 is known dead")
    for number in range(20):
        client.put(f"k{number}", number)
    cluster.restart(2)
    until(lambda: member(client, "node-1", "node-2") == "alive", within_s=6, what="node-2 is known alive")
    for number in range(20):
        until(lambda key=f"k{number}": held_alike(client, key), within_s=15, what=f"k{number} is held alike")


def test_an_isolated_node_refuses_writes_and_the_others_take_them(
    live_cluster: StartCluster, until: Callable[..., None]
) -> None:
    cluster = live_cluster()
    client = cluster.client()
    client.put("k", "before")
    cluster.isolate("node-3")
    with pytest.raises(QuorumUnmet, match="W=2 unmet: 1 of 3"):
        client.put("k", "alone", node="node-3")
    assert set(client.put("k", "together", node="node-1")["acknowledged_by"]) == {"node-1", "node-2"}
    cluster.heal()
    until(lambda: held_alike(client, "k"), within_s=15, what="the partition is healed")


def test_a_partition_outlives_a_restart(live_cluster: StartCluster) -> None:
    cluster = live_cluster()
    cluster.partition([["node-1", "node-2"], ["node-3"]])
    cluster.kill(3)
    cluster.restart(3)
    with pytest.raises(QuorumUnmet):
        cluster.client().put("k", "alone", node="node-3")


def test_a_delay_is_as_long_as_it_says(live_cluster: StartCluster) -> None:
    cluster = live_cluster()
    client = cluster.client()
    client.put("k", 0, w=3)
    cluster.delay(60)
    started = time.monotonic()
    client.put("k", 1, w=3)
    took_ms = (time.monotonic() - started) * 1000
    print(f"\na put at w=3 took {took_ms:.0f} ms with 60 ms each way")
    assert 120 <= took_ms < 1000
    cluster.delay(0)
    assert cluster.faults() == {}


def test_reads_go_on_past_a_paused_node(live_cluster: StartCluster) -> None:
    cluster = live_cluster()
    client = cluster.client()
    client.put("k", "v")
    cluster.pause("node-1")
    started = time.monotonic()
    answer = client.get("k")
    assert (answer["value"], answer["node"]) in [("v", "node-2"), ("v", "node-3")]
    assert time.monotonic() - started < 5
    cluster.resume("node-1")
    assert client.get("k", node="node-1")["value"] == "v"


def test_a_wiped_node_comes_back_as_a_new_store_and_gets_its_data_back(
    live_cluster: StartCluster, until: Callable[..., None]
) -> None:
    cluster = live_cluster()
    client = cluster.client()
    before = client.info("node-2")["store_id"]
    for number in range(10):
        client.put(f"k{number}", number, w=3)
    cluster.wipe(2)
    cluster.restart(2)
    assert client.info("node-2")["store_id"] != before
    for number in range(10):
        until(lambda key=f"k{number}": held_alike(client, key), within_s=15, what=f"k{number} is held alike")


def test_a_wrong_clock_and_a_slow_disk_stay_with_their_node_until_reset(
    live_cluster: StartCluster, until: Callable[..., None]
) -> None:
    cluster = live_cluster()
    client = cluster.client()
    cluster.skew("node-2", 60_000)
    cluster.slow_disk("node-2", 80)
    cluster.restart("node-2")
    ahead_ms = client.put("k", 1, node="node-2")["timestamp"] - time.time() * 1000
    assert 50_000 < ahead_ms < 60_500

    def is_alive() -> bool:
        states = {member["name"]: member["state"] for member in client.members("node-1")["members"]}
        return states["node-2"] == "alive"

    until(is_alive, within_s=10, what="node-1 knows that node-2 is back")
    started = time.monotonic()
    client.put("k", 2, node="node-1", w=3)
    took_ms = (time.monotonic() - started) * 1000
    print(f"\na put at w=3 took {took_ms:.0f} ms with one disk 80 ms slower")
    assert took_ms >= 80
    cluster.reset()
    assert abs(client.put("k", 3, node="node-2")["timestamp"] - time.time() * 1000) < 10_000
    assert (cluster.node(2).clock_skew_ms, cluster.node(2).disk_delay_ms) == (0, 0)
