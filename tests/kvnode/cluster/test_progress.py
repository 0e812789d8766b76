"""Waiting for a move or a start tells each step once, and ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kvnode.cluster.errors import ClusterError, NodeFailed
from kvnode.cluster.progress import see_change_through, see_start_through, show_progress


def move(
    step: str, done: int = 0, total: int = 0, *, finished: bool = False, error: str = ""
) -> dict[str, Any]:
    names = {"what": "leave", "node": "node-4"}
    return {**names, "step": step, "done": done, "total": total, "finished": finished, "error": error}


LEAVING = [
    move("the members decide"),
    move("the members decide"),
    move("data goes to its new owners", 0, 64),
    move("data goes to its new owners", 40, 64),
    move("data goes to its new owners", 64, 64),
    move("node-4 hands over what it still holds", 64, 64),
]


def test_a_leave_says_what_it_waits_for_from_the_first_moment(capsys: pytest.CaptureFixture[str]) -> None:
    """The story: `leave` was silent for two minutes, and somebody pressed Ctrl-C."""
    looks: Iterator[dict[str, Any]] = iter([*LEAVING, move("", finished=True)])
    see_change_through(lambda: next(looks), 10, show_progress)
    assert capsys.readouterr().err.splitlines() == [
        "the members decide",
        "data goes to its new owners: 0 of 64 partitions have arrived",
        "data goes to its new owners: 64 of 64 partitions have arrived",
        "node-4 hands over what it still holds: 64 of 64 partitions have arrived",
    ]


def test_a_move_that_came_to_nothing_says_why() -> None:
    with pytest.raises(NodeFailed, match="leave of node-4: called off"):
        see_change_through(lambda: move("", finished=True, error="called off"), 10, None)


def test_a_start_is_waited_for_but_not_for_ever() -> None:
    phases = iter(["starting", "starting", "running"])
    see_start_through(lambda: next(phases), "lab", 10)
    with pytest.raises(ClusterError, match="cluster lab is still starting after 0 s"):
        see_start_through(lambda: "starting", "lab", 0)
