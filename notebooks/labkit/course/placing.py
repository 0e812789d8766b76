"""How partitions find their nodes, in a few lines: what lesson 01 shows, and what its exercises are judged by.

The same as kvnode/ring/ring.py, without its bound on the fullest node (a test compares both). A node's claim on a
partition is a hash of both names, and the greatest claims win: D. G. Thaler, C. V. Ravishankar, "Using Name-Based
Mappings to Increase Hit Rates", IEEE/ACM Transactions on Networking 6 (1), 1998.
Pure.
Must not live here: asking the cluster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b

PARTITIONS = 256
COPIES = 3


def claim(node: str, partition: int) -> int:
    return int.from_bytes(blake2b(f"{node}/{partition}".encode(), digest_size=8).digest(), "big")


def owners(nodes: Sequence[str], partition: int) -> list[str]:
    by_claim = sorted(nodes, key=lambda node: claim(node, partition), reverse=True)
    return by_claim[:3]


def remainder(key: str, n: int) -> int:
    return int.from_bytes(blake2b(key.encode()).digest(), "big") % n


def partition_of(key: str, partitions: int = PARTITIONS) -> int:
    """The partition of a key: the top bits of its hash, as the database computes it."""
    digest = blake2b(key.encode(), digest_size=8, person=b"quorum-lab").digest()
    return int.from_bytes(digest, "big") * partitions >> 64


def successors(key: str, n: int, copies: int = COPIES) -> set[int]:
    """Where `hash % n` puts the copies of a key: there, and on the nodes that follow."""
    first = remainder(key, n)
    return {(first + step) % n for step in range(copies)}


def copied_percent(keys: Iterable[str], n: int, copies: int = COPIES) -> float:
    """From n nodes to n + 1 under `hash % n`: of all copies, how many must be made at a node that had none."""
    new = [len(successors(key, n + 1, copies) - successors(key, n, copies)) for key in keys]
    return 100.0 * sum(new) / (copies * len(new))


def fullest_over_mean(nodes: Sequence[str], partitions: int) -> float:
    """How much more than the mean the fullest node holds, if chance alone decides."""
    held = Counter(node for partition in range(partitions) for node in owners(nodes, partition))
    return max(held.values()) / (sum(held.values()) / len(nodes))
