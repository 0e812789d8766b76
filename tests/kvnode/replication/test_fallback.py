"""Sloppy quorums through whole nodes: who stands in for whom, what the answer says, and that it is handed over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kvnode.checkers import Ledger, SiblingRead
from kvnode.messages import KV, StoreHint
from kvnode.operations import Get, Put

Play = Callable[..., None]


def key_of_first_three(components: Any) -> str:
    owners = {"node-1", "node-2", "node-3"}
    keys = (f"key-{number}" for number in range(1000))
    return next(key for key in keys if set(components.nodes["node-1"].ring.preference_list(key)) == owners)


async def kill(components: Any, *names: str) -> None:
    for name in names:
        components.stop(name)
    alive = list(components.wire.receivers)
    await components.until(
        lambda: all(components.nodes[a].members.state(name) == "dead" for a in alive for name in names)
    )


def test_a_write_with_two_of_three_owners_dead_is_acknowledged_and_delivered_when_they_return(
    play: Play,
) -> None:
    async def scenario(components: Any) -> None:
        key = key_of_first_three(components)
        await kill(components, "node-2", "node-3")
        status, strict = await components.ask("node-1", Put(key, b"1"))
        assert (status, strict["detail"][:31]) == (503, "W=2 unmet: 0 of 3 replicas ackn")
        status, put = await components.ask("node-1", Put(key, b'"kept"', sloppy=True))
        assert (status, put["sloppy"]) == (200, True)
        assert "r + w > N promises nothing" in put["note"]
        assert put["fallbacks"], "node-1 alone is not enough"
        assert set(put["fallbacks"]) <= {"node-4", "node-5"}
        assert set(put["fallbacks"].values()) <= {"node-2", "node-3"}
        assert set(put["acknowledged_by"]) == {"node-1", *put["fallbacks"]}
        status, got = await components.ask("node-4", Get(key, sloppy=True))
        assert (status, got["value"], got["sloppy"]) == (200, "kept", True)
        status, _ = await components.ask("node-1", Get(key))
        assert status == 503
        await components.start("node-2", "node-3")
        await components.until(
            lambda: all(components.nodes[n].records.durable(KV, key) for n in ("node-2", "node-3"))
        )
        await components.until(
            lambda: components.nodes["node-3"].members.state("node-2") == "alive"
        )  # else r=3 is refused
        status, got = await components.ask("node-3", Get(key, r=3))
        assert (status, got["value"], "sloppy" in got) == (200, "kept", False)
        await components.until(lambda: not any(node.hints.pending() for node in components.nodes.values()))

    play(scenario, 5)


def test_with_all_owners_dead_a_stand_in_coordinates_and_later_writes_build_on_what_it_keeps(
    play: Play,
) -> None:
    async def scenario(components: Any) -> None:
        key = key_of_first_three(components)
        await kill(components, "node-1", "node-2", "node-3")
        status, first = await components.ask("node-4", Put(key, b"1", sloppy=True))
        assert (status, sorted(first["acknowledged_by"])) == (200, ["node-4", "node-5"])
        status, second = await components.ask("node-5", Put(key, b"2", sloppy=True))
        assert (status, len(second["fallbacks"])) == (200, 2)
        status, got = await components.ask("node-5", Get(key, sloppy=True))
        assert (status, got["value"], got["conflict"]) == (200, 2, False)
        status, refused = await components.ask("node-5", Put(key, b"3", w=3, sloppy=True))
        assert (status, refused["definite"], refused["need"]) == (503, True, 3)
        await components.start("node-1", "node-2", "node-3")
        owners = ("node-1", "node-2", "node-3")
        await components.until(
            lambda: all(components.nodes[name].records.durable(KV, key) for name in owners)
        )
        await components.until(
            lambda: all(m.state == "alive" for n in components.nodes.values() for m in n.members)
        )
        assert (await components.ask("node-1", Get(key, r=3)))[1]["value"] == 2

    play(scenario, 5)


def test_a_stand_in_that_has_handed_over_does_not_replace_what_it_has_forgotten(play: Play) -> None:
    """1. All owners are dead; node-4 stands in and writes A. 2. The owners return, and A is handed over. 3. They die
    again, and node-4 writes B, having forgotten A. 4. A client writes C under the context that B's answer gave. By
    node-4's own store id that context would cover A, which nobody had seen: A was gone. Now A and C are siblings."""

    async def scenario(components: Any) -> None:
        key, owners = key_of_first_three(components), ("node-1", "node-2", "node-3")
        await kill(components, *owners)
        assert (await components.ask("node-4", Put(key, b'"A"', sloppy=True)))[0] == 200
        await components.start(*owners)
        await components.until(lambda: not any(node.hints.pending() for node in components.nodes.values()))
        await kill(components, *owners)
        _, of_b = await components.ask("node-4", Put(key, b'"B"', sloppy=True))
        seen_b = components.contexts.read(key, of_b["context"])
        assert (await components.ask("node-4", Put(key, b'"C"', seen_b, sloppy=True)))[0] == 200
        await components.start(*owners)
        await components.until(lambda: not any(node.hints.pending() for node in components.nodes.values()))
        await components.until(
            lambda: all(m.state == "alive" for n in components.nodes.values() for m in n.members)
        )
        _, got = await components.ask("node-1", Get(key, r=3))
        assert {sibling["value"] for sibling in got["siblings"]} == {"A", "C"}

    play(scenario, 5)


