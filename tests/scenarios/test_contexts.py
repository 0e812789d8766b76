"""What contexts cover that were handed out: stories in which it went wrong, found by kvnode/sim/oracle."""

from __future__ import annotations

from typing import Any

from kvnode.operations import Get, Put
from kvnode.sim.loop import run
from kvnode.sim.oracle import Oracle
from kvnode.sim.world import World


async def put(world: World, via: str, value: bytes, **more: Any) -> str:
    """A PUT that must be acknowledged; its context."""
    answer = await world.ask(via, Put("key", value, w=3, **more))
    assert answer is not None and answer[0] == 200, answer
    return str(answer[1]["context"])


def test_an_lww_write_that_gave_way_hands_out_no_context_that_covers_others() -> None:
    """moving-storm, seed 1012. 1. node-1, whose clock is two days ahead, writes with mode=lww. 2. With the clock right
    again, Bob's plain PUT through it replaces that. 3. Alice writes there with mode=lww: acknowledged, and her older
    stamp gives way. 4. She writes under the context that she was answered. It covered all of node-1's writes, so Bob's
    was gone: acknowledged, and replaced by somebody who had never seen it.
    """

    async def scenario() -> list[str]:
        world = World(1)
        oracle = Oracle(world)
        world.observers.append(oracle)
        await world.start()
        world.skew("node-1", 48 * 3_600_000.0)
        await put(world, "node-1", b'"ahead"', mode="lww")
        world.skew("node-1", 0.0)
        await put(world, "node-1", b'"of Bob"')
        token = await put(world, "node-1", b'"of Alice"', mode="lww")
        await put(world, "node-1", b'"of Alice again"', context=world.contexts.read("key", token))
        answer = await world.ask("node-2", Get("key"))
        oracle.ended()
        assert world.failures == [] and oracle.violations == []
        assert answer is not None
        return [sibling["value"] for sibling in answer[1]["siblings"]]

    assert sorted(run(scenario())) == ["of Alice again", "of Bob"]
