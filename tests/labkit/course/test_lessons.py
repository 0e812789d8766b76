"""A lesson begins with the nodes that it knows, whatever the one before has let join."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kvnode.cluster import NodeFailed
from labkit import extra_nodes
from labkit.course.lessons import LESSONS, prepare
from labkit.errors import LabError


@pytest.fixture
def lab(ring_cluster: Any) -> Any:
    ring_cluster.name = "lab"
    nothing = lambda *_, **__: None  # noqa: E731
    traffic = SimpleNamespace(
        stop=nothing,
        start=nothing,
        configure=nothing,
        reset=nothing,
        set_clock=nothing,
        people=lambda world: [],
    )
    return SimpleNamespace(cluster=ring_cluster, traffic=traffic)


@pytest.mark.parametrize("lesson", ["01", "02"])
def test_nodes_that_a_broken_off_lesson_has_added_leave(lab: Any, lesson: str) -> None:
    cluster = lab.cluster
    cluster.members += ["node-4", "node-5"]
    for name in ("node-4", "node-5"):
        extra_nodes.note(cluster.folder, name)
    prepare(lab, LESSONS[lesson])
    assert cluster.members == ["node-1", "node-2", "node-3"]
    assert extra_nodes.names(cluster.folder) == []


def test_nodes_that_somebody_wanted_stay_but_for_the_lesson_about_joins(lab: Any) -> None:
    lab.cluster.members += ["node-4"]
    prepare(lab, LESSONS["02"])
    assert lab.cluster.members[-1] == "node-4"
    prepare(lab, LESSONS["01"])
    assert lab.cluster.members == ["node-1", "node-2", "node-3"]


def test_a_lesson_about_joins_says_which_nodes_it_begins_with(lab: Any) -> None:
    lab.cluster.members = ["node-1", "node-3", "node-4"]
    with pytest.raises(LabError, match="Lesson 01 begins with node-1, node-2, node-3"):
        prepare(lab, LESSONS["01"])
    prepare(lab, LESSONS["02"])


def test_a_node_that_does_not_leave_is_one_sentence(lab: Any) -> None:
    lab.cluster.members += ["node-4"]
    lab.cluster.refusal = NodeFailed("node-4 is silent")
    with pytest.raises(LabError, match=r"does not leave\. Reason: node-4 is silent"):
        prepare(lab, LESSONS["01"])
