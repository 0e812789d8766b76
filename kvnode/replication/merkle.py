"""Merkle trees: which keys of a partition differ between two replicas, at a cost in proportion to what differs.

Each partition has a tree of three levels: one root, 16 branches, 256 leaves. A leaf is the exclusive-or of the
64-bit checksums of the records under it, so that one write changes it in one step, whatever the order of writes. The
low bits of the same checksum say under which leaf a record stands, so that the disk can find the records of a leaf
without hashing keys; a record that changes moves to another leaf, and the leaf it left then differs too. A node
above hashes its 16 children (Merkle, 1987; DeCandia et al., "Dynamo", 2007, section 4.7) and is worked out when asked.
So is a tree's first state after a start: nothing is read for trees until the first exchange wants to compare them.

Not here: who compares trees with whom, and when (exchange.py).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from hashlib import blake2b

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


class MerkleForest:
    """One tree a partition. Invariant: each leaf of a tree that is built is the xor of the checksums under it.

    load: where a tree that is not built yet comes from; until then changes need not be noted. None: all begin empty.
    """

    def __init__(self, partitions: int, load: Load | None = None) -> None:
        self._load: Load = load or (lambda partition: ())
        self._leaves: list[array[int] | None] = [None] * partitions
        self._upper: dict[int, array[int]] = {}  # the root and the branches, where they are known
        self._changed = [0] * partitions  # which branches have changed since: one bit each
        if load is None:
            for partition in range(partitions):
                self.build(partition)

    def is_built(self, partition: int) -> bool:
        """Whether asking for this tree costs nothing more."""
        return self._leaves[partition] is not None

    def build(self, partition: int) -> int:
        """Build a tree; returns how many records it has."""
        leaves = array("q", _NOTHING)
        count = 0
        for known in self._load(partition):
            leaves[known & (LEAF_COUNT - 1)] ^= known
            count += 1
        self._leaves[partition] = leaves
        self._upper.pop(partition, None)
        self._changed[partition] = 0
        return count

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
            left, entered = before & (LEAF_COUNT - 1), after & (LEAF_COUNT - 1)
            leaves[left] ^= before
            leaves[entered] ^= after
            self._changed[partition] |= 1 << left // FANOUT | 1 << entered // FANOUT

    def root(self, partition: int) -> int:
        """The root of one partition: equal roots mean equal content (but for a chance of 2**-64)."""
        return self._branches(partition)[0]

    def is_empty(self, partition: int) -> bool:
        """Whether nothing is held of one partition."""
        return self._tree(partition).tobytes() == _NOTHING

    def hashes(self, partition: int, level: int) -> tuple[int, ...]:
        """All node hashes of one level; level 0 is the root, level 2 the leaves."""
        if level == 2:
            return tuple(self._tree(partition))
        upper = tuple(self._branches(partition))
        return upper[:1] if level == 0 else upper[1:]

    def _branches(self, partition: int) -> array[int]:
        """The root and the branches; only what has changed since they were asked for last is worked out."""
        known = self._upper.get(partition)
        changed, self._changed[partition] = self._changed[partition], 0
        if known is None:
            known = self._upper[partition] = array("q", bytes(8 * (1 + FANOUT)))
            changed = (1 << FANOUT) - 1
        if changed:
            leaves = self._tree(partition)
            for branch in range(FANOUT):
                if changed >> branch & 1:
                    known[1 + branch] = _hash_of(leaves[branch * FANOUT : (branch + 1) * FANOUT])
            known[0] = _hash_of(known[1:])
        return known


def _hash_of(children: array[int]) -> int:
    return int.from_bytes(blake2b(children.tobytes(), digest_size=8).digest(), "big", signed=True)
