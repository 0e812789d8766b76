"""What a replaced store lacks counts nowhere as held: not towards r, not as a source, not by a leaver that deletes.

Five nodes or three, N=3, r=w=2, one disk lost: the promise holds, and each story here once broke it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from kvnode.faults import LinkRule
from kvnode.operations import Add, Count, Get, Put
from kvnode.runtime import Row
from kvnode.sim.bugs import planted
from kvnode.sim.loop import run
from kvnode.sim.world import World

CUT = LinkRule(cut=True)
OTHERS = {"node-3", "node-5"}


def play(scenario: Callable[[World], Awaitable[None]], *, node_count: int, seed: int = 1) -> None:
    """Run a story on a started cluster, and fail if anything in a node did."""

    async def whole() -> None:
        world = World(seed, node_count=node_count, partitions=64)
        await world.start()
        await scenario(world)
        assert world.failures == []

    run(whole())


def cut(world: World, one: str, *others: str) -> None:
    """No message between one node and these any more."""
    world.set_rule([one], others, CUT, "cut")
    world.set_rule(others, [one], CUT, "cut")


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


def is_stable_without(world: World, *names: str) -> bool:
    """Whether all running nodes know a settled ring of which these are no members."""
    rings = [world.node(name).ring for name in world.running]
    return all(
        ring.state.phase == "stable" and ring.settled_epoch == ring.epoch and not {*names} & {*ring.nodes}
        for ring in rings
    )


def keys_of(world: World, *owners: str) -> list[str]:
    """Keys that exactly these nodes hold."""
    ring = world.node(owners[0]).ring
    found = [f"key-{n}" for n in range(2000) if set(ring.preference_list(f"key-{n}")) == set(owners)]
    return found[:80]


async def put(world: World, via: str, key: str, text: str, **more: Any) -> dict[str, Any]:
    """A PUT that must be acknowledged."""
    answer = await world.ask(via, Put(key, f'"{text}"'.encode(), **more))
    assert answer is not None and answer[0] == 200, answer
    return answer[1]


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_replaced_store_is_no_source_when_the_last_holder_leaves(seed: int) -> None:
    """1. node-1 is isolated. 2. PUTs through node-2 are acknowledged by 2 and 4. 3. node-2 loses its disk. 4. node-1 is
    back; node-4 reaches neither 1 nor 2. 5. node-2 starts. 6. node-4, which alone holds the writes, leaves.
    """

    async def scenario(world: World) -> None:
        keys = keys_of(world, "node-1", "node-2", "node-4")
        assert len(keys) > 20
        cut(world, "node-1", *OTHERS, "node-2", "node-4")
        await seconds(world, 4.0)
        for key in keys:
            assert set((await put(world, "node-2", key, key))["acknowledged_by"]) == {"node-2", "node-4"}
        world.crash("node-2")
        world.wipe("node-2")
        world.heal()
        cut(world, "node-4", "node-1", "node-2")
        await seconds(world, 3.0)
        await world.start("node-2")
        await seconds(world, 3.0)
        await world.command("node-4", lambda node: node.changes.leave("node-4"))
        await seconds(world, 6.0)
        world.heal()
        await until(world, lambda: is_stable_without(world, "node-4"))
        await seconds(world, 5.0)
        answers = [await world.ask("node-3", Get(key)) for key in keys]
        found = [answer[1].get("value") for answer in answers if answer is not None]
        lost = [key for key in keys if key not in found]
        assert not lost, f"{len(lost)} of {len(keys)} acknowledged writes are lost, with one lost disk"

    play(scenario, node_count=5, seed=seed)


def test_a_replaced_store_counts_towards_no_r_until_it_is_refilled() -> None:
    """1. node-3 misses writes. 2. They are acknowledged by 1 and 2. 3. node-1 loses its disk. 4. node-2 stands still:
    now node-3 is behind, and node-1 knows nothing.
    """

    async def scenario(world: World) -> None:
        await put(world, "node-1", "gone", "was")
        await put(world, "node-1", "old", "old")
        await world.ask("node-1", Add("count", "a", 1, 0, 3))
        await seconds(world, 1.0)
        cut(world, "node-3", "node-1", "node-2")
        await put(world, "node-1", "old", "new")
        await put(world, "node-1", "fresh", "fresh")
        await world.ask("node-1", Put("gone", None))
        await world.ask("node-1", Add("count", "a", 2, 0, 2))
        world.crash("node-1")
        world.wipe("node-1")
        world.pause("node-2")
        world.heal()
        cut(world, "node-2", "node-1", "node-3")
        await world.start("node-1")
        await seconds(world, 0.5)
        for via in ("node-1", "node-3"):
            for key in ("old", "gone", "fresh"):
                status, body = await ask(world, via, Get(key, r=2))
                assert status == 503, f"r=2 through {via} answered {body} for {key!r}"
                assert body["need"] == 2 > body["got"] and body["definite"]
                assert "node-1 being refilled" in body["detail"]
            status, body = await ask(world, via, Count("count", 2))
            assert status == 503, f"r=2 through {via} answered {body}"
        status, body = await ask(world, "node-1", Get("old", r=1))
        assert status == 200 and body["answered_by"] == ["node-3"] and body["refilling"] == ["node-1"]
        world.resume("node-2")
        world.heal()
        await until(world, lambda: not world.node("node-1").incomplete.owned)
        for via in world.names:
            assert (await ask(world, via, Get("old", r=3)))[1]["value"] == "new"
            assert (await ask(world, via, Get("gone", r=2)))[0] == 404
            assert (await ask(world, via, Get("fresh", r=2)))[1]["value"] == "fresh"
            assert (await ask(world, via, Count("count", 2)))[1]["value"] == 2

    play(scenario, node_count=3)


async def ask(world: World, via: str, request: Any) -> tuple[int, dict[str, Any]]:
    """Ask, and insist on some answer."""
    answer = await world.ask(via, request)
    assert answer is not None
    return answer


def test_with_r_1_a_replaced_store_does_not_answer_for_itself() -> None:
    async def scenario(world: World) -> None:
        await put(world, "node-2", "k", "v", w=3)
        world.crash("node-1")
        world.wipe("node-1")
        cut(world, "node-1", "node-2", "node-3")
        await world.start("node-1")
        status, body = await ask(world, "node-1", Get("k", r=1))
        assert status == 503 and body["definite"], body
        world.heal()
        await until(world, lambda: not world.node("node-1").incomplete)
        assert (await ask(world, "node-1", Get("k", r=1)))[1]["value"] == "v"

    play(scenario, node_count=3)


def test_a_plain_put_or_delete_at_a_store_that_is_being_refilled_still_replaces_and_deletes() -> None:
    """It leaves the coordinating to an owner that knows what there is; alone it would make a sibling."""

    async def scenario(world: World) -> None:
        await put(world, "node-2", "k", "old", w=3)
        await put(world, "node-2", "d", "old", w=3)
        world.crash("node-3")
        world.crash("node-1")
        world.wipe("node-1")
        await world.start("node-1")
        await seconds(world, 3.0)
        assert world.node("node-1").incomplete.owned, "node-3 is dead: nobody knows what it alone may hold"
        answer = await put(world, "node-1", "k", "new")
        assert answer["node"] == "node-2"
        status, refused = await ask(world, "node-1", Put("d", None))  # it deletes what a quorum holds
        assert status == 503 and refused["definite"] and "node-1 being refilled" in refused["detail"]
        await world.start("node-3")
        await until(world, lambda: not world.node("node-1").incomplete)
        assert (await ask(world, "node-1", Put("d", None)))[0] == 200
        _, body = await ask(world, "node-1", Get("k", r=3))
        assert (body["value"], body["conflict"]) == ("new", False)
        assert (await ask(world, "node-1", Get("d", r=3)))[0] == 404

    play(scenario, node_count=3)


@pytest.mark.parametrize("lost", [("node-1", "node-2"), ("node-1", "node-2", "node-3")])
def test_a_cluster_that_lost_more_than_the_promise_allows_comes_back_by_itself(lost: tuple[str, ...]) -> None:
    async def scenario(world: World) -> None:
        await put(world, "node-3", "k", "v", w=3)
        for name in lost:
            world.crash(name)
        for name in lost:
            world.wipe(name)
            await world.start(name)
        await until(world, lambda: not any(world.node(name).incomplete for name in world.names))
        status, body = await ask(world, "node-1", Get("k"))
        assert status == (404 if len(lost) == 3 else 200), body
        await put(world, "node-2", "k", "again")
        assert (await ask(world, "node-1", Get("k", r=3)))[1]["value"] == "again"

    play(scenario, node_count=3)


def test_a_crash_in_the_middle_of_refilling_forgets_nothing() -> None:
    """1. node-1 loses its disk while node-3 is dead, so that it cannot be refilled. 2. It crashes, and starts again."""

    async def scenario(world: World) -> None:
        await put(world, "node-2", "k", "v", w=3)
        world.crash("node-3")
        world.crash("node-1")
        world.wipe("node-1")
        for _ in range(3):
            await world.start("node-1")
            await until(world, lambda: world.node("node-1").refill.waits_for == ("node-3",))
            assert len(world.node("node-1").incomplete.owned) == 64
            world.crash("node-1")
        await world.start("node-1", "node-3")
        await until(world, lambda: not world.node("node-1").incomplete)
        world.crash("node-1")
        await world.start("node-1")
        assert not world.node("node-1").incomplete, "an ordinary crash replaces nothing"

    play(scenario, node_count=3)


def test_an_owner_that_is_dead_for_good_is_waited_for_until_it_is_removed() -> None:
    async def scenario(world: World) -> None:
        keys = keys_of(world, "node-1", "node-2", "node-4")
        for key in keys:
            await put(world, "node-2", key, key, w=3)
        world.crash("node-4")
        world.crash("node-1")
        world.wipe("node-1")
        await world.start("node-1")
        await seconds(world, 5.0)
        assert world.node("node-1").incomplete.owned
        answer = await world.command("node-2", lambda node: node.changes.leave("node-4", force=True))
        assert answer is not None
        await until(world, lambda: is_stable_without(world, "node-4"))
        await until(world, lambda: not world.node("node-1").incomplete.owned)
        for key in keys:
            assert (await ask(world, "node-1", Get(key)))[1]["value"] == key

    play(scenario, node_count=5)


@pytest.mark.parametrize("bug", [None, "let-go-unoffered"])
def test_what_a_leaver_kept_is_taken_by_owners_that_were_replaced_or_restarted_since(bug: str | None) -> None:
    """1. A tombstone is swept. 2. An owner loses its disk, another restarts. 3. node-4 leaves in order, right after a
    write at w=1 that nobody else got: its offer is older than no sweep.
    """

    async def scenario(world: World) -> None:
        await put(world, "node-1", "gone", "x", w=3)
        await world.ask("node-1", Put("gone", None, w=3))
        await until(world, lambda: world.counts["tombstones swept"] > 0)
        world.crash("node-2")
        world.wipe("node-2")
        await world.start("node-2")
        world.crash("node-1")
        await world.start("node-1")
        await until(world, lambda: not world.node("node-2").incomplete.owned)
        await seconds(world, 3.0)
        with planted(bug, world):
            keys = [key for key in keys_of(world, "node-1", "node-2", "node-4") if key != "gone"][:10]
            answer = await world.command("node-3", lambda node: node.changes.leave("node-4"))
            assert answer is not None
            await until(world, lambda: is_stable_without(world, "node-4"))
            for key in keys:  # a straggler: it arrives at the former owner after the flip
                node = world.node("node-4")
                node.records.merge_in("kv", key, _record(key), lambda ok: None)
            await until(world, lambda: not world.node("node-4").cleanup.orphaned)
            assert not world.counts["former member came back too late"]
        found = [(await ask(world, "node-3", Get(key)))[1].get("value") for key in keys]
        assert found == (keys if bug is None else [None] * len(keys)), "a bug that is planted shows"

    play(scenario, node_count=5)


def _record(key: str) -> bytes:
    from kvnode.records.records import encode_state
    from kvnode.versions import Context, Dot, Siblings

    siblings, _ = Siblings().write(
        Dot("node-4.straggler", 1), f'"{key}"'.encode(), context=Context(), timestamp=1.0
    )
    return encode_state(siblings)


def test_removing_a_dead_member_calls_off_the_change_that_waits_for_it() -> None:
    """1. node-4 dies and node-1 loses its disk. 2. node-6 joins, and cannot take over what they alone held. 3. node-4
    is dead for good: it is removed.
    """

    async def scenario(world: World) -> None:
        keys = keys_of(world, "node-1", "node-2", "node-4")
        for key in keys:
            await put(world, "node-2", key, key, w=3)
        name = world.add()
        await world.start(name)
        address = world.config.address(name)
        world.crash("node-4")
        world.crash("node-1")
        world.wipe("node-1")
        await world.start("node-1")
        answer = await world.command("node-3", lambda node: node.changes.join(address))
        assert answer is not None
        await seconds(world, 8.0)
        assert world.node("node-3").ring.state.joining == name, "some of what it takes over is not to be had"
        answer = await world.command("node-3", lambda node: node.changes.leave("node-4", force=True))
        assert answer is not None
        await until(world, lambda: is_stable_without(world, "node-4"))
        await until(world, lambda: not world.node("node-1").incomplete.owned)
        for key in keys:
            assert (await ask(world, "node-1", Get(key)))[1]["value"] == key

    play(scenario, node_count=5)


@pytest.mark.parametrize("is_while_it_asks", [True, False])
def test_a_row_that_is_damaged_while_its_partition_is_refilled_is_fetched_again(
    is_while_it_asks: bool,
) -> None:
    """1. node-3 misses a write, which 1 and 2 acknowledge. 2. node-1 loses its disk, and has the write from node-2.
    3. That row is damaged; what node-2 gave is not all there any more. 4. node-3 is back, and node-1 goes on.
    """

    async def scenario(world: World) -> None:
        cut(world, "node-3", "node-1", "node-2")
        await seconds(world, 3.0)
        await put(world, "node-1", "k", "v")
        world.crash("node-3")
        world.crash("node-1")
        world.wipe("node-1")
        await world.start("node-1")
        node = world.node("node-1")
        await until(world, lambda: node.refill.waits_for == ("node-3",))
        world.heal()
        partition = node.ring.partition_of("k")

        async def damage(node: Any) -> None:
            record, known = node.runtime.disk.get("records", partition, "kv/k")
            node.runtime.disk.apply([Row("records", partition, "kv/k", record[:-1] + b"?", known)])
            node.records._cache.discard("kv/k")
            assert node.records.latest("kv", "k") is None

        async def damage_meanwhile(peer: str, partitions: Iterable[int]) -> Any:
            taken = await take_from(peer, wanted := list(partitions))
            if peer == "node-3" and partition in wanted and not damaged:
                damaged.append(peer)
                await damage(node)
            return taken

        take_from, damaged = node.exchange.take_from, list[str]()
        if is_while_it_asks:
            node.exchange.take_from = damage_meanwhile  # type: ignore[method-assign]
        else:
            await world.command("node-1", damage)
        cut(world, "node-2", "node-1", "node-3")
        await world.start("node-3")
        await seconds(world, 5.0)
        assert partition in node.incomplete
        status, body = await ask(world, "node-3", Get("k"))
        assert status == 503, body
        world.heal()
        await until(world, lambda: not node.incomplete)
        assert (await ask(world, "node-1", Get("k", r=1)))[1]["value"] == "v"

    play(scenario, node_count=3)
