"""Do all replicas hold the same? Looks at the disks themselves, past everything that a node says."""

from __future__ import annotations

from kvnode.ring import STABLE
from kvnode.sim.world import World


def differing_records(world: World) -> list[str]:
    """The records that are not the same, durably, on all nodes that should hold them; sorted."""
    ring = world.ring
    if ring is None:
        return ["no node is running"]
    if ring.state.phase != STABLE:
        return [f"everything: {ring.state.change}"]
    seen: dict[tuple[int, str], dict[str, bytes]] = {}
    for name in ring.nodes:
        for partition, key, record in world.durable_states[name].tables.rows_of("records"):
            seen.setdefault((partition, key), {})[name] = record
    return [
        key
        for (partition, key), held in sorted(seen.items())
        if len({held.get(owner) for owner in ring.preference_lists[partition]}) > 1
    ]


def held_as_owner(world: World, name: str) -> set[str]:
    """The keys of the records that a node holds, durably, and should."""
    ring = world.ring
    assert ring is not None
    rows = world.durable_states[name].tables.rows_of("records")
    return {key for partition, key, _ in rows if name in ring.preference_lists[partition]}


def held_by_others(world: World, name: str) -> set[str]:
    """The keys of the records that any other owner holds: the rest was reaped."""
    return set().union(*(held_as_owner(world, other) for other in world.members if other != name))
