"""Placement: balanced, stable, and little moves when a node comes or goes."""

from __future__ import annotations

import pytest

from kvnode.ring import Ring, key_hash

PARTITIONS = 256
PLACES = {"k": 121, "tweet/17": 41, "tweet/17/likes": 128, "é": 44, "": 233}
LISTS = [("node-2", "node-3", "node-1"), ("node-2", "node-3", "node-1"), ("node-2", "node-3", "node-1")]
HASH = 8754264828097302987


def ring_of(count: int, replicas: int = 3, partitions: int = PARTITIONS) -> Ring:
    names = [f"node-{number}" for number in range(1, count + 1)]
    return Ring.build(names, replicas=replicas, partitions=partitions)


def slots(ring: Ring) -> set[tuple[int, str]]:
    return {(p, node) for p, owners in enumerate(ring.preference_lists) for node in owners}


@pytest.mark.parametrize("count", range(3, 10))
@pytest.mark.parametrize("replicas", range(1, 6))
def test_the_fullest_node_holds_at_most_1_15_times_the_mean_and_owners_differ(
    count: int, replicas: int
) -> None:
    ring = ring_of(count, replicas)
    per_list = min(count, replicas)
    assert all(len(set(owners)) == len(owners) == per_list for owners in ring.preference_lists)
    held = ring.slots()
    assert sum(held.values()) == PARTITIONS * per_list
    assert max(held.values()) <= 1.15 * PARTITIONS * per_list / count
    assert all(len(ring.partitions_of(node)) == held[node] for node in ring.nodes)


@pytest.mark.parametrize("count", range(3, 9))
@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_adding_or_removing_a_node_moves_at_most_one_and_a_half_times_its_share(
    count: int, replicas: int
) -> None:
    before, after = ring_of(count, replicas), ring_of(count + 1, replicas)
    gained, lost = slots(after) - slots(before), slots(before) - slots(after)
    ideal = PARTITIONS * replicas / (count + 1)
    assert len(gained) <= 1.5 * ideal, "adding"
    assert len(lost) <= 1.5 * ideal, "removing"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_cluster_of_no_more_nodes_than_replicas_holds_everything_everywhere(count: int) -> None:
    assert all(len(owners) == count for owners in ring_of(count).preference_lists)


def test_keys_stay_where_they_were_in_every_release() -> None:
    """Literal expectations: if they change, the keys of every existing cluster are lost to it."""
    ring = ring_of(3)
    places = {key: ring.partition_of(key) for key in ("k", "tweet/17", "tweet/17/likes", "é", "")}
    assert places == PLACES
    assert [ring.preference_lists[p] for p in (0, 1, 255)] == LISTS
    assert key_hash("k") == HASH


def test_the_order_in_which_nodes_are_named_does_not_matter() -> None:
    one = Ring.build(["node-2", "node-1", "node-3"], replicas=2, partitions=64)
    assert one == Ring.build(["node-3", "node-1", "node-2"], replicas=2, partitions=64)


def test_keys_spread_evenly_over_the_partitions() -> None:
    ring = ring_of(3)
    counts = [0] * PARTITIONS
    for number in range(PARTITIONS * 100):
        counts[ring.partition_of(f"tweet/{number}")] += 1
    assert 50 < min(counts) <= max(counts) < 160


def test_preferred_coordinators_are_spread_as_well() -> None:
    for count in range(3, 10):
        ring = ring_of(count)
        first = [sum(owners[0] == node for owners in ring.preference_lists) for node in ring.nodes]
        assert max(first) < 1.6 * PARTITIONS / count
