"""Merkle trees: which keys of a partition differ between two replicas, at a cost in proportion to what differs.

Each partition has a tree of three levels: one root, 16 branches, 256 leaves. A leaf is the exclusive-or of the
64-bit checksums of its keys' records, so that one write changes it in one step, whatever the order of writes. A node
above hashes its 16 children (Merkle, 1987; DeCandia et al., "Dynamo", 2007, section 4.7) and is worked out when asked.

Not here: who compares trees with whom, and when (exchange.py).
"""

from __future__ import annotations

from array import array
from hashlib import blake2b

from kvnode.ring import key_hash

FANOUT = 16
LEAF_COUNT = FANOUT * FANOUT
LEVELS = (1, FANOUT, LEAF_COUNT)
"""How many nodes each level has, the root's first."""


def leaf_of(key: str) -> int:
    """The leaf of a key in its partition's tree: the low bits of the hash whose top bits chose the partition."""
    return key_hash(key) & (LEAF_COUNT - 1)


class MerkleForest:
    """One tree a partition. Invariant: each leaf is the xor of the checksums of the records under it."""

    def __init__(self, partitions: int) -> None:
        self._leaves = [array("q", bytes(8 * LEAF_COUNT)) for _ in range(partitions)]
        self._upper: dict[int, tuple[int, ...]] = {}

    def change(self, partition: int, key: str, before: int, after: int) -> None:
        """The record of `key` changed its checksum; 0 stands for no record."""
        self._leaves[partition][leaf_of(key)] ^= before ^ after
        self._upper.pop(partition, None)

    def root(self, partition: int) -> int:
        """The root of one partition: equal roots mean equal content (but for a chance of 2**-64)."""
        return self._branches(partition)[0]

    def hashes(self, partition: int, level: int) -> tuple[int, ...]:
        """All node hashes of one level; level 0 is the root, level 2 the leaves."""
        if level == 2:
            return tuple(self._leaves[partition])
        upper = self._branches(partition)
        return upper[:1] if level == 0 else upper[1:]

    def _branches(self, partition: int) -> tuple[int, ...]:
        known = self._upper.get(partition)
        if known is None:
            leaves = self._leaves[partition]
            branches = tuple(
                _hash_of(leaves[first : first + FANOUT]) for first in range(0, LEAF_COUNT, FANOUT)
            )
            known = self._upper[partition] = (_hash_of(array("q", branches)), *branches)
        return known


def _hash_of(children: array[int]) -> int:
    return int.from_bytes(blake2b(children.tobytes(), digest_size=8).digest(), "big", signed=True)
