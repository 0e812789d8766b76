"""Merkle trees: which keys of a partition differ between two replicas, at a cost in proportion to what differs.

Each partition has a tree of three levels: one root, 16 branches, 256 leaves. The low bits of a record's 64-bit
checksum say under which leaf it stands, so that the disk can find the records of a leaf without hashing keys; a record
that changes moves to another leaf, and the leaf it left then differs too.

Every node is the exclusive-or of the checksums of all records under it, whatever the order of writes. So a write
changes roots and leaves in one step, and to ask for all roots costs next to nothing, however much was written. It
also means that where two nodes differ by a single record, their difference *is* its checksum
(anti_entropy/exchange.py). Merkle (1987) hashes the children's hashes instead; Cassandra's trees are like these. What
is lost: who chooses the records with that aim can make two contents look alike (Bellare and Micciancio, "A New
Paradigm for Collision-free Hashing", 1997, on XHASH). By chance it happens to one comparison in 2**64.

A tree's first state after a start is worked out when asked: nothing is read for trees until the first exchange wants
to compare them.

Must not live here: who compares trees with whom, and when (anti_entropy/exchange.py, anti_entropy/schedule.py).
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Iterable
from functools import reduce
from operator import xor

from kvnode.config import ASKED_SHARE, FOREST_ROWS, FOREST_SHARE
from kvnode.runtime import Clock
from kvnode.throttle import Throttle

FANOUT = 16
LEAF_COUNT = FANOUT * FANOUT
LEVELS = (1, FANOUT, LEAF_COUNT)
"""How many nodes each level has, the root's first."""

_NOTHING = bytes(8 * LEAF_COUNT)

Load = Callable[[int], Iterable[int]]
"""The checksum of every record in a partition, as it is now."""


def leaf_of(checksum: int) -> int:
    """The leaf of a record in its partition's tree."""
    return checksum & (LEAF_COUNT - 1)


def children_of(parents: Iterable[int]) -> list[int]:
    """The places, on the next level, of all that stands right under these nodes."""
    return [parent * FANOUT + child for parent in parents for child in range(FANOUT)]


class MerkleForest:
    """One tree a partition. Invariant: each leaf of a tree that is built, and its root, is the xor of what is under it.

    load: where a tree that is not built yet comes from; until then changes need not be noted. None: all begin empty.
    """

    def __init__(self, partitions: int, load: Load | None = None) -> None:
        self._load: Load = load or (lambda partition: ())
        self._leaves: list[array[int] | None] = [None] * partitions
        self._roots = array("q", bytes(8 * partitions))
        self._building = asyncio.Lock()
        if load is None:
            for partition in range(partitions):
                self.build(partition)

    def is_built(self, partition: int) -> bool:
        """Whether asking for this tree costs nothing more."""
        return self._leaves[partition] is not None

    def build(self, partition: int) -> int:
        """Build a tree; returns how many records it has."""
        leaves = [0] * LEAF_COUNT
        count = 0
        for known in self._load(partition):
            leaves[known & (LEAF_COUNT - 1)] ^= known
            count += 1
        self._leaves[partition] = array("q", leaves)
        self._roots[partition] = reduce(xor, leaves)
        return count

    async def build_all(self, clock: Clock, *, is_asked: bool = False) -> None:
        """Build the trees that nobody asked for yet: slowly, but for a client who has asked and waits."""
        if is_asked:
            await self._build_rest(Throttle(clock, FOREST_ROWS, lambda: ASKED_SHARE))
        else:
            async with self._building:  # whoever else wants them waits for the same work
                await self._build_rest(Throttle(clock, FOREST_ROWS, lambda: FOREST_SHARE))

    async def _build_rest(self, throttle: Throttle) -> None:
        for partition in range(len(self._leaves)):
            if not self.is_built(partition):
                throttle.budget -= self.build(partition)
                await throttle.rest()

    def _tree(self, partition: int) -> array[int]:
        leaves = self._leaves[partition]
        if leaves is None:
            self.build(partition)
            leaves = self._leaves[partition]
            assert leaves is not None
        return leaves

    def change(self, partition: int, before: int, after: int) -> None:
        """A record changed its checksum; 0 stands for no record."""
        leaves = self._leaves[partition]
        if leaves is not None:
            leaves[before & (LEAF_COUNT - 1)] ^= before
            leaves[after & (LEAF_COUNT - 1)] ^= after
            self._roots[partition] ^= before ^ after

    def root(self, partition: int) -> int:
        """The root of one partition: equal roots mean equal content (but for a chance of 2**-64)."""
        if self._leaves[partition] is None:
            self.build(partition)
        return self._roots[partition]

    def is_empty(self, partition: int) -> bool:
        """Whether nothing is held of one partition."""
        return self._tree(partition).tobytes() == _NOTHING

    def hashes(self, partition: int, level: int) -> tuple[int, ...]:
        """All nodes of one level; level 0 is the root, level 2 the leaves."""
        leaves, under = self._tree(partition), LEAF_COUNT // LEVELS[level]
        return tuple(reduce(xor, leaves[first : first + under]) for first in range(0, LEAF_COUNT, under))
