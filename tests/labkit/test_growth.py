"""Joins and leaves of a session: one at a time, each with a record, and a refusal is a sentence with a way on."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from kvnode.cluster import BadCommand, NodeFailed
from labkit import extra_nodes
from labkit.errors import LabError
from labkit.growth import Growth


class Service:
    """A double of the traffic service: ten operations and ten milliseconds of gap more at each look."""

    def __init__(self) -> None:
        self.looks = 0

    def stats(self) -> dict[str, Any]:
        self.looks += 1
        counts = {"operations_total": 10 * self.looks, "errors_total": 0, "longest_gap_s": 0.01 * self.looks}
        return {"workloads": {"twitter": counts}}


class Lab:
    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self.traffic: Any = Service()


@pytest.fixture
def growth(ring_cluster: Any) -> Growth:
    return Growth(Lab(ring_cluster))


def finished(cluster: Any, growth: Growth, error: str = "") -> Any:
    cluster.finish(error)
    return growth.wait()


def test_a_join_is_slowed_under_a_lease_and_leaves_a_record(growth: Growth, ring_cluster: Any) -> None:
    assert growth.begin_join() == "node-4"
    assert growth.is_under_way and ring_cluster.leases == ["a join"] and ring_cluster.delays == [30.0]
    assert growth.summary() == "node-4 is joining (data moves)."
    change = finished(ring_cluster, growth)
    assert ring_cluster.leases == []
    assert (change.what, change.node, change.moved, change.slots) == ("join", "node-4", 189, 768)
    assert (round(change.moved_percent, 1), round(change.first_moved_percent, 1)) == (24.6, 24.6)
    assert (change.acknowledged, change.failed, change.gap_before_ms, change.gap_ms) == (10, 0, 10, 20)
    assert "189 of 768 copies moved (25 %)" in growth.summary()
    assert "longest gap 20 ms (before: 10 ms)" in growth.summary()


def test_one_change_at_a_time_and_the_second_press_says_which(growth: Growth, ring_cluster: Any) -> None:
    growth.begin_join()
    with pytest.raises(LabError) as refused:
        growth.begin_join()
    assert str(refused.value) == (
        "One change at a time: node-4 is joining (data moves). Wait until it is over, then press again."
    )
    finished(ring_cluster, growth)
    assert len(growth.changes) == 1


def test_a_leave_of_one_of_three_says_why_not_and_what_to_do(growth: Growth, ring_cluster: Any) -> None:
    ring_cluster.refusal = BadCommand(
        "node-3 cannot leave: 2 members would be left, but each key has 3 replicas"
    )
    with pytest.raises(LabError) as refused:
        growth.begin_leave("node-3")
    assert str(refused.value) == (
        "node-3 cannot leave: each key has 3 copies, each on a node of its own. "
        "Reason: 2 members would be left, but each key has 3 replicas. Let a node join first."
    )
    assert ring_cluster.leases == [] and not growth.is_under_way


def test_a_node_that_does_not_come_up_says_so(growth: Growth, ring_cluster: Any) -> None:
    ring_cluster.refusal = NodeFailed("node-4 killed")
    with pytest.raises(
        LabError, match=r"did not come up; nothing has changed\. Reason: node-4 killed\. Press"
    ):
        growth.begin_join()


def test_a_join_that_is_called_off_is_a_record_with_the_reason(growth: Growth, ring_cluster: Any) -> None:
    growth.begin_join()
    assert extra_nodes.names(ring_cluster.folder) == ["node-4"]
    change = finished(ring_cluster, growth, "node-4 died, and would have taken partitions over")
    assert change.problem and change.moved == 0
    assert growth.summary() == (
        "node-4 did not join: node-4 died, and would have taken partitions over. Its data is where it was."
    )
    assert extra_nodes.names(ring_cluster.folder) == []
    assert growth.members == ["node-1", "node-2", "node-3"]


def test_a_cell_takes_what_was_done_by_hand_and_does_nothing_twice(growth: Growth, ring_cluster: Any) -> None:
    growth.begin_join()
    by_hand = finished(ring_cluster, growth)
    assert growth.join(to=4) is by_hand
    assert growth.join(to=4) is by_hand
    assert len(ring_cluster.delays) == 1


def test_a_cell_waits_for_each_join_and_says_so_if_it_comes_to_nothing(
    growth: Growth, ring_cluster: Any
) -> None:
    def finish_soon(error: str) -> threading.Timer:
        timer = threading.Timer(0.15, lambda: ring_cluster.finish(error))
        timer.start()
        return timer

    timer = finish_soon("")
    assert growth.join(to=4).node == "node-4"
    timer.join()
    timer = finish_soon("it died")
    with pytest.raises(LabError, match="node-5 did not join: it died"):
        growth.join(to=5)
    timer.join()
    timer = finish_soon("")
    assert growth.leave(to=3) == ["node-1", "node-2", "node-3"]
    timer.join()
    assert [(one.what, one.node) for one in growth.changes] == [
        ("join", "node-4"),
        ("join", "node-5"),
        ("leave", "node-4"),
    ]


def test_a_node_that_was_there_before_has_no_record(growth: Growth, ring_cluster: Any) -> None:
    ring_cluster.members.append("node-4")
    with pytest.raises(LabError, match="Nobody here has watched node-4 join"):
        growth.join(to=4)


def test_what_a_lesson_added_is_remembered_beside_the_cluster(ring_cluster: Any) -> None:
    folder = ring_cluster.folder
    assert extra_nodes.names(folder) == []
    extra_nodes.note(folder, "node-4")
    extra_nodes.note(folder, "node-5")
    extra_nodes.forget(folder, ["node-4", "node-9"])
    assert extra_nodes.names(folder) == ["node-5"]
    (folder / extra_nodes.FILE).write_text("{broken")
    assert extra_nodes.names(folder) == []
