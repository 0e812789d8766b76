"""The ring: 256 partitions, each with a preference list of N distinct nodes.

A node's claim on a partition is a hash of both names, and the N greatest claims win: rendezvous hashing (Thaler and
Ravishankar, 1998), the form of consistent hashing that needs no virtual nodes. Chance alone would leave the fullest
node some 20 % above the mean, so a node that is full is passed over (Mirrokni et al., "Consistent Hashing with
Bounded Loads", 2018): the bound is 1.15 times the mean.

Adding or removing a node changes only claims of that node, and a few more where the bound bites.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from math import ceil, floor

import msgspec

LOAD_FACTOR_MAX = 1.15


@lru_cache(maxsize=65_536)
def key_hash(key: str) -> int:
    """A stable 64-bit hash of a key: the same in every process and release."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8, person=b"quorum-lab").digest(), "big")


def _claim(node: str, partition: int) -> int:
    return int.from_bytes(blake2b(f"{node}/{partition}".encode(), digest_size=8).digest(), "big")


class Ring(msgspec.Struct, frozen=True):
    """The placement of all partitions on some nodes.

    nodes: the members, sorted. replicas: N. preference_lists[p]: the N nodes that hold partition p, the one whose
    claim is greatest first; all nodes if there are fewer than N.
    Invariant: the nodes of a list differ; no node is in more than 1.15 x the mean number of lists (rounded up).
    """

    nodes: tuple[str, ...]
    replicas: int
    preference_lists: tuple[tuple[str, ...], ...]

    @classmethod
    def build(cls, nodes: Sequence[str], *, replicas: int, partitions: int) -> Ring:
        """Place `partitions` partitions on `nodes`; a pure function of its arguments."""
        members = tuple(sorted(nodes))
        per_list = min(replicas, len(members))
        mean = partitions * per_list / len(members)
        bound = max(ceil(mean), floor(mean * LOAD_FACTOR_MAX))
        load = dict.fromkeys(members, 0)
        lists = []
        for partition in range(partitions):
            by_claim = sorted(members, key=lambda node: _claim(node, partition), reverse=True)
            with_room = [node for node in by_claim if load[node] < bound]
            full = [node for node in by_claim if load[node] >= bound]
            chosen = tuple((with_room + full)[:per_list])
            for node in chosen:
                load[node] += 1
            lists.append(chosen)
        return cls(members, replicas, tuple(lists))

    @property
    def partitions(self) -> int:
        """How many partitions there are (a power of two, fixed when the cluster is created)."""
        return len(self.preference_lists)

    def partition_of(self, key: str) -> int:
        """The partition that `key` falls into: the top bits of its hash."""
        return key_hash(key) * len(self.preference_lists) >> 64

    def preference_list(self, key: str) -> tuple[str, ...]:
        """The nodes that hold `key`, the preferred coordinator first."""
        return self.preference_lists[self.partition_of(key)]

    def walk(self, key: str) -> tuple[str, ...]:
        """All nodes in the order in which a sloppy request goes through them: the owners, then by their claims."""
        partition = self.partition_of(key)
        owners = self.preference_lists[partition]
        others = [node for node in self.nodes if node not in owners]
        return owners + tuple(sorted(others, key=lambda node: _claim(node, partition), reverse=True))

    def slots(self) -> dict[str, int]:
        """How many (partition, replica) slots each node holds."""
        held = dict.fromkeys(self.nodes, 0)
        for preference_list in self.preference_lists:
            for node in preference_list:
                held[node] += 1
        return held

    def partitions_of(self, node: str) -> tuple[int, ...]:
        """The partitions that `node` holds a replica of, in order."""
        return tuple(p for p, owners in enumerate(self.preference_lists) if node in owners)

    def slots_moved_to(self, after: Ring) -> int:
        """How many (partition, replica) slots have another owner in `after`: the copies that must be made."""
        pairs = zip(self.preference_lists, after.preference_lists, strict=True)
        return sum(len(set(new) - set(old)) for old, new in pairs)
