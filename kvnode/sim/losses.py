"""How many stores are lost in a run, by the promise's own count: fewer than w until all are complete again.

A store is lost from the moment on at which its disk is, or its folder is put back, or it is to be removed by force. It
is lost no more when its node says that it is complete, in a ring that all have settled in, or when it is not a member.
What a node says is taken at its word: a store that says so too early is found out by what is lost next.
"""

from __future__ import annotations

from kvnode.ring import STABLE
from kvnode.sim.world import World


class Losses:
    """The lost stores of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lost: set[str] = set()

    def lose(self, name: str) -> None:
        """This store is lost from now on."""
        self._lost.add(name)

    def may_lose_another(self) -> bool:
        """Whether the promise allows for one more: with w=2, only if none is lost."""
        self._lost = {name for name in self._lost if not self._is_over(name)}
        return not self._lost

    def _is_over(self, name: str) -> bool:
        world = self._world
        ring = world.ring
        if ring is None or ring.state.phase != STABLE:
            return False
        if not all(name in world.lives for name in ring.nodes):
            return False
        if any(world.node(each).ring.settled_epoch != ring.epoch for each in ring.nodes):
            return False
        if name not in ring.nodes:
            return True
        node = world.node(name)
        return not node.incomplete.owned and not node.starts.untold
