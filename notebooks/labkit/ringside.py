"""One look at the ring of a running cluster: who holds what, what is on its way, and what of it has arrived.

What has arrived is measured at the node that takes over: the hash over a partition's records is the same there as at an
owner (its Merkle root). The ring's own count comes later, once enough owners were heard and all of it is on disk.
Must not live here: drawing it (figures/ring.py), and changing it (growth.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kvnode.client import Client
from kvnode.errors import KvError
from labkit.figures.ring import RingNow

Lists = tuple[tuple[str, ...], ...]


def lists_of(ring: Mapping[str, Any]) -> Lists:
    """The owners of each partition, from an answer of GET /ring."""
    return tuple(tuple(owners) for owners in ring["preference_lists"])


def newest_ring(client: Client) -> Mapping[str, Any]:
    """The ring as the node that knows its newest epoch tells it. KvError if no node answers."""
    told: list[Mapping[str, Any]] = []
    problem: KvError | None = None
    for name in client.names:
        try:
            told.append(client.ring(name))
        except KvError as error:
            problem = error
    if not told:
        raise problem or KvError("there is no node to ask")
    return max(told, key=lambda ring: int(ring["epoch"]))


def any_ring(client: Client) -> Mapping[str, Any]:
    """The ring as the first node that answers tells it; it may be one epoch behind. KvError if no node answers."""
    problem: KvError | None = None
    for name in client.names:
        try:
            return client.ring(name)
        except KvError as error:
            problem = error
    raise problem or KvError("there is no node to ask")


def look(
    client: Client, *, rates: Mapping[str, float] | None = None, mine: Mapping[str, int] | None = None
) -> RingNow:
    """The ring now. rates: requests/s by node. mine: keys to be pointed at, with their partitions. KvError."""
    ring = any_ring(client)
    taking = taken_over(ring)
    nodes = tuple(dict.fromkeys([*ring["members"], *taking]))
    return RingNow(
        nodes=nodes,
        lists=lists_of(ring),
        taking=taking,
        arrived={node: _arrived(client, node, ring, parts) for node, parts in taking.items()},
        keys={node: _keys(client, node) for node in nodes},
        rates={node: rate for node, rate in (rates or {}).items() if node in nodes},
        change=str(ring["change"]),
        mine=dict(mine or {}),
    )


def taken_over(ring: Mapping[str, Any]) -> dict[str, frozenset[int]]:
    """By node the partitions that it is to take over; empty while nothing changes."""
    found: dict[str, set[int]] = {}
    for partition, pending in enumerate(ring["pending_lists"] or ()):
        for node in pending:
            found.setdefault(str(node), set()).add(partition)
    return {node: frozenset(parts) for node, parts in sorted(found.items())}


def _arrived(
    client: Client, node: str, ring: Mapping[str, Any], partitions: frozenset[int]
) -> frozenset[int]:
    """Those of the partitions of which the node has just what one of the owners has."""
    here = _roots(client, node)
    if not here:
        return frozenset()
    owners = {owner: _roots(client, owner) for owner in ring["nodes"] if owner != node}
    return frozenset(
        partition
        for partition in partitions
        if any(
            owners[owner] and owners[owner][partition] == here[partition]
            for owner in ring["preference_lists"][partition]
            if owner in owners
        )
    )


def _roots(client: Client, node: str) -> Sequence[str]:
    try:
        return [str(root) for root in client.merkle(node)["roots"]]
    except KvError:
        return ()


def _keys(client: Client, node: str) -> int | None:
    try:
        return int(client.stats(node)["keys"])
    except KvError:
        return None
