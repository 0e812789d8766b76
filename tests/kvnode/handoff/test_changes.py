"""Join, leave and removal on whole nodes in virtual time: what is admitted, what is refused, where data goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from kvnode.errors import Conflict, NotAMember
from kvnode.faults import LinkRule
from kvnode.messages import RingNews, Stale
from kvnode.messages.anti_entropy import CompareRoots
from kvnode.operations import Get, Put
from kvnode.sim.agreement import differing_records
from kvnode.sim.loop import run
from kvnode.sim.scenarios import replay
from kvnode.sim.world import World

KEYS = [f"key-{number}" for number in range(40)]


def play(scenario: Callable[[World], Coroutine[Any, Any, None]], node_count: int = 3, seed: int = 1) -> None:
    async def whole() -> None:
        world = World(seed, node_count=node_count)
        await world.start()
        await scenario(world)
        assert not world.failures

    run(whole())


async def until(condition: Callable[[], bool], limit_s: float = 30.0) -> None:
    end_s = asyncio.get_running_loop().time() + limit_s
    while not condition():
        await asyncio.sleep(0.05)
        assert asyncio.get_running_loop().time() < end_s, "it did not come to hold in time"


def settled(world: World, *members: str) -> Callable[[], bool]:
    """All running nodes know a stable ring of these members, and nothing is left over anywhere."""

    def holds() -> bool:
        nodes = [world.node(name) for name in world.running]
        return all(
            node.ring.nodes == members and node.ring.next is None and not node.cleanup.orphaned
            for node in nodes
        )

    return holds


async def fill(world: World) -> None:
    for number, key in enumerate(KEYS):
        answer = await world.ask(f"node-{1 + number % 3}", Put(key, b"1"))
        assert answer is not None
        assert answer[0] == 200


async def read_all(world: World, via: str) -> None:
    for key in KEYS:
        answer = await world.ask(via, Get(key))
        assert answer is not None
        assert (answer[0], answer[1]["value"], answer[1]["conflict"]) == (200, 1, False)


async def join(world: World, via: str = "node-1") -> str:
    name = world.add()
    await world.start(name)
    address = world.config.address(name)
    await world.command(via, lambda node: node.changes.join(address))
    return name


def test_a_node_joins_takes_its_share_over_and_the_others_let_go_of_it() -> None:
    async def scenario(world: World) -> None:
        await fill(world)
        name = await join(world)
        assert world.node("node-1").ring.state.change == "node-4 is joining"
        await until(settled(world, "node-1", "node-2", "node-3", "node-4"))
        await until(lambda: not differing_records(world))
        held = sum(world.node(each).records.row_count for each in world.names)
        assert held == 3 * len(KEYS), "each key has three replicas, neither more nor less"
        for via in world.names:
            await read_all(world, via)
        assert world.node(name).ring.epoch == 3
        answer = await world.command("node-2", lambda node: node.changes.join(world.config.address(name)))
        assert answer is not None
        assert answer["epoch"] == 3, "asking again changes nothing"

    play(scenario)


def test_a_node_leaves_and_what_it_held_is_with_the_others() -> None:
    async def scenario(world: World) -> None:
        await fill(world)
        await world.command("node-1", lambda node: node.changes.leave("node-2"))
        await until(settled(world, "node-1", "node-3", "node-4"))
        assert world.node("node-2").records.row_count == 0
        await read_all(world, "node-3")
        answer = await world.ask("node-2", Get("key-1"))
        assert answer is not None
        assert (answer[0], answer[1]["definite"]) == (503, True)
        assert "node-2 is not a member any more" in answer[1]["detail"]

    play(scenario, 4)


def test_a_dead_member_is_removed_by_force_and_finds_itself_removed_when_it_comes_back() -> None:
    async def scenario(world: World) -> None:
        await fill(world)
        world.crash("node-4")
        await until(lambda: world.node("node-1").members.state("node-4") == "dead")
        await world.command("node-1", lambda node: node.changes.leave("node-4", force=True))
        await until(settled(world, "node-1", "node-2", "node-3"))
        await read_all(world, "node-2")
        await world.start("node-4")
        await until(lambda: not world.node("node-4").ring.is_member)
        await until(lambda: world.node("node-4").records.row_count == 0)

    play(scenario, 4)


def test_a_joiner_refuses_data_until_it_is_a_member() -> None:
    async def scenario(world: World) -> None:
        name = world.add()
        await world.start(name)
        for request in (Put("k", b"1"), Get("k")):
            answer = await world.ask(name, request)
            assert answer is not None
            assert (answer[0], answer[1]["definite"]) == (503, True)
            assert answer[1]["detail"] == "node-4 is not a member yet; members are node-1, node-2, node-3"
        with pytest.raises(NotAMember, match="ask a member"):
            await world.command(name, lambda node: node.changes.leave("node-1"))

    play(scenario)


def test_of_two_changes_at_once_one_wins_and_the_other_is_told_what_is_under_way() -> None:
    async def scenario(world: World) -> None:
        four, five = world.add(), world.add()
        await world.start(four, five)
        outcomes = await asyncio.gather(
            world.command("node-1", lambda node: node.changes.join(world.config.address(four))),
            world.command("node-2", lambda node: node.changes.join(world.config.address(five))),
            return_exceptions=True,
        )
        [refusal] = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert isinstance(refusal, Conflict)
        assert refusal.definite
        winner = world.node("node-1").ring.state.joining
        assert f"{winner} is joining (epoch 2); one change at a time" in refusal.detail

    for seed in range(1, 6):
        play(scenario, seed=seed)


@pytest.mark.parametrize(
    ("node_count", "leaver", "force", "said"),
    [
        (3, "node-2", False, "2 members would be left, but each key has 3 replicas"),
        (1, "node-1", False, "0 members would be left"),
        (4, "node-9", False, "node-9 is no member; members are node-1, node-2, node-3, node-4"),
        (4, "node-2", True, "node-2 is alive: only a dead member is removed by force"),
    ],
)
def test_a_leave_that_cannot_be_is_refused_and_says_why(
    node_count: int, leaver: str, force: bool, said: str
) -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(Conflict, match=said):
            await world.command("node-1", lambda node: node.changes.leave(leaver, force=force))

    play(scenario, node_count)


def test_a_join_is_called_off_when_the_joiner_dies_and_writes_go_on() -> None:
    async def scenario(world: World) -> None:
        await fill(world)
        await join(world)
        world.set_rule(["node-4"], ["node-1", "node-2", "node-3"], LinkRule(cut=True), "mute joiner")
        world.crash("node-4")
        await until(lambda: "called off" in world.node("node-2").ring.state.note)
        assert world.node("node-2").ring.nodes == ("node-1", "node-2", "node-3")
        await fill(world)

    play(scenario)


def test_the_change_is_over_only_when_the_joiner_holds_all_that_it_takes_over() -> None:
    """1. The joiner can talk to everybody, and fetch from nobody. 2. Were it taken for ready, it would answer reads for
    partitions of which it holds nothing."""

    async def scenario(world: World) -> None:
        await fill(world)
        send = world.network.send

        def no_comparisons(sender: str, receiver: str, message: Any) -> None:
            if not (sender == "node-4" and isinstance(message, CompareRoots)):
                send(sender, receiver, message)

        world.network.send = no_comparisons  # type: ignore[method-assign]
        await join(world)
        await asyncio.sleep(8.0)
        state = world.node("node-1").ring.state
        assert (state.change, world.node("node-4").records.row_count) == ("node-4 is joining", 0)
        world.network.send = send  # type: ignore[method-assign]
        await until(settled(world, "node-1", "node-2", "node-3", "node-4"))
        assert world.node("node-4").records.row_count > 0
        await read_all(world, "node-4")

    play(scenario)


def test_while_a_pending_owner_is_dead_a_write_is_refused_definitely_and_says_why() -> None:
    async def scenario(world: World) -> None:
        await join(world)
        node = world.node("node-1")
        node.members._members["node-4"] = type(node.members._members["node-4"])("node-4", "dead", 0, 0.0)
        key = next(
            key
            for key in KEYS
            if node.ring.pending(key) == ("node-4",) and "node-1" in node.ring.preference_list(key)
        )
        answer = await world.ask("node-1", Put(key, b"1"))
        assert answer is not None
        assert (answer[0], answer[1]["definite"]) == (503, True)
        assert "node-4, known to be dead, takes the partition over" in answer[1]["detail"]

    play(scenario)


def test_a_coordinator_with_an_old_ring_is_told_the_new_one_and_the_same_request_succeeds() -> None:
    """1. Everybody but node-1 learns that node-4 joins. 2. A client writes through node-1, by the old ring.
    3. The replicas refuse with the new ring. 4. node-1 sends the same record to its owners, and the client sees 200.
    """

    async def scenario(world: World) -> None:
        send, told = world.network.send, []

        def hold_back_news(sender: str, receiver: str, message: Any) -> None:
            if receiver == "node-1" and isinstance(message, RingNews):
                return
            if receiver == "node-1" and isinstance(message, Stale):
                told.append(sender)
            send(sender, receiver, message)

        world.network.send = hold_back_news  # type: ignore[method-assign]
        await join(world, via="node-2")
        assert [world.node(name).ring.epoch for name in ("node-1", "node-2")] == [1, 2]
        answer = await world.ask("node-1", Put("key-1", b"1"))
        assert answer is not None
        assert answer[0] == 200
        assert told
        assert world.node("node-1").ring.epoch == 2

    play(scenario)


def test_a_node_that_lost_its_disk_votes_again_after_the_others_renew_the_ring() -> None:
    async def scenario(world: World) -> None:
        world.crash("node-3")
        world.wipe("node-3")
        await world.start("node-3")
        assert not world.node("node-3").acceptor.may_vote
        await until(lambda: world.node("node-3").acceptor.may_vote)
        assert world.node("node-1").ring.state.note == "node-3 has lost its disk, and votes again"
        world.crash("node-2")
        await join(world, via="node-1")
        assert world.node("node-3").ring.state.joining == "node-4", "node-1 and node-3 are a majority"

    play(scenario)


def test_a_change_without_a_majority_is_refused_and_may_still_come() -> None:
    async def scenario(world: World) -> None:
        world.crash("node-2")
        world.crash("node-3")
        name = world.add()
        await world.start(name)
        working = world.loop.create_task(world.node("node-1").changes.join(world.config.address(name)))
        await asyncio.wait([working])
        error: Any = working.exception()
        assert (error.status, error.definite) == (503, False)
        assert "majority=2 unmet: 1 of 3" in error.detail

    play(scenario)


def test_hints_for_a_removed_node_go_to_the_owners() -> None:
    async def scenario(world: World) -> None:
        world.crash("node-4")
        await until(lambda: world.node("node-1").members.state("node-4") == "dead")
        await fill(world)
        assert any(world.node(name).hints.pending() for name in world.running)
        await world.command("node-1", lambda node: node.changes.leave("node-4", force=True))
        await until(settled(world, "node-1", "node-2", "node-3"))
        await until(lambda: not any(world.node(name).hints.pending() for name in world.running))
        assert not differing_records(world)

    play(scenario, 4)


@pytest.mark.parametrize("seed", [1151])
def test_a_proposer_whose_epoch_ends_between_the_phases_spoils_no_later_decision(seed: int) -> None:
    """1. node-1 proposes; a majority promises. 2. Meanwhile another proposal is decided, and node-1 learns it.
    3. It went on to accept its own, outdated value, as if for the new epoch. 4. What followed that epoch could only
    ever be the outdated value: the change stayed under way for ever.
    """
    assert not replay(seed, scenario="moving-storm").violations
