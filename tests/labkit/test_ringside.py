"""One look at the ring: what is on its way to whom, and what of it has arrived, by the nodes' own trees."""

from __future__ import annotations

from typing import Any

import pytest

from kvnode.errors import KvError
from labkit.ringside import look, newest_ring, taken_over


def test_at_rest_everybody_is_an_owner_and_nothing_is_on_its_way(ring_cluster: Any) -> None:
    now = look(ring_cluster, rates={"node-1": 17.0, "gone": 3.0}, mine={"tweet/alice": 131})
    assert now.nodes == ("node-1", "node-2", "node-3")
    assert len(now.lists) == 256 and now.held("node-1") == list(range(256))
    assert (now.taking, now.arrived, now.change) == ({}, {}, "")
    assert now.keys == {"node-1": 100, "node-2": 100, "node-3": 100}
    assert (now.rates, now.mine) == ({"node-1": 17.0}, {"tweet/alice": 131})


@pytest.mark.parametrize("arrived", [0, 100, 257])
def test_a_partition_has_arrived_when_both_trees_are_equal(ring_cluster: Any, arrived: int) -> None:
    ring_cluster.begin_join()
    ring_cluster.arrived = arrived
    now = look(ring_cluster)
    assert now.nodes[-1] == "node-4" and len(now.taking["node-4"]) == 189
    assert now.arrived["node-4"] == {place for place in now.taking["node-4"] if place + 1 < arrived}


def test_a_node_that_is_silent_is_no_reason_to_see_nothing(ring_cluster: Any) -> None:
    ring_cluster.silent = {"node-1"}
    now = look(ring_cluster)
    assert now.keys == {"node-1": None, "node-2": 100, "node-3": 100}


def test_where_nobody_answers_the_reason_is_told(ring_cluster: Any) -> None:
    ring_cluster.silent = {"node-1", "node-2", "node-3"}
    with pytest.raises(KvError, match="takes no connections"):
        newest_ring(ring_cluster)


def test_those_who_take_over_from_a_leaver_are_told_by_name() -> None:
    assert taken_over({"pending_lists": [["b"], [], ["a", "b"]]}) == {
        "a": frozenset({2}),
        "b": frozenset({0, 2}),
    }
