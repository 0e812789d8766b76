"""A proposer of the ring's next state: its own promise and acceptance first, then everybody's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from kvnode.config import NodeAddress
from kvnode.messages import Accept, Prepare

Play = Callable[..., None]
JOINER = NodeAddress("node-4", "127.0.0.1", 1, 1)


def carried(components: Any, kind: type) -> int:
    return sum(isinstance(message, kind) for _, _, message in components.wire.carried)


def test_a_proposer_asks_nobody_before_its_own_promise_and_acceptance_are_durable(play: Play) -> None:
    """Else, after a crash, it could begin another proposal under the same ballot."""

    async def scenario(components: Any) -> None:
        node, disk = components.nodes["node-1"], components.disks["node-1"]
        disk.held = True
        components.begin(node.proposer.decide(node.ring.state.join(JOINER)))
        await asyncio.sleep(0.5)
        assert (carried(components, Prepare), carried(components, Accept)) == (0, 0)
        for expected in ((2, 0), (2, 2)):
            disk.release()
            disk.held = True
            await asyncio.sleep(0.2)
            assert (carried(components, Prepare), carried(components, Accept)) == expected
        assert node.ring.state.joining == JOINER.name, "and then it was decided"

    play(scenario)
