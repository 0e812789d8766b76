"""A quorum write through whole nodes: acknowledged when it is durable, refused with need and got."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from kvnode.messages import Fetched, Stored
from kvnode.operations import Add, Count, Get, Put

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
