"""Reading notes, each through the first node of its list: how evenly data lies, and how evenly work does.

A program that knows the ring sends each request to a node that has the data ("client-driven coordination", DeCandia et
al., "Dynamo", SOSP 2007, section 6.4). So whoever holds a famous key does its work.
Must not live here: drawing (labkit/figures/balance.py).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from kvnode.client import Client
from kvnode.errors import KvError
from labkit.course.placing import partition_of
from labkit.errors import LabError
from labkit.ringside import lists_of, newest_ring

READS = 300
SEED = 1


@dataclass(frozen=True)
class Shares:
    """By node: the (partition, copy) slots that it holds, and the reads that it answered."""

    copies: dict[str, int]
    reads: dict[str, int]

    @property
    def data_fullest(self) -> float:
        """How many times the mean the fullest node holds."""
        return _fullest(self.copies)

    @property
    def work_fullest(self) -> float:
        """How many times the mean the busiest node answered."""
        return _fullest(self.reads)

    def __repr__(self) -> str:
        return (
            f"{sum(self.reads.values())} reads answered. The fullest node holds {self.data_fullest:.2f} times the "
            f"mean; the busiest one answered {self.work_fullest:.2f} times the mean."
        )


def read_notes(client: Client, keys: Sequence[str], *, famous: float = 0.0, count: int = READS) -> Shares:
    """Read so many keys, each from the first node of its list. famous: the share of reads that want the first key."""
    chance = random.Random(SEED)
    lists = lists_of(newest_ring(client))
    reads: Counter[str] = Counter({node: 0 for owners in lists for node in owners})
    copies = Counter(node for owners in lists for node in owners)
    try:
        for _ in range(count):
            key = keys[0] if chance.random() < famous else chance.choice(keys)
            first = lists[partition_of(key, len(lists))][0]
            client.get(key, node=first)
            reads[first] += 1
    except KvError as error:
        raise LabError(
            "The notes could not be read.", why=str(error), do="run the cell that writes them once more"
        ) from error
    return Shares(dict(sorted(copies.items())), dict(sorted(reads.items())))


def _fullest(counts: dict[str, int]) -> float:
    total = sum(counts.values())
    return max(counts.values()) * len(counts) / total if total else 0.0
