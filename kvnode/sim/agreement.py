"""Do all replicas hold the same? Looks at the disks themselves, past everything that a node says."""

from __future__ import annotations

from kvnode.sim.world import World


def differing_records(world: World) -> list[str]:
    """The records that are not the same, durably, on all nodes that should hold them; sorted."""
    seen: dict[tuple[int, str], dict[str, bytes]] = {}
    for name in world.names:
        for partition, key, record in world.platters[name].tables.rows_of("records"):
            seen.setdefault((partition, key), {})[name] = record
    ring = world.node(world.running[0]).ring if world.running else None
    if ring is None:
        return ["no node is running"]
    return [
        key
        for (partition, key), held in sorted(seen.items())
        if len({held.get(owner) for owner in ring.preference_lists[partition]}) > 1
    ]
