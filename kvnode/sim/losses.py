"""How many stores are lost in a run, by the promise's own count: fewer than w until all are complete again.

A store is lost from the moment on at which its disk is, or a row of it is damaged, or its folder is put back, or it is
to be removed by force. It is lost no more when no damaged row stands on its disk and its node says that it is complete,
in a ring that all have settled in, or when it is not a member. What a node says is taken at its word: a store that says
so too early is found out by what is lost next.
"""

from __future__ import annotations

from kvnode.ring import STABLE
from kvnode.sim.world import World


class Losses:
    """The lost stores of one world. count_max: how many the promise allows, which is w - 1.

    Invariant: between two moments at which all stores are complete no more than that are lost; who is complete again
    before the others counts until they are.
    """

    def __init__(self, world: World, *, count_max: int = 1) -> None:
        self._world = world
        self._count_max = count_max
        self._lost: set[str] = set()

    def lose(self, name: str) -> None:
        """This store is lost from now on."""
        self._lost.add(name)
        self._world.counts[f"{len(self._lost)} stores lost at a time"] += len(self._lost) > 1

    def may_lose(self, name: str) -> bool:
        """Whether the promise allows that this store is lost now: it may be lost already, and is lost once more."""
        self._look()
        return name in self._lost or len(self._lost) < self._count_max

    def may_lose_another(self) -> bool:
        """Whether the promise allows for one more that is not lost yet: with w=2, only if none is."""
        self._look()
        return len(self._lost) < self._count_max

    def is_lost(self, name: str) -> bool:
        """Whether this store still counts as lost."""
        self._look()
        return name in self._lost

    def _look(self) -> None:
        if all(self._is_over(name) for name in self._lost):
            self._lost.clear()

    def _is_over(self, name: str) -> bool:
        world = self._world
        ring = world.ring
        if ring is None or ring.state.phase != STABLE:
            return False
        if not all(each in world.lives for each in ring.nodes):
            return False
        if any(world.node(each).ring.settled_epoch != ring.epoch for each in ring.nodes):
            return False
        if name not in ring.nodes:
            return True
        if world.durable_states[name].corrupted_rows():
            return False
        node = world.node(name)
        return not node.incomplete.owned and not node.starts.untold
