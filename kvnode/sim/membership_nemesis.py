"""Nodes that come and go: joins, leaves and removals by force, with crashes in the middle of the handoff.

Every outcome is allowed but one: after peace the ring must be stable, and everybody must know it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from kvnode.errors import KvError
from kvnode.node import Node
from kvnode.ring import STABLE
from kvnode.sim.losses import Losses
from kvnode.sim.world import World

MEMBER_COUNT_MAX = 7
_PATIENCE_S = 6.0


class MembershipNemesis:
    """Asks for changes of the ring, one after the other."""

    def __init__(self, world: World, losses: Losses, *, crashes: bool = True) -> None:
        self._world = world
        self._losses = losses
        self._crashes = crashes

    async def join(self) -> None:
        """A new node joins, or one that has left before; it may crash on the way."""
        world, chance = self._world, self._world.chance
        idle = [name for name in world.running if name not in world.members]
        if idle and chance.random() < 0.5:
            name = chance.choice(idle)
        elif len(world.names) < MEMBER_COUNT_MAX:
            name = world.add()
            await world.start(name)
        else:
            return
        address = world.config.address(name)
        if await self._ask(f"join {name}", lambda node: node.changes.join(address)):
            await self._see_it_through(name, chance.choice((name, name, "")))

    async def leave(self, name: str = "") -> None:
        """A member (any, if it is not named) leaves in good order; somebody may crash on the way."""
        world, chance = self._world, self._world.chance
        if len(world.members) <= world.config.replicas:
            return
        name = name or chance.choice(world.members)
        if await self._ask(f"leave {name}", lambda node: node.changes.leave(name)):
            await self._see_it_through(name, chance.choice((name, *chance.choices(world.members, k=2), "")))

    async def remove(self) -> None:
        """A member dies, and is removed by force; later it comes back and finds itself removed."""
        world, chance = self._world, self._world.chance
        if len(world.members) <= world.config.replicas or len(world.running) < len(world.names):
            return
        name = chance.choice(world.members)
        if name not in world.lives or not self._losses.may_lose(name):
            return
        self._losses.lose(name)
        world.crash(name)
        await asyncio.sleep(chance.uniform(2.0, 3.5))
        if await self._ask(f"remove {name}", lambda node: node.changes.leave(name, force=True)):
            await self._see_it_through(name, "")
            await asyncio.sleep(
                chance.choice((0.0, 4.0))
            )  # long enough for what it keeps to be deleted, and swept
        if name not in world.lives:
            await world.start(name)

    async def _ask(self, what: str, change: Callable[[Node], Coroutine[Any, Any, Any]]) -> bool:
        world = self._world
        via = world.chance.choice(world.names)
        try:
            answer = await world.command(via, change)
        except KvError as error:
            world.tell(f"{what} through {via}: {error.status} {error.detail}")
            world.counts["ring change refused"] += 1
            return False
        world.tell(f"{what} through {via}: {'no answer' if answer is None else 'admitted'}")
        world.counts[f"{what.split()[0]} begun"] += answer is not None
        return answer is not None

    async def _see_it_through(self, name: str, victim: str) -> None:
        """Wait for the end of the change, within a bound; crash the victim on the way."""
        world = self._world
        if victim and self._crashes:
            await asyncio.sleep(world.chance.choice((0.0, 0.1, 0.4)) * world.chance.random())
            if victim in world.lives and not self._is_over():
                world.crash(victim)
                world.counts["crash in a hand-over"] += 1
        end_s = world.loop.time() + world.chance.uniform(1.5, _PATIENCE_S)
        while not self._is_over():
            await asyncio.sleep(0.1)
            if world.loop.time() > end_s:
                break
        if victim and victim not in world.lives:
            await world.start(victim)

    def _is_over(self) -> bool:
        ring = self._world.ring
        return ring is not None and ring.state.phase == STABLE
