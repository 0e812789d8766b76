"""Values through whole nodes: siblings, and what contexts that are ahead, or claim too much, do to a write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from kvnode.config import SIBLING_COUNT_MAX
from kvnode.messages import KV, StoreMany, StoreRecord
from kvnode.operations import Get, Put
from kvnode.records.records import encode_state
from kvnode.versions import Context, Dot, Siblings, VersionVector

Play = Callable[..., None]


def test_concurrent_writes_through_two_coordinators_become_siblings_and_a_context_resolves_them(
    play: Play,
) -> None:
    async def scenario(components: Any) -> None:
        await asyncio.gather(
            components.ask("node-1", Put("k", b'"a"')), components.ask("node-2", Put("k", b'"b"'))
        )
        _, got = await components.ask("node-3", Get("k", r=3))
        assert got["conflict"] is True
        assert {sibling["value"] for sibling in got["siblings"]} == {"a", "b"}
        await components.ask("node-3", Put("k", b'"c"', components.contexts.read("k", got["context"])))
        _, got = await components.ask("node-1", Get("k", r=3))
        assert (got["value"], got["conflict"]) == ("c", False)

    play(scenario)


def test_more_than_32_siblings_are_refused_until_they_are_resolved(play: Play) -> None:
    async def scenario(components: Any) -> None:
        for number in range(SIBLING_COUNT_MAX):
            assert (await components.ask("node-1", Put("k", str(number).encode(), mode="siblings")))[0] == 200
        status, problem = await components.ask("node-1", Put("k", b"33", mode="siblings"))
        assert (status, problem["definite"]) == (409, True)
        assert "resolve them" in problem["detail"]
        assert (await components.ask("node-1", Put("k", b"1")))[0] == 200

    play(scenario)


@pytest.mark.parametrize("node", ["node-1", "node-5"])
def test_a_context_from_the_future_is_refused_and_ends_no_node(play: Play, node: str) -> None:
    """1. A client made up a context that covers dots which the coordinator has not issued yet.

    2. `Siblings.write` raised ValueError for a reused dot. 3. At the coordinator it became a 500; when the request had
    been forwarded, the exception ended background work, and with it the whole node.
    """

    async def scenario(components: Any) -> None:
        key = components.key_of("node-1", without="node-5")
        store = components.nodes["node-1"].dots.store
        made_up = Context(VersionVector.of({store: 10**9}))
        status, problem = await components.ask(node, Put(key, b"1", made_up))
        assert status == 400
        assert "context" in problem["detail"]
        assert (await components.ask(node, Put(key, b"2")))[0] == 200

    play(scenario, 5)


def test_a_key_poisoned_by_a_made_up_context_is_refused_without_a_fault(play: Play) -> None:
    """1. A made-up context covers node-1's future dots, and node-2 cannot know that.

    2. Every plain PUT through node-1 then met its own future dots and failed with 500. Now it is told that the key
    holds such a version: 409.
    """

    async def scenario(components: Any) -> None:
        store = components.nodes["node-1"].dots.store
        assert (
            await components.ask("node-2", Put("k", b"1", Context(VersionVector.of({store: 10**9})), w=3))
        )[0] == 200
        status, problem = await components.ask("node-1", Put("k", b"2"))
        assert status == 409
        assert "not issued" in problem["detail"]
        assert (await components.ask("node-2", Put("k", b"2")))[0] == 200

    play(scenario)


def test_a_context_answered_by_a_blind_put_does_not_drop_a_sibling_that_was_not_shown(play: Play) -> None:
    """See tests/kvnode/versions/test_siblings.py: the same through a whole node."""

    async def scenario(components: Any) -> None:
        await components.ask("node-1", Put("k", b'"of b"', mode="siblings"))
        _, mine = await components.ask("node-1", Put("k", b'"of a"', mode="siblings"))
        seen = components.contexts.read("k", mine["context"])
        await components.ask("node-1", Put("k", b'"of a, newer"', seen))
        _, got = await components.ask("node-2", Get("k", r=3))
        assert {sibling["value"] for sibling in got["siblings"]} == {"of b", "of a, newer"}
        assert components.contexts.issue("k", seen) == mine["context"]

    play(scenario)


@pytest.mark.parametrize("mode", ["replace", "siblings", "lww"])
def test_no_write_is_acknowledged_that_what_is_held_claims_to_have_seen_already(
    play: Play, mode: str
) -> None:
    """1. A version covers dots that node-1 is still to issue. 2. Through node-1 a PUT with mode=siblings, or under the
    empty context, had a dot that the version covers, so merging left it out: 200, w=2, and it was nowhere."""

    async def scenario(components: Any) -> None:
        store = components.nodes["node-1"].dots.store
        poison = Put("k", b'"poison"', Context(VersionVector.of({store: 10**9})), w=3)
        assert (await components.ask("node-2", poison))[0] == 200
        for request in (Put("k", b'"kept"', mode=mode), Put("k", b'"kept"', Context())):
            status, answer = await components.ask("node-1", request)
            assert (status, answer["definite"]) == (409, True), answer
            assert "not issued" in answer["detail"]
        _, got = await components.ask("node-3", Get("k", r=3))
        assert [sibling["value"] for sibling in got["siblings"]] == ["poison"]

    play(scenario)


def test_a_write_that_gives_way_to_a_later_stamp_is_no_fault(play: Play) -> None:
    """mode=lww promises no more: the greatest stamp wins, and this one has a slow clock."""

    async def scenario(components: Any) -> None:
        clock = components.clocks["node-2"]
        clock.wall_ms = lambda right=clock.wall_ms: right() - 5_000.0
        assert (await components.ask("node-1", Put("k", b'"early"', mode="lww", w=3)))[0] == 200
        assert (await components.ask("node-2", Put("k", b'"late"', mode="lww", w=3)))[0] == 200
        assert (await components.ask("node-3", Get("k")))[1]["value"] == "early"

    play(scenario)


def test_a_context_that_is_ahead_of_the_node_it_is_passed_to_is_taken(play: Play) -> None:
    """1. node-3 is cut off while the others write. 2. Their context names writes, and a store, that node-3 has never
    heard of. It is as good there as anywhere."""

    async def scenario(components: Any) -> None:
        components.isolate("node-3")
        for number in range(5):
            await components.ask("node-1", Put("k", str(number).encode()))
        components.stop("node-2")
        await components.start("node-2")  # under a fresh store id
        _, got = await components.ask("node-2", Put("k", b'"newest"'))
        components.wire.drops = lambda sender, receiver, message: (
            receiver == "node-3" and isinstance(message, StoreMany | StoreRecord)
        )
        ahead = components.contexts.read("k", got["context"])
        status, _ = await components.ask("node-3", Put("k", b'"after it"', ahead))
        assert status == 200
        components.heal()
        await components.until(lambda: not any(node.hints.pending() for node in components.nodes.values()))
        for name in components.nodes:
            _, read = await components.ask(name, Get("k", r=3))
            assert [sibling["value"] for sibling in read["siblings"]] == ["after it"]

    play(scenario)


def test_a_context_that_has_grown_long_is_read_and_replaced_and_grows_no_further(play: Play) -> None:
    """1. Each crash of a node adds a store to the context of a key. 2. After 117 the context that GET answered was
    longer than PUT took: nobody could replace the value any more."""

    async def scenario(components: Any) -> None:
        stores = {f"node-2.{number:016x}": 4096 for number in range(1, 900)}
        long = Context(VersionVector.of(stores))
        held = Put("k", b'"held"', long, w=3)
        status, problem = await components.ask("node-1", held)
        assert (status, problem["definite"]) == (409, True)
        assert "the context of this key would have 900 entries" in problem["detail"]
        state, _ = Siblings().write(Dot("node-2.ff", 1), b'"held"', context=long, timestamp=1.0)
        for node in components.nodes.values():
            node.records.merge_in(KV, "k", encode_state(state), lambda ok: None)
        _, got = await components.ask("node-1", Get("k", r=3))
        seen = components.contexts.read("k", got["context"])
        status, problem = await components.ask("node-1", Put("k", b'"one more store"', seen))
        assert status == 409, problem
        _, got = await components.ask("node-2", Get("k", r=3))
        assert (got["value"], got["conflict"]) == ("held", False)

    play(scenario)
