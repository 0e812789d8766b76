"""A folder that has gone back in time is noticed at the start, set aside, and refilled as a lost one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kvnode.faults import LinkRule
from kvnode.messages import Began
from kvnode.operations import Add, Count, Get, Put
from kvnode.sim.loop import run
from kvnode.sim.world import World

CUT = LinkRule(cut=True)


def play(scenario: Callable[[World], Awaitable[None]], *, node_count: int = 3, seed: int = 1) -> None:
    """Run a story on a started cluster, and fail if anything in a node did."""

    async def whole() -> None:
        world = World(seed, node_count=node_count)
        await world.start()
        await scenario(world)
        assert world.failures == []

    run(whole())


async def put(world: World, via: str, key: str, text: str, **more: Any) -> dict[str, Any]:
    """A PUT that must be acknowledged."""
    answer = await world.ask(via, Put(key, f'"{text}"'.encode(), **more))
    assert answer is not None and answer[0] == 200, answer
    return answer[1]


async def ask(world: World, via: str, request: Any) -> tuple[int, dict[str, Any]]:
    """Ask, and insist on some answer."""
    answer = await world.ask(via, request)
    assert answer is not None
    return answer


async def seconds(world: World, count: float) -> None:
    """Let virtual time pass."""

    async def sleep(node: Any) -> None:
        await node.runtime.clock.sleep_ms(1000.0 * count)

    await world.command(world.running[0], sleep)


async def until(world: World, is_so: Callable[[], bool], *, seconds_max: float = 30.0) -> None:
    """Wait for something, within a bound."""
    end_s = world.loop.time() + seconds_max
    while not is_so():
        assert world.loop.time() < end_s, "\n".join(world.trace.log[-30:])
        await seconds(world, 0.1)


async def stop_in_order(world: World, name: str) -> None:
    """SIGTERM: this life hands its name on."""
    await world.command(name, lambda node: node.close())
    world.crash(name)


def put_back(world: World, name: str, older: Any) -> None:
    """The folder is an older copy of itself."""
    world.durable_states[name].tables = older.copy()


def is_whole(world: World, name: str) -> bool:
    """Whether a node runs, is complete, and all members have confirmed its start."""
    return (
        name in world.lives and not world.node(name).incomplete.owned and not world.node(name).starts.untold
    )


@pytest.mark.parametrize("in_order", [True, False])
def test_an_older_folder_is_set_aside_and_neither_dots_nor_writes_are_lost(in_order: bool) -> None:
    """1. node-1's folder is copied. 2. node-1 writes on. 3. The copy is put back. Its dots were issued since: under its
    old name the next writes would be taken for known ones, and dropped.
    """

    async def scenario(world: World) -> None:
        before = [await put(world, "node-1", f"k{n}", "before") for n in range(20)]
        if in_order:
            await stop_in_order(world, "node-1")
        older = world.durable_states["node-1"].tables.copy()
        if in_order:
            await world.start("node-1")
        after = [await put(world, "node-1", f"k{n}", "after") for n in range(20)]
        if in_order:
            assert after[0]["dot"].partition(":")[0] == before[0]["dot"].partition(":")[0]
            await stop_in_order(world, "node-1")
        else:
            world.crash("node-1")
            await world.start("node-1")
            await seconds(world, 2.0)
            world.crash("node-1")
        put_back(world, "node-1", older)
        await world.start("node-1")
        await seconds(world, 5.0)
        again = [await put(world, "node-1", f"k{n}", "again") for n in range(40)]
        dots = [answer["dot"] for answer in (*before, *after, *again)]
        assert len(set(dots)) == len(dots)
        for via in world.names:
            for n in range(40):
                _, body = await ask(world, via, Get(f"k{n}", r=2))
                assert (body.get("value"), body.get("conflict")) == ("again", False), (via, n, body)
        assert world.counts["older folder noticed"] == 1
        await until(world, lambda: is_whole(world, "node-1"))

    play(scenario)


def test_what_was_deleted_and_swept_since_does_not_come_back_with_the_folder() -> None:
    async def scenario(world: World) -> None:
        await put(world, "node-1", "gone", "x", w=3)
        await world.ask("node-1", Add("count", None, 5, 0, 3))
        world.crash("node-1")
        older = world.durable_states["node-1"].tables.copy()
        await world.start("node-1")
        assert (await ask(world, "node-1", Put("gone", None, w=3)))[0] == 200
        await until(world, lambda: world.counts["tombstones swept"] > 0)
        await world.ask("node-1", Add("count", None, 5, 0, 3))
        world.crash("node-1")
        put_back(world, "node-1", older)
        await world.start("node-1")
        await until(world, lambda: is_whole(world, "node-1"))
        await seconds(world, 5.0)
        for via in world.names:
            assert (await ask(world, via, Get("gone", r=2)))[0] == 404
            assert (await ask(world, via, Count("count", 2)))[1]["value"] == 10

    play(scenario)


def test_when_no_member_answers_it_serves_under_a_fresh_name_and_is_set_aside_once_one_does() -> None:
    async def scenario(world: World) -> None:
        first = await put(world, "node-1", "k", "1")
        await stop_in_order(world, "node-1")
        older = world.durable_states["node-1"].tables.copy()
        await world.start("node-1")
        await put(world, "node-1", "k", "2")
        world.crash("node-1")
        put_back(world, "node-1", older)
        others = ("node-2", "node-3")
        world.set_rule(["node-1"], others, CUT, "cut")
        began_s = world.loop.time()
        await world.start("node-1")
        assert world.loop.time() - began_s < 0.5, "a start waits for nobody for long"
        assert world.node("node-1").dots.store != first["dot"].partition(":")[0]
        await seconds(world, 3.0)
        assert not world.counts["older folder noticed"]
        world.heal()
        await until(world, lambda: world.counts["older folder noticed"] > 0 and is_whole(world, "node-1"))
        assert (await ask(world, "node-1", Get("k", r=3)))[1]["value"] == "2"

    play(scenario)


def test_all_folders_put_back_together_are_the_cluster_of_that_time() -> None:
    async def scenario(world: World) -> None:
        await put(world, "node-1", "k", "1", w=3)
        for name in world.names:
            await stop_in_order(world, name)
        older = {name: world.durable_states[name].tables.copy() for name in world.names}
        await world.start()
        await put(world, "node-1", "k", "2", w=3)
        for name in world.names:
            world.crash(name)
            put_back(world, name, older[name])
        await world.start()
        await until(world, lambda: all(is_whole(world, name) for name in world.names))
        assert not world.counts["older folder noticed"]
        assert (await ask(world, "node-2", Get("k", r=3)))[1]["value"] == "1"
        await put(world, "node-1", "k", "3")
        assert (await ask(world, "node-3", Get("k", r=3)))[1]["value"] == "3"

    play(scenario)


def test_crashes_and_lost_disks_of_others_are_not_taken_for_a_folder_that_went_back() -> None:
    async def scenario(world: World) -> None:
        for _ in range(3):
            for name in world.names:
                world.crash(name)
                await world.start(name)
            await seconds(world, 1.5)
        world.crash("node-2")  # it misses that node-1 is another store by now
        world.crash("node-1")
        world.wipe("node-1")
        await world.start("node-1")
        await seconds(world, 2.0)
        world.crash("node-1")
        await world.start("node-1", "node-2")
        await until(world, lambda: all(is_whole(world, name) for name in world.names))
        assert not world.counts["older folder noticed"]

    play(scenario)


@pytest.mark.parametrize("crashes", [False, True])
def test_an_empty_folder_of_a_cluster_that_does_not_say_it_has_run_is_found_out_by_its_members(
    crashes: bool,
) -> None:
    """`founded` in the cluster file says that a cluster has run; one that is written by hand may not. crashes: once
    more, before any member has answered.
    """

    async def scenario(world: World) -> None:
        import msgspec

        await put(world, "node-2", "k", "v", w=3)
        await seconds(world, 2.0)
        world.config = msgspec.structs.replace(world.config, founded=False)
        world.crash("node-1")
        world.wipe("node-1")
        world.set_rule(["node-2", "node-3"], ["node-1"], CUT, "cut")  # nothing reaches it: it asks for ever
        await world.start("node-1")
        await seconds(world, 2.0)
        if crashes:
            world.crash("node-1")
            world.config = msgspec.structs.replace(world.config, founded=False)
            await world.start("node-1")
        world.heal()
        await until(world, lambda: any("replaces_a_lost_store" in line for line in world.trace.log))
        await until(world, lambda: is_whole(world, "node-1"))
        assert (await ask(world, "node-1", Get("k", r=1)))[1]["value"] == "v"

    play(scenario)


def test_a_copy_made_while_the_node_ran_is_noticed_though_it_never_started_anew() -> None:
    """1. node-1's folder is copied while it runs. 2. It writes on for a while, and crashes. 3. The copy is put back."""

    async def scenario(world: World) -> None:
        await put(world, "node-1", "k", "1")
        older = world.durable_states["node-1"].tables.copy()
        for n in range(20):
            await put(world, "node-1", "k", f"later {n}")
            await seconds(world, 0.5)
        world.crash("node-1")
        put_back(world, "node-1", older)
        await world.start("node-1")
        await seconds(world, 3.0)
        assert world.counts["older folder noticed"] == 1
        await until(world, lambda: is_whole(world, "node-1"))

    play(scenario)


