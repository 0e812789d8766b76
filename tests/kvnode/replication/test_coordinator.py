"""Requests through whole nodes: quorums, durability before acknowledgement, refusals."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from kvnode.config import ACTOR_COUNT_MAX, COUNTER_TOTAL_MAX, SIBLING_COUNT_MAX
from kvnode.messages import KV, Fetched, Stored
from kvnode.operations import Add, Count, Get, Put
from kvnode.records.records import encode_state
from kvnode.versions import Context, PnCounter, VersionVector

Play = Callable[..., None]


@pytest.mark.parametrize("node_count", [1, 2, 3, 4, 5])
def test_every_operation_works_through_every_node(play: Play, node_count: int) -> None:
    async def scenario(components: Any) -> None:
        for number, name in enumerate(components.config.names):
            key = f"key-{number}"
            status, put = await components.ask(name, Put(key, b'"hello"'))
            assert status == 200
            assert len(put["acknowledged_by"]) >= min(2, node_count)
            for reader in components.config.names:
                status, got = await components.ask(reader, Get(key))
                assert (status, got["value"], got["conflict"]) == (200, "hello", False)
            status, _ = await components.ask(
                name, Put(key, None, components.contexts.read(key, got["context"]))
            )
            assert status == 200
            status, gone = await components.ask(name, Get(key))
            assert status == 404
            assert gone["siblings"][0]["deleted"] is True
            status, nothing = await components.ask(name, Count(key))
            assert (status, nothing["value"], nothing["actors"]) == (200, 0, {})
            status, added = await components.ask(name, Add(key, "actor", 5, 2))
            assert (status, added["value"]) == (200, 3)
            assert (await components.ask(name, Add(key, "actor", 5, 2)))[1]["value"] == 3
            status, counted = await components.ask(name, Count(key, r=min(3, node_count)))
            assert counted["actors"] == {"actor": {"increments": 5, "decrements": 2}}

    play(scenario, node_count)


def test_a_quorum_that_answers_too_late_is_refused_with_need_and_got(play: Play) -> None:
    async def scenario(components: Any) -> None:
        components.isolate("node-1")
        (status, problem), (read_status, read_problem) = await asyncio.gather(
            components.ask("node-1", Put("k", b"1")), components.ask("node-1", Get("k", r=3))
        )
        assert (status, problem["need"], problem["got"], problem["n"]) == (503, 2, 1, 3)
        assert problem["detail"].startswith("W=2 unmet: 1 of 3 replicas acknowledged (no answer from ")
        assert problem["definite"] is False, "this node has stored it, and will replicate it"
        assert read_status == 503
        assert read_problem["detail"].startswith("R=3 unmet: 1 of 3 replicas answered")

    play(scenario)


def test_a_quorum_of_dead_replicas_is_refused_at_once_and_definitely(play: Play) -> None:
    async def scenario(components: Any) -> None:
        components.isolate("node-1")
        members = components.nodes["node-1"].members
        await components.until(lambda: {members.state("node-2"), members.state("node-3")} == {"dead"})
        started_s = asyncio.get_running_loop().time()
        status, problem = await components.ask("node-1", Put("k", b"1"))
        assert (status, problem["definite"], problem["got"]) == (503, True, 0)
        assert "node-2, node-3 known to be dead" in problem["detail"]
        assert asyncio.get_running_loop().time() - started_s < 0.1
        status, put = await components.ask("node-1", Put("k", b"1", w=1))
        assert (status, put["acknowledged_by"]) == (200, ["node-1"])

    play(scenario)


def test_a_write_is_acknowledged_only_when_w_replicas_have_it_on_disk(play: Play) -> None:
    async def scenario(components: Any) -> None:
        for disk in components.disks.values():
            disk.held = True
        writing = asyncio.ensure_future(components.ask("node-1", Put("k", b"1")))
        await asyncio.sleep(0.5)
        assert not writing.done()
        assert not [m for _, _, m in components.wire.carried if isinstance(m, Stored)]
        components.disks["node-2"].release()
        await asyncio.sleep(0.1)
        assert not writing.done(), "one durable copy is not two"
        components.disks["node-3"].release()
        await asyncio.sleep(0.1)
        status, put = await writing
        assert (status, put["acknowledged_by"]) == (200, ["node-2", "node-3"])

    play(scenario)


def test_a_read_shows_only_what_is_durable_where_it_is_read(play: Play) -> None:
    async def scenario(components: Any) -> None:
        await components.ask("node-1", Put("k", b'"old"', w=3))
        components.disks["node-1"].held = True
        writing = asyncio.ensure_future(components.ask("node-1", Put("k", b'"new"', w=3)))
        await asyncio.sleep(0.1)
        _, got = await components.ask("node-1", Get("k", r=1))
        assert got["value"] == "old"
        node = components.nodes["node-1"]
        assert node.records.durable(KV, "k") != node.records.latest(KV, "k")
        components.disks["node-1"].release()
        assert (await writing)[0] == 200
        assert (await components.ask("node-1", Get("k", r=1)))[1]["value"] == "new"

    play(scenario)


def test_a_coordinator_whose_disk_is_full_gets_its_quorum_from_the_others_once_and_then_refuses(
    play: Play,
) -> None:
    """1. node-1 cannot store what it coordinates; the others can, and the client is answered. 2. node-1 has forgotten
    its own write. It must issue no more dots under its name, and a new name it cannot store: it refuses, definitely.
    """

    async def scenario(components: Any) -> None:
        components.disks["node-1"].full = True
        status, put = await components.ask("node-1", Put("k", b"1"))
        assert (status, sorted(put["acknowledged_by"])) == (200, ["node-2", "node-3"])
        status, problem = await components.ask("node-1", Put("k", b"2"))
        assert (status, problem["definite"]) == (503, True)
        components.disks["node-1"].full = False
        await asyncio.sleep(0.1)
        again = [(await components.ask("node-1", Put("k", b"3", mode="siblings")))[0] for _ in range(2)]
        assert again[-1] == 200, "the first may come before the name is stored"
        assert components.nodes["node-1"].dots.store != put["dot"].rpartition(":")[0]

    play(scenario)


def test_replicas_that_refuse_make_the_write_fail_at_once(play: Play) -> None:
    async def scenario(components: Any) -> None:
        components.disks["node-2"].full = components.disks["node-3"].full = True
        started_s = asyncio.get_running_loop().time()
        status, problem = await components.ask("node-1", Put("k", b"1"))
        assert status == 503
        assert "refused" in problem["detail"]
        assert asyncio.get_running_loop().time() - started_s < 1.0

    play(scenario)


def test_a_read_repairs_the_replica_that_was_behind(play: Play) -> None:
    async def scenario(components: Any) -> None:
        components.isolate("node-3")
        await components.ask("node-1", Put("k", b"1"))
        components.heal()
        assert components.nodes["node-3"].records.durable(KV, "k") is None
        assert (await components.ask("node-3", Get("k", r=2)))[0] == 200
        await components.until(lambda: components.nodes["node-3"].records.durable(KV, "k") is not None, 0.2)
        assert components.nodes["node-3"].coordinator.read_repair_count == 1

    play(scenario)


def test_a_read_without_repair_leaves_the_replica_behind_and_still_hears_the_others(play: Play) -> None:
    async def scenario(components: Any) -> None:
        components.isolate("node-3")
        await components.ask("node-1", Put("k", b"1"))
        await components.ask("node-1", Add("k", "actor", 1, 0))
        components.heal()
        node = components.nodes["node-3"]
        assert (await components.ask("node-3", Get("k", r=3, repair=False)))[0] == 200
        assert (await components.ask("node-3", Count("k", r=3, repair=False)))[0] == 200
        await asyncio.sleep(0.05)
        assert node.records.durable(KV, "k") is None
        assert node.coordinator.read_repair_count == 0

    play(scenario)


def test_a_trace_tells_every_one_way_time_of_a_write_and_of_a_read(play: Play) -> None:
    async def scenario(components: Any) -> None:
        _, put = await components.ask("node-1", Put("k", b"1", w=3))
        _, got = await components.ask("node-2", Get("k", r=3))
        for answer, coordinator, out, there, back in (
            (put, "node-1", "sent the record to", "stored", "heard stored from"),
            (got, "node-2", "asked", "was asked by", "heard the record from"),
        ):
            scenario = await components.nodes["node-3"].inspection.trace(int(answer["cause"], 16))
            for other in set(components.config.names) - {coordinator}:
                times_ms = [
                    next(
                        at
                        for node, (at, what, peer) in scenario
                        if (node, what) == step[:2] and peer in step[2]
                    )
                    for step in (
                        (coordinator, out, (other,)),
                        (other, there, (coordinator, "")),
                        (coordinator, back, (other,)),
                    )
                ]
                assert times_ms == sorted(times_ms)
                assert times_ms[0] < times_ms[2]

    play(scenario)


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


# --- bugs, each with its story -----------------------------------------------------------------------------


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


def test_a_nodes_own_counter_steps_stop_at_what_every_reader_can_hold(play: Play) -> None:
    """1. Each step of a counter is bounded, their sum was not. 2. Beyond 2**64 it could not be encoded any more:

    a 500, and for a forwarded request the end of the node.
    """

    async def scenario(components: Any) -> None:
        assert (await components.ask("node-1", Add("k", None, COUNTER_TOTAL_MAX, 0)))[0] == 200
        status, problem = await components.ask("node-1", Add("k", None, 1, 0))
        assert status == 409
        assert str(COUNTER_TOTAL_MAX) in problem["detail"]

    play(scenario)


def test_a_counter_with_too_many_actors_still_takes_totals_of_those_it_has(play: Play) -> None:
    """1. Two coordinators each let in the last actor below the bound. 2. Merged, the counter is beyond it.

    3. Every further total was refused for ever, since entries are never removed. Now only new actors are.
    """

    async def scenario(components: Any) -> None:
        entries = tuple((f"actor-{number:05}", 1, 0) for number in range(ACTOR_COUNT_MAX + 1))
        done: list[bool] = []
        components.nodes["node-1"].records.merge_in(
            "counter", "k", encode_state(PnCounter(entries)), done.append
        )
        await components.until(lambda: bool(done))
        assert (await components.ask("node-1", Add("k", "one too many", 1, 0)))[0] == 409
        assert (await components.ask("node-1", Add("k", "actor-00000", 2, 0)))[0] == 200

    play(scenario)


def test_an_acknowledgement_meant_for_an_earlier_life_of_the_node_counts_for_nothing(play: Play) -> None:
    """1. node-1 asks node-2 to store a record, question 1. 2. It dies; the answer is still on a slow link.

    3. It restarts and asks its own question 1. 4. The old answer arrives and was taken for an acknowledgement of the
    new write: acknowledged, and stored nowhere else. Ids now begin at random.
    """

    async def scenario(components: Any) -> None:
        held: list[tuple[str, str, Any]] = []

        def hold(sender: str, receiver: str, message: Any) -> bool:
            late = isinstance(message, Stored | Fetched)
            if late:
                held.append((sender, receiver, message))
            return late

        components.wire.drops = hold
        for number in range(5):
            components.begin(components.ask("node-1", Put(f"k{number}", b"1")))
        await asyncio.sleep(0.1)
        assert held
        components.stop("node-1")
        components.wire.drops = lambda sender, receiver, message: sender == "node-1" or receiver == "node-1"
        await components.start("node-1")
        writing = asyncio.ensure_future(components.ask("node-1", Put("new", b"1")))
        await asyncio.sleep(0.1)
        for sender, _, message in held:
            components.nodes["node-1"].on_message(sender, message)
        status, _ = await writing
        assert status == 503

    play(scenario)


def test_a_node_that_cannot_reserve_dots_refuses_definitely_and_recovers(play: Play) -> None:
    """1. The disk is full for a long time; every refused PUT uses up a dot.

    2. When the reserved block was used up, PUTs waited for a reservation that nobody tried again: they never answered.
    """

    async def scenario(components: Any) -> None:
        dots = components.nodes["node-1"].dots
        components.disks["node-1"].full = True
        while dots._last < dots._reserved:
            await dots.next()
        status, problem = await asyncio.wait_for(components.ask("node-1", Put("k", b"1")), 10.0)
        assert (status, problem["definite"]) == (503, True)
        assert "dots" in problem["detail"]
        components.disks["node-1"].full = False
        assert (await components.ask("node-1", Put("k", b"1")))[0] == 200

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
