"""A durable acceptor: what a member has promised or accepted is on its disk before anybody hears of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from kvnode.config import NodeAddress
from kvnode.messages import Accept, Accepted, Prepare, Promise

Play = Callable[..., None]
BALLOT = (5, "node-1.a")
JOINER = NodeAddress("node-4", "127.0.0.1", 1, 1)


def votes(components: Any) -> list[Promise | Accepted]:
    """All that were told so far."""
    return [message for _, _, message in components.wire.carried if isinstance(message, Promise | Accepted)]


def test_a_promise_and_an_acceptance_are_told_only_once_they_are_durable(play: Play) -> None:
    """1. A member promised, told so, and crashed before its sync. 2. It came back without the promise, and gave another
    one: two changes of the ring could be decided in one epoch."""

    async def scenario(components: Any) -> None:
        node, disk = components.nodes["node-2"], components.disks["node-2"]
        value = node.ring.state.join(JOINER)
        for question in (Prepare(7, 1, BALLOT), Accept(8, 1, BALLOT, value)):
            disk.held, told = True, len(votes(components))
            node.on_message("node-1", question)
            await asyncio.sleep(1.0)
            assert len(votes(components)) == told, "nothing is on disk yet"
            disk.release()
            await asyncio.sleep(0.1)
            assert len(votes(components)) == told + 1
        first, second = votes(components)
        assert (first.promised, first.accepted, first.counts) == (BALLOT, None, True)
        assert second.accepted == (BALLOT, value)

    play(scenario)


def test_what_cannot_be_made_durable_is_never_told(play: Play) -> None:
    async def scenario(components: Any) -> None:
        components.disks["node-2"].full = True
        components.nodes["node-2"].on_message("node-1", Prepare(7, 1, BALLOT))
        await asyncio.sleep(3.0)
        assert votes(components) == []

    play(scenario)


def test_a_promise_survives_a_restart(play: Play) -> None:
    async def scenario(components: Any) -> None:
        components.nodes["node-2"].on_message("node-1", Prepare(7, 1, BALLOT))
        await asyncio.sleep(0.1)
        components.stop("node-2")
        await components.start("node-2")
        components.nodes["node-2"].on_message("node-3", Prepare(8, 1, (4, "node-3.c")))
        await asyncio.sleep(0.1)
        assert [vote.promised for vote in votes(components)] == [BALLOT, BALLOT]

    play(scenario)


def test_a_store_that_has_lost_its_promises_gives_votes_that_do_not_count(play: Play) -> None:
    """1. node-2 promised, and lost its disk. 2. It voted again in the same epoch, for another ballot."""

    async def scenario(components: Any) -> None:
        node = components.nodes["node-2"]
        await node.acceptor.lose_right()
        node.on_message("node-1", Prepare(7, 1, BALLOT))
        await asyncio.sleep(0.1)
        assert [vote.counts for vote in votes(components)] == [False]

    play(scenario)