def test_a_member_that_was_away_for_very_many_generations_confirms_all_the_same() -> None:
    async def scenario(world: World) -> None:
        await seconds(world, 2.0)
        world.crash("node-3")
        starts = world.node("node-1").starts
        for _ in range(400):
            await world.command("node-1", lambda node: node.starts._begin())
        assert starts.count > 400
        await world.start("node-3")
        await until(world, lambda: not starts.untold)
        assert not world.counts["older folder noticed"]

    play(scenario)


def test_a_member_that_went_back_itself_makes_no_other_set_its_store_aside() -> None:
    """1. node-2's folder is copied. 2. node-1 loses its disk and is refilled; it is known to all. 3. The copy is put
    back where nobody can notice it yet: it remembers a folder of node-1 that was lost long ago.
    """

    async def scenario(world: World) -> None:
        await put(world, "node-1", "k", "1", w=3)
        await seconds(world, 3.0)
        world.crash("node-2")
        older = world.durable_states["node-2"].tables.copy()
        await world.start("node-2")
        await lose_and_refill(world, "node-1")
        world.crash("node-2")
        put_back(world, "node-2", older)
        await world.command("node-1", lambda node: node.starts._begin())  # it has written for five seconds
        world.set_rule(["node-2"], ["node-3"], CUT, "cut")
        components = world.node("node-1")._handlers
        hears, components[Began] = (
            components[Began],
            lambda peer, question: None,
        )  # it is too slow to say what it remembers
        await world.start("node-2")
        await until(world, lambda: not world.node("node-1").starts.untold)
        assert not world.counts["older folder noticed"]
        components[Began] = hears
        world.heal()
        await until(world, lambda: world.counts["older folder noticed"] > 0 and is_whole(world, "node-2"))
        assert not [line for line in world.trace.log if "node-1 begins anew" in line]

    play(scenario)


