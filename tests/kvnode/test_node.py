"""Requests for keys of which a node has no replica: whom it asks to coordinate, and what comes of no answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from kvnode.messages import Forward, StoreRecord
from kvnode.operations import Add, Count, Get, Put

Play = Callable[..., None]


def forwards(components: Any) -> list[str]:
    """Who was asked to coordinate, in order."""
    return [receiver for _, receiver, message in components.wire.carried if isinstance(message, Forward)]


def test_a_node_that_holds_no_replica_forwards_to_the_first_that_is_not_dead(play: Play) -> None:
    async def scenario(components: Any) -> None:
        key = components.key_of("node-2", "node-3", "node-4")
        _, put = await components.ask("node-1", Put(key, b"1"))
        assert put["node"] == "node-2"
        components.stop("node-2")
        await components.until(lambda: components.nodes["node-1"].members.state("node-2") == "dead")
        status, got = await components.ask("node-1", Get(key))
        assert (status, got["node"]) == (200, "node-3")

    play(scenario, 5)


def test_a_forward_that_is_never_answered_is_an_indefinite_504(play: Play) -> None:
    async def scenario(components: Any) -> None:
        key = components.key_of("node-2", "node-3", "node-4")
        components.wire.drops = lambda sender, receiver, message: isinstance(message, Forward)
        status, problem = await components.ask("node-1", Put(key, b"1"))
        assert (status, problem["definite"]) == (504, False)
        assert "asked to coordinate, node-2 did not answer" in problem["detail"]

    play(scenario, 5)


@pytest.mark.parametrize("read", [Get, Count])
def test_a_read_is_asked_of_the_next_replica_before_the_death_of_the_first_is_known(
    play: Play, read: Any
) -> None:
    """1. A replica died. 2. Until that was known, reads were forwarded to it: each took 2.5 s, and was a 504."""

    async def scenario(components: Any) -> None:
        key = components.key_of("node-2", "node-3", "node-4")
        await components.ask("node-1", Put(key, b"1"))
        components.stop("node-2")
        began_s = asyncio.get_running_loop().time()
        status, got = await components.ask("node-1", read(key))
        assert (status, got["answered_by"]) == (200, ["node-3", "node-4"])
        assert asyncio.get_running_loop().time() - began_s < 0.6
        assert forwards(components) == ["node-2", "node-2", "node-3"]

    play(scenario, 5)


@pytest.mark.parametrize("write", [Put("k", b"1"), Add("k", "actor", 1, 0)])
def test_a_write_is_never_sent_to_a_second_replica(play: Play, write: Any) -> None:
    """The second could refuse it, definitely, while the first applies it."""

    async def scenario(components: Any) -> None:
        key = components.key_of("node-2", "node-3", "node-4")
        components.stop("node-2")
        status, problem = await components.ask("node-1", structs.replace(write, key=key))
        assert (status, problem["definite"]) == (504, False)
        assert forwards(components) == ["node-2"]

    play(scenario, 5)


def test_who_is_suspected_is_asked_only_if_nobody_else_is_there(play: Play) -> None:
    async def scenario(components: Any) -> None:
        key = components.key_of("node-2", "node-3", "node-4")
        components.stop("node-2")
        await components.until(lambda: components.nodes["node-1"].members.state("node-2") == "suspect")
        status, put = await components.ask("node-1", Put(key, b"1"))
        assert (status, put["node"]) == (200, "node-3")

    play(scenario, 5)


def test_a_write_that_fails_names_its_trace_and_the_trace_tells_how_far_it_got(play: Play) -> None:
    """1. A PUT met no quorum. 2. Its 503 named no trace, so nobody could see which replica had it nevertheless."""

    async def scenario(components: Any) -> None:
        key = components.key_of("node-1", "node-2", "node-3")
        components.wire.drops = lambda sender, receiver, message: (
            receiver == "node-3" and isinstance(message, StoreRecord)
        )
        status, problem = await components.ask("node-1", Put(key, b"1", w=3))
        assert (status, problem["definite"]) == (503, False)
        scenario = await components.nodes["node-1"].inspection.trace(int(problem["cause"], 16))
        assert {node for node, event in scenario if event[1] == "stored"} == {"node-1", "node-2"}
        assert scenario[-1][1][1] == "told the client of an error 503"

    play(scenario, 3)


@pytest.mark.parametrize(
    "request_of", [Get, lambda key: Put(key, b"1"), lambda key: Add(key, "ann", 1, 0), Count]
)
def test_a_forward_that_fails_names_the_trace_of_the_node_that_forwarded(play: Play, request_of: Any) -> None:
    async def scenario(components: Any) -> None:
        key = components.key_of("node-2", "node-3", "node-4")
        components.wire.drops = lambda sender, receiver, message: isinstance(message, Forward)
        status, problem = await components.ask("node-1", request_of(key))
        assert status == 504
        trace = await components.nodes["node-1"].inspection.trace(int(problem["cause"], 16))
        assert ("node-1", "forwarded the request to", "node-2") in [
            (node, *event[1:]) for node, event in trace
        ]

    play(scenario, 5)