def test_a_sloppy_delete_reaches_the_owners_too(play: Play) -> None:
    async def scenario(components: Any) -> None:
        key = key_of_first_three(components)
        await components.ask("node-1", Put(key, b"1", w=3))
        await kill(components, "node-2", "node-3")
        assert (await components.ask("node-5", Put(key, None, sloppy=True)))[0] == 200
        status, gone = await components.ask("node-1", Get(key, sloppy=True))
        assert (status, gone["sloppy"], gone["siblings"][0]["deleted"]) == (404, True, True)
        await components.start("node-2", "node-3")
        await components.until(lambda: not any(node.hints.pending() for node in components.nodes.values()))
        await components.until(
            lambda: components.nodes["node-2"].members.state("node-3") == "alive"
        )  # else r=3 is refused
        assert (await components.ask("node-2", Get(key, r=3)))[0] == 404

    play(scenario, 5)


def test_with_all_owners_alive_nobody_stands_in(play: Play) -> None:
    async def scenario(components: Any) -> None:
        status, put = await components.ask("node-1", Put("k", b"1", sloppy=True))
        assert (status, put["sloppy"], put["fallbacks"]) == (200, True, {})
        owners = components.nodes["node-1"].ring.preference_list("k")
        assert set(put["acknowledged_by"]) <= set(owners)

    play(scenario, 5)


@pytest.mark.parametrize("request_", [Put("k", b"1", sloppy=True), Get("k", sloppy=True)])
def test_without_more_than_n_nodes_there_is_nobody_to_stand_in(play: Play, request_: Any) -> None:
    async def scenario(components: Any) -> None:
        status, problem = await components.ask("node-1", request_)
        assert (status, problem["definite"]) == (400, True)
        assert "sloppy=true needs more than N=3 nodes" in problem["detail"]
        assert "this cluster has 3" in problem["detail"]

    play(scenario, 3)


def test_a_stand_in_without_room_for_a_hint_does_not_count(play: Play, monkeypatch: Any) -> None:
    async def scenario(components: Any) -> None:
        key = key_of_first_three(components)
        await kill(components, "node-2", "node-3")
        monkeypatch.setattr("kvnode.replication.hints.HINT_COUNT_MAX", 0)
        status, problem = await components.ask("node-1", Put(key, b"1", sloppy=True))
        assert (status, problem["definite"]) == (503, False)
        assert "refused" in problem["detail"]

    play(scenario, 5)


def test_a_hint_counts_only_when_it_is_durable(play: Play) -> None:
    async def scenario(components: Any) -> None:
        key = key_of_first_three(components)
        await kill(components, "node-2", "node-3")
        for name in ("node-4", "node-5"):
            components.disks[name].held = True
        status, _ = await components.ask("node-1", Put(key, b"1", sloppy=True))
        assert status == 503, "no stand-in may acknowledge what a crash would take from it"

    play(scenario, 5)


def test_a_stand_in_that_falls_silent_leaves_the_hint_to_the_coordinator(play: Play) -> None:
    async def scenario(components: Any) -> None:
        key = key_of_first_three(components)
        await kill(components, "node-2")
        components.wire.drops = lambda sender, receiver, message: isinstance(message, StoreHint)
        assert (await components.ask("node-1", Put(key, b"1", sloppy=True)))[0] == 200
        await components.until(lambda: components.nodes["node-1"].hints.pending() == {"node-2": 1})

    play(scenario, 5)


def test_the_ledger_takes_a_sloppy_write_for_one_at_risk() -> None:
    ledger = Ledger()
    answer = {"key": "k", "dot": "node-1.a:1", "vector_clock": {"node-1.a": 1}, "w": 2, "issued_under": {}}
    ledger.acknowledged(answer | {"sloppy": True})
    held = SiblingRead("node-1.a:1", {"node-1.a": 1}, {})
    assert ledger.check({"k": [held]}).status == "at risk"
    assert ledger.check({"k": []}).status == "at risk", "lost, but it was never promised"
    assert ledger.check({"k": []}).lost == 1
