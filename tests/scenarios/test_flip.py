"""The end of a change of the members, of which a part of the cluster does not hear."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import structs

from kvnode.faults import LinkRule
from kvnode.requests import Add, Count, Get, Put, Request
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
    was the value of before. Now D must be heard, too, which would say that the ring is another one.
    """

    async def story(seed: int) -> int:
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

    assert sum(run(story(seed)) for seed in range(1, 13)) >= 2
