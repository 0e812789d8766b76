"""Disks that are full, fail, or hold damaged rows: nothing that was acknowledged is lost, and nobody ends of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kvnode.errors import QuorumUnmet
from kvnode.faults import LinkRule
from kvnode.messages import KV
from kvnode.operations import Get, Put
from kvnode.records.records import encode_state
from kvnode.sim.agreement import differing_records
from kvnode.sim.loop import run
from kvnode.sim.world import World
from kvnode.versions import Context, Dot, Siblings


def play(scenario: Callable[[World], Awaitable[None]], *, node_count: int = 3, seed: int = 1) -> None:
    """Run a story on a started cluster, and fail if anything in a node did."""

    async def whole() -> None:
        world = World(seed, node_count=node_count)
        await world.start()
        await scenario(world)
        assert world.failures == []

    run(whole())


def cut(world: World, one: str, *others: str) -> None:
    """No message between one node and these any more."""
    world.set_rule([one], others, LinkRule(cut=True), "cut")
    world.set_rule(others, [one], LinkRule(cut=True), "cut")


async def seconds(world: World, count: float) -> None:
    """Let virtual time pass."""
    await world.command(world.running[0], lambda node: _sleep(node, count))


async def _sleep(node: Any, count: float) -> None:
    await node.runtime.clock.sleep_ms(1000.0 * count)


async def until(world: World, is_so: Callable[[], bool], *, seconds_max: float = 30.0) -> None:
    """Wait for something, within a bound."""
    end_s = world.loop.time() + seconds_max
    while not is_so():
        assert world.loop.time() < end_s, "\n".join(world.trace.log[-30:])
        await seconds(world, 0.1)


def test_a_full_disk_refuses_a_change_of_the_ring_and_says_why() -> None:
    """1. The disk of node-1 is full. 2. It is asked to let node-4 join.

    3. It could not store its vote, and answered 500, "a fault in itself". (Found by moving-storm, seeds 24 and 57.)
    """

    async def scenario(world: World) -> None:
        name = world.add()
        await world.start(name)
        address = world.config.address(name)
        world.durable_states["node-1"].is_full = True
        with pytest.raises(
            QuorumUnmet, match=r"node-1 cannot store its own vote: .*no space left"
        ) as refusal:
            await world.command("node-1", lambda node: node.changes.join(address))
        assert refusal.value.definite is False
        world.durable_states["node-1"].is_full = False
        await world.command("node-1", lambda node: node.changes.join(address))
        await until(world, lambda: name in world.members)

    play(scenario)


def test_writes_that_a_full_disk_refuses_are_nowhere_in_it_and_come_back_by_a_hint() -> None:
    async def scenario(world: World) -> None:
        world.durable_states["node-3"].is_full = True
        answer = await world.ask("node-1", Put("key", b"1"))
        assert answer is not None and answer[0] == 200, answer
        await seconds(world, 0.5)
        assert "node-3" not in answer[1]["acknowledged_by"]
        assert world.lives["node-3"].disk.refused_count > 0
        assert world.node("node-3").records.latest("kv", "key") is None
        world.durable_states["node-3"].is_full = False
        await until(world, lambda: not differing_records(world))

    play(scenario)


def test_a_damaged_row_is_found_and_comes_back_from_the_others() -> None:
    async def scenario(world: World) -> None:
        answer = await world.ask("node-1", Put("key", b"1"))
        assert answer is not None and answer[0] == 200, answer
        await until(world, lambda: not differing_records(world))
        partition = world.node("node-2").ring.partition_of("key")
        assert world.lives["node-2"].disk.damage(partition, "kv/key")
        assert world.durable_states["node-2"].corrupted_rows() == [(partition, "kv/key")]
        await until(world, lambda: world.counts["damaged row found"] == 1)
        await until(world, lambda: not world.node("node-2").incomplete.owned and not differing_records(world))
        read = await world.ask("node-2", Get("key", r=3))
        assert read is not None and read[1]["value"] == 1, read

    play(scenario)


def test_a_damaged_row_that_was_found_on_a_full_disk_is_not_forgotten_by_a_crash() -> None:
    """1. A write is on nodes 2 and 3. 2. Its row on node-3 is damaged, which is found while the disk there is full.

    3. There is room again; node-1, which lacks the write, brings another of that key: a whole row. 4. node-3 crashes.
    5. That it had lost a record was never on its disk: it counted, and a quorum read of 1 and 3 missed the write.
    """

    async def scenario(world: World) -> None:
        cut(world, "node-1", "node-2", "node-3")
        await seconds(world, 4.0)
        answer = await world.ask("node-2", Put("key", b"1"))
        assert answer is not None and set(answer[1]["acknowledged_by"]) == {"node-2", "node-3"}, answer
        node, partition = world.node("node-3"), world.node("node-3").ring.partition_of("key")
        world.durable_states["node-3"].is_full = True
        assert world.lives["node-3"].disk.damage(partition, "kv/key")
        await world.command("node-3", lambda node: node.scrub.once(lambda: 1.0))
        assert node.incomplete.owned == [partition]
        world.durable_states["node-3"].is_full = False
        world.heal()
        cut(world, "node-2", "node-1", "node-3")
        await until(world, lambda: world.node("node-1").members.state("node-3") == "alive")
        answer = await world.ask("node-1", Put("key", b"2"))
        assert answer is not None and set(answer[1]["acknowledged_by"]) == {"node-1", "node-3"}, answer
        world.crash("node-3")
        await world.start("node-3")
        assert world.node("node-3").incomplete.owned == [partition]
        read = await world.ask("node-1", Get("key"))
        assert read is not None and read[0] == 503, "only node-2 has all that was acknowledged"

    play(scenario)


def test_a_damaged_row_does_not_go_before_it_is_on_disk_that_one_is_lost() -> None:
    """1. A row is found damaged while the disk is full: that its partition is incomplete is not on disk yet.

    2. There is room again, and a second row of that partition is found damaged, and deleted. 3. node-3 crashes. 4. It
    had forgotten that it lacked that row, and counted until the scrub came to the first one again.
    """

    async def scenario(world: World) -> None:
        ring = world.node("node-3").ring
        partition = ring.partition_of("key")
        second = next(f"key-{n}" for n in range(1000) if ring.partition_of(f"key-{n}") == partition)
        for key in ("key", second):
            answer = await world.ask("node-1", Put(key, b"1", w=3))
            assert answer is not None and answer[0] == 200, answer
        durable_state, disk = world.durable_states["node-3"], world.lives["node-3"].disk
        durable_state.is_full = True
        assert disk.damage(partition, "kv/key")
        await world.command("node-3", lambda node: node.scrub.once(lambda: 1.0))
        cut(world, "node-3", "node-1", "node-2")
        durable_state.is_full = False
        assert disk.damage(partition, f"kv/{second}")
        world.node("node-3").records.verify(partition, "", 100)
        while durable_state.tables.get("records", partition, f"kv/{second}") is not None:  # noqa: ASYNC110 a disk tells nobody
            await asyncio.sleep(0.001)
        assert durable_state.tables.get("meta", 0, "incomplete") is not None
        world.crash("node-3")
        await world.start("node-3")
        assert world.node("node-3").incomplete.owned == [partition]

    play(scenario)


def test_a_new_store_has_no_name_before_it_is_on_disk_that_it_replaces_another() -> None:
    async def scenario(world: World) -> None:
        world.crash("node-3")
        world.wipe("node-3")
        world.durable_states["node-3"].is_full = True
        await world.start("node-3")
        assert world.running == ["node-1", "node-2"] and world.counts["start refused by a disk"] == 1
        world.durable_states["node-3"].is_full = False
        assert world.durable_states["node-3"].tables.get("meta", 0, "store-id") is None
        await world.start("node-3")
        assert world.durable_states["node-3"].tables.get("meta", 0, "incomplete") is not None
        await until(world, lambda: not world.node("node-3").incomplete.owned)

    play(scenario)


def test_a_node_that_is_told_to_stop_ends_what_it_began_and_keeps_its_name() -> None:
    async def scenario(world: World) -> None:
        before = world.node("node-2").dots.store
        answer = world.loop.create_task(world.ask("node-2", Put("key", b"1")))
        await seconds(world, 0.0)
        assert await world.stop("node-2")
        told = await answer
        assert told is not None and told[0] == 200, told
        assert await world.ask("node-2", Get("key")) is None
        await world.start("node-2")
        assert world.node("node-2").dots.store == before
        assert world.counts["crash"] == 0

    play(scenario)


def test_a_hint_that_a_full_disk_refused_is_shown_to_nobody() -> None:
    """1. node-5 is asked to keep a write for an owner that cannot be reached; its disk is full, and it refuses.

    2. There is room again. 3. Asked what it keeps of that key it showed the hint, which was in memory alone: a crash
    took back what a sloppy read had shown. (Found by sloppy-storm, seed 182.)
    """

    async def scenario(world: World) -> None:
        key = next(
            f"k{n}" for n in range(1000) if "node-5" not in world.node("node-5").ring.preference_list(f"k{n}")
        )
        owner = world.node("node-5").ring.preference_list(key)[0]
        cut(world, owner, *(name for name in world.names if name != owner))
        heard: list[bool] = []
        hints = world.node("node-5").hints
        world.durable_states["node-5"].is_full = True
        hints.keep(owner, KV, key, b"record", heard.append)
        await seconds(world, 0.2)
        assert heard == [False]
        world.durable_states["node-5"].is_full = False
        await seconds(world, 0.2)
        assert hints.kept(KV, key) is None
        hints.keep(owner, KV, key, b"record", heard.append)
        await seconds(world, 0.2)
        assert heard == [False, True] and hints.kept(KV, key) == b"record"

    play(scenario, node_count=5)


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_hint_for_a_node_that_has_left_goes_to_the_owners_though_the_disk_was_full_then(
    is_restarted: bool,
) -> None:
    """1. node-1 keeps a hint for node-4. 2. Its disk is full when it hears that node-4 has left: the hint cannot be
    let go of. 3. It was aimed at node-4 for ever. (Found by wide-storm, seed 594.)"""

    async def scenario(world: World) -> None:
        node = world.node("node-1")
        key = next(f"k{n}" for n in range(1000) if "node-4" in node.ring.preference_list(f"k{n}"))
        record = encode_state(Siblings().write(Dot("node-9.1", 1), b"1", context=Context(), timestamp=1.0)[0])
        cut(world, "node-4", "node-1", "node-2", "node-3")
        assert node.hints.add("node-4", KV, key, record)
        await seconds(world, 0.5)
        moving = node.ring.state.leave("node-4", forced=True)
        for state, is_full in ((moving, False), (moving.completed(), True)):
            world.durable_states["node-1"].is_full = is_full
            for name in ("node-1", "node-2", "node-3"):
                world.node(name).dissemination.adopt(state)
            await seconds(world, 0.5)
        assert node.hints.pending()["node-4"] == 1, "the disk has not let go of it"
        world.durable_states["node-1"].is_full = False
        if is_restarted:
            world.crash("node-1")
            await world.start("node-1")
        await until(world, lambda: not any(world.node("node-1").hints.pending().values()))
        owners = world.node("node-1").ring.preference_list(key)
        assert "node-4" not in owners
        assert all(world.node(owner).records.durable(KV, key) for owner in owners)

    play(scenario, node_count=4)
