"""What Merkle roots say about replicas, from the answers of nodes that are not there."""

from __future__ import annotations

from typing import Any, cast

import pytest

from kvnode.chaos.convergence import Roots, SeenEqual, describe
from kvnode.client import Client
from kvnode.errors import Unreachable

OWNERS = [["node-1", "node-2"], ["node-2", "node-3"], ["node-1", "node-3"]]


class Nodes:
    """Three nodes, each with a root for each of three partitions."""

    names = ("node-1", "node-2", "node-3")

    def __init__(self, **roots: list[str]) -> None:
        self.roots = {name.replace("_", "-"): mine for name, mine in roots.items()}

    def ring(self, node: str) -> dict[str, Any]:
        return {"preference_lists": OWNERS}

    def merkle(self, node: str) -> dict[str, Any]:
        if node not in self.roots:
            raise Unreachable(f"{node} takes no connections")
        return {"roots": self.roots[node]}


def roots_of(**roots: list[str]) -> Roots:
    return Roots(cast(Client, Nodes(**roots)))


def test_only_the_owners_of_a_partition_must_agree() -> None:
    roots = roots_of(node_1=["a", "?", "c"], node_2=["a", "b", "?"], node_3=["?", "b", "c"])
    assert roots.differing() == set()
    assert roots.wait_until_equal(0.0) is not None


def test_a_partition_whose_owners_differ_is_named() -> None:
    roots = roots_of(node_1=["a", "", "c"], node_2=["a", "b", ""], node_3=["", "x", "c"])
    assert roots.differing() == {1}
    assert roots.wait_until_equal(0.0) is None


def test_a_node_that_does_not_answer_agrees_with_nobody() -> None:
    assert roots_of(node_1=["", "", ""], node_2=["", "", ""]).differing() is None


def test_partitions_that_are_written_to_need_not_be_equal_all_at_once() -> None:
    seen = SeenEqual()
    assert not seen.note(None)
    assert not seen.note({1, 2})
    assert not seen.note({2, 3})
    assert seen.left == {2}
    assert not seen.note(None)
    assert seen.note({1})


@pytest.mark.parametrize(
    ("differing", "said"),
    [
        (None, "a node did not answer"),
        (set(), "all partitions are equal"),
        ({3, 1}, "2 partitions differ, such as 1, 3"),
    ],
)
def test_a_look_is_told_in_one_line(differing: set[int] | None, said: str) -> None:
    assert describe(differing) == said
