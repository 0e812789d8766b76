"""A DELETE without a context deletes what a quorum holds, whatever its coordinator has missed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kvnode.operations import Get, Put

Play = Callable[..., None]


def test_a_delete_through_a_node_that_missed_a_write_deletes_it(play: Play) -> None:
    """1. A node missed a write. 2. A DELETE without a context through it was answered 200. 3. The value stayed, beside
    a tombstone that had not seen it.
    """

    async def scenario(components: Any) -> None:
        await components.ask("node-3", Put("k", b"1"))
        components.isolate("node-3")
        assert (await components.ask("node-1", Put("k", b"2")))[0] == 200
        components.heal()
        assert (await components.ask("node-3", Put("k", None)))[0] == 200
        for name in components.config.names:
            status, gone = await components.ask(name, Get("k", r=2))
            assert (status, len(gone["siblings"])) == (404, 1)

    play(scenario)


def test_a_delete_of_which_too_few_replicas_know_what_to_delete_is_refused_definitely(play: Play) -> None:
    async def scenario(components: Any) -> None:
        assert (await components.ask("node-1", Put("k", b"1")))[0] == 200
        components.isolate("node-1")
        status, problem = await components.ask("node-1", Put("k", None))
        assert (status, problem["definite"]) == (503, True)
        components.heal()
        assert (await components.ask("node-1", Get("k", r=3)))[1]["value"] == 1
        components.isolate("node-1")
        assert (await components.ask("node-1", Put("k", None, w=1)))[0] == 200, (
            "w=1 asks nobody else, as ever"
        )

    play(scenario)
