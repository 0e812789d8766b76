"""The end of a change of the members, of which a part of the cluster does not hear."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import structs

from kvnode.faults import LinkRule
from kvnode.operations import Add, Count, Get, Put, Request
from kvnode.ring import STABLE
from kvnode.sim.loop import run
from kvnode.sim.oracle import Oracle
from kvnode.sim.world import World

REQUESTS: list[tuple[Request, Request]] = [
    (Put("KEY", b'"new"'), Get("KEY")),
    (Add("KEY", "actor", 2, 0), Count("KEY")),
]


async def _cut_when_nearly_over(world: World, leaver: str) -> tuple[str, str, str] | None:
    """Let a member leave, and cut it and one more owner off before the change is over.

    A key, its owner here, and its owner there, who has not heard that the change is over; None: it is not over.
    """
    await world.command(leaver, lambda node: node.changes.leave(leaver))
    ring = world.node(leaver).ring
    for _ in range(1_000):
        if ring.pending_lists is not None:
            break
        await asyncio.sleep(0.001)
    assert ring.pending_lists is not None
    partition = next(p for p, pending in enumerate(ring.pending_lists) if pending)
    key = next(f"key-{n}" for n in range(10_000) if ring.partition_of(f"key-{n}") == partition)
    here, there = (owner for owner in ring.preference_lists[partition] if owner != leaver)
    assert await world.ask(here, Put(key, b'"old"')) is not None
    await asyncio.sleep(world.chance.uniform(0.0, 0.5))
    cut_off = [there, leaver]
    others = [name for name in world.names if name not in cut_off]
    world.set_rule(cut_off, others, LinkRule(cut=True), "cut")
    world.set_rule(others, cut_off, LinkRule(cut=True), "cut")
    for _ in range(80):
        await asyncio.sleep(0.02)
        if world.node(here).ring.state.phase == STABLE:
            return None if world.node(there).ring.state.phase == STABLE else (key, here, there)
    return None


@pytest.mark.parametrize("requests", REQUESTS)
def test_owners_that_have_not_heard_of_the_end_of_a_change_answer_no_read_without_the_next_owner(
    requests: tuple[Request, Request],
) -> None:
    """1. C leaves; D takes its place. 2. A cut parts B and C from A, D and E: a majority, which ends the change.

    3. A write is acknowledged by A and D. 4. A read through B asks the owners that B knows: B and C answered, and it
    was the value of before. Now two of A, B and D must answer as well, and A and D say that the ring is another.
    """

    async def scenario(seed: int) -> int:
        world = World(seed, node_count=5)
        oracle = Oracle(world)
        world.observers.append(oracle)
        await world.start()
        await asyncio.sleep(1.0)
        found = await _cut_when_nearly_over(world, world.chance.choice(world.names))
        if found is None:
            return 0
        key, here, there = found
        write, read = (structs.replace(each, key=key) for each in requests)
        written = await world.ask(here, write)
        answer = await world.ask(there, read)
        oracle.ended()
        assert oracle.violations == [] and world.failures == []
        assert answer is None or answer[0] == 503, answer
        return written is not None and written[0] == 200

    assert sum(run(scenario(seed)) for seed in range(1, 13)) >= 2


def test_reads_go_on_while_who_takes_over_cannot_be_reached() -> None:
    """1. node-6 is joining. 2. It cannot be reached by node-1, or by anybody. 3. Each read waited for it, two seconds.

    The owners that stay are enough, unless one of them is away: they meet a write of the next ring, were there any.
    """

    async def scenario() -> None:
        world = World(1, node_count=5)
        await world.start()
        joiner = world.add()
        await world.start(joiner)
        await asyncio.sleep(1.0)
        ring = world.node("node-1").ring
        for cut_off in (["node-1"], [name for name in world.names if name != joiner]):
            address = world.config.address(joiner)
            await world.command("node-2", lambda node: node.changes.join(address))  # noqa: B023 called at once
            world.set_rule(cut_off, [joiner], LinkRule(cut=True), "cut")
            while ring.pending_lists is None:  # noqa: ASYNC110 told by a message
                await asyncio.sleep(0.001)
            for number in range(60):
                key = f"key-{number}"
                if joiner in ring.pending(key) and "node-1" in ring.preference_list(key):
                    sent_s = world.loop.time()
                    answer = await world.ask("node-1", Get(key))
                    assert answer is not None and answer[0] == 404, answer
                    assert world.loop.time() - sent_s < 1.0
                    break
            else:
                pytest.fail("no key that node-6 takes over")
            world.heal()
            await world.command("node-2", lambda node: node.changes.leave(joiner))
            while ring.pending_lists is not None:  # noqa: ASYNC110 told by a message
                await asyncio.sleep(0.001)
        assert world.failures == []

    run(scenario())
