"""Waiting for a change or a start tells each step once, and ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvnode.cluster.contract import MembershipChange
from kvnode.cluster.errors import ClusterError, NodeFailed
from kvnode.cluster.progress import see_change_through, see_start_through, show_progress


def change(
    step: str, done: int = 0, total: int = 0, *, finished: bool = False, error: str = ""
) -> MembershipChange:
    return MembershipChange("leave", "node-4", done, total, finished, error, step)


LEAVING = [
    change("the members decide"),
    change("the members decide"),
    change("data goes to its new owners", 0, 64),
    change("data goes to its new owners", 40, 64),
    change("data goes to its new owners", 64, 64),
    change("node-4 hands over what it still holds", 64, 64),
]


def test_a_leave_says_what_it_waits_for_from_the_first_moment(capsys: pytest.CaptureFixture[str]) -> None:
    """The story: `leave` was silent for two minutes, and somebody pressed Ctrl-C."""
    looks: Iterator[MembershipChange] = iter([*LEAVING, change("", finished=True)])
    see_change_through(lambda: next(looks), 10, show_progress)
    assert capsys.readouterr().err.splitlines() == [
        "the members decide",
        "data goes to its new owners: 0 of 64 partitions have arrived",
        "data goes to its new owners: 64 of 64 partitions have arrived",
        "node-4 hands over what it still holds: 64 of 64 partitions have arrived",
    ]


def test_a_change_that_came_to_nothing_says_why() -> None:
    with pytest.raises(NodeFailed, match="leave of node-4: called off"):
        see_change_through(lambda: change("", finished=True, error="called off"), 10, None)


def test_a_start_is_waited_for_but_not_for_ever() -> None:
    phases = iter(["starting", "starting", "running"])
    see_start_through(lambda: next(phases), "lab", 10)
    with pytest.raises(ClusterError, match="cluster lab is still starting after 0 s"):
        see_start_through(lambda: "starting", "lab", 0)