@pytest.mark.parametrize("node_count", [2, 3])
def test_a_folder_is_noticed_though_all_others_were_replaced_since_it_was_copied(node_count: int) -> None:
    """Who has lost its disk remembers nobody's generations: it is told them again."""

    async def scenario(world: World) -> None:
        first = await put(world, "node-1", "k", "1")
        await stop_in_order(world, "node-1")
        older = world.durable_states["node-1"].tables.copy()
        await world.start("node-1")
        dots = [(await put(world, "node-1", "k", f"{n}"))["dot"] for n in range(20)]
        assert dots[0].partition(":")[0] == first["dot"].partition(":")[0]
        for name in world.names[1:]:
            await lose_and_refill(world, name)
        await seconds(world, 2.0)
        world.crash("node-1")
        put_back(world, "node-1", older)
        await world.start("node-1")
        again = [(await put(world, "node-1", "k", f"again {n}", w=1))["dot"] for n in range(20)]
        assert not set(dots) & set(again)
        await until(world, lambda: world.counts["older folder noticed"] == 1 and is_whole(world, "node-1"))

    play(scenario, node_count=node_count)


async def lose_and_refill(world: World, name: str) -> None:
    """A disk is lost, and all is as before."""
    world.crash(name)
    world.wipe(name)
    await world.start(name)
    await until(world, lambda: all(is_whole(world, each) for each in world.names))
