"""Stories that run on a World: each from a seed to a Report."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from dataclasses import dataclass, field

from kvnode.errors import KvError
from kvnode.membership import ALIVE
from kvnode.messages import KV
from kvnode.records.records import encode_state
from kvnode.ring import STABLE
from kvnode.sim.agreement import differing_records
from kvnode.sim.bugs import HINTS_ALONE, OF_LEAVES, OF_MOVES, only_hints, planted
from kvnode.sim.client import Client
from kvnode.sim.loop import run
from kvnode.sim.nemesis import CRASHES, LOSSES, Nemesis
from kvnode.sim.oracle import Oracle
from kvnode.sim.world import World
from kvnode.versions import Context, Dot, Siblings

_WORKER_COUNT = 5
_RATE = 30.0
_AGREE_S_MAX = 30.0
_VIRTUAL_S_MAX = 300.0
_COARSE_CLOCK_MS = 2_000.0


@dataclass
class Report:
    """What one run came to. violations: each a broken promise in words; the run is fine if there are none."""

    seed: int
    digest: str = ""
    events: int = 0
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    acknowledged: int = 0
    refused: int = 0
    violations: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


async def crash_and_restart(seed: int, bug: str | None = None) -> Report:
    """The shortest story: writes, one crash in the middle, a restart, sometimes a crash of all; then agreement."""
    world = _watched(World(seed))
    client = Client(world)
    with planted(bug, world):
        await world.start()
        work = [
            asyncio.ensure_future(client.work(8.0, worker, rate=_RATE / _WORKER_COUNT)) for worker in range(5)
        ]
        await asyncio.sleep(1.0 + world.chance.random() * 2.0)
        victim = world.chance.choice(world.names)
        world.crash(victim)
        await asyncio.sleep(1.0 + world.chance.random() * 3.0)
        await world.start(victim)
        await asyncio.gather(*work)
        if world.chance.random() < 0.5:
            for name in world.names:
                world.crash(name)
            await world.start()
        violations = await _until_agreement(world)
        await client.judge(world.names[0])
    return _report(seed, world, client, violations)


async def storm(seed: int, bug: str | None = None) -> Report:
    """Twenty seconds of everything: crashes, pauses, partitions, loss, delay, skew, slow and lost disks.

    Three nodes, or (in a third of the seeds) five with N=3, so that requests are forwarded too; then nodes join and
    leave. In one seed of eight hints are the only repair: then no coordinator crashes (it would take the writes it has
    not yet hinted along), and nobody moves.
    """
    if bug in OF_MOVES:
        return await moving_storm(seed, bug)
    if bug in OF_LEAVES:
        return await last_holder_leaves(seed, bug)
    return await _storm(
        seed, bug, _Storm(node_count=5 if seed % 3 == 0 else 3, moving=3 if seed % 3 == 0 else 0)
    )


async def moving_storm(seed: int, bug: str | None = None) -> Report:
    """The same, with nodes that come and go all the time: four or five to begin with, up to seven.

    Where hints are the only repair, what a new owner holds has come by the handoff alone.
    """
    return await _storm(seed, bug, _Storm(node_count=4 + seed % 2, moving=6))


async def sloppy_storm(seed: int, bug: str | None = None) -> Report:
    """Five nodes with N=3, and most requests sloppy: fallbacks acknowledge for owners that cannot be reached.

    No disk is lost, as the hints of fallbacks would be lost with it. Then everything must be there in the end.
    """
    return await _storm(seed, bug, _Storm(node_count=5, moving=0, sloppy_share=0.7))


async def wide_storm(seed: int, bug: str | None = None) -> Report:
    """Five replicas of each key, and most requests with r=w=3: then two stores may be lost at a time, and are.

    Five nodes, or (in a third of the seeds) six that come and go.
    """
    moving = seed % 3 == 0
    return await _storm(
        seed, bug, _Storm(node_count=6 if moving else 5, moving=3 * moving, replicas=5, quorum=3)
    )


@dataclass(frozen=True)
class _Storm:
    """What a storm rages over. moving: how many nodes come and go; quorum: the r and w of most requests (None: any)."""

    node_count: int
    moving: int
    sloppy_share: float = 0.0
    replicas: int = 3
    quorum: int | None = None


async def _storm(seed: int, bug: str | None, storm: _Storm) -> Report:
    moving, sloppy_share, quorum = storm.moving, storm.sloppy_share, storm.quorum
    world = _watched(World(seed, node_count=storm.node_count, replicas=storm.replicas))
    client = Client(world, sloppy_share=sloppy_share, quorum=quorum)
    nemesis = Nemesis(world, losses_max=1 if quorum is None else quorum - 1)
    if seed % 4 == 3:
        world.wall_step_ms = _COARSE_CLOCK_MS
        world.counts["coarse clocks"] += 1
    if sloppy_share:
        nemesis.spare(*LOSSES)
    hints_alone = bug in HINTS_ALONE or bug in OF_MOVES or seed % 8 == 5
    if moving and (moving > 1 or not hints_alone):
        nemesis.move(moving, crashes=not hints_alone)
    if hints_alone:
        world.on_start = only_hints
        nemesis.spare(*CRASHES, "one-way cut", "loss", "full disk", "failing writes", *LOSSES)
    if bug in HINTS_ALONE:
        nemesis.spare("delay", "slow disk", "lie")  # nobody misses a write by these
    with planted(bug, world):
        await world.start()
        work = [
            asyncio.ensure_future(client.work(20.0, worker, rate=_RATE / _WORKER_COUNT))
            for worker in range(_WORKER_COUNT)
        ]
        await nemesis.work(20.0)
        await asyncio.gather(*work)
        violations = await _until_agreement(world)
        await client.judge(world.chance.choice(world.members))
    world.counts["hints alone"] += hints_alone
    return _report(seed, world, client, nemesis.violations + violations)


async def last_holder_leaves(seed: int, bug: str | None = None) -> Report:
    """Five nodes, N=3: one owner misses writes, another loses its disk, and the third, which alone has them, leaves.

    It reaches neither of them meanwhile; who takes over does. One disk is lost: nothing may be. When it has left, one
    more write reaches it that nobody else got, a straggler of the time before: it must hand that on, too.
    """
    world = _watched(World(seed, node_count=5))
    client, nemesis, chance = Client(world), Nemesis(world), world.chance
    with planted(bug, world):
        await world.start()
        owners = list(world.node("node-1").ring.preference_lists[chance.randrange(world.config.partitions)])
        chance.shuffle(owners)
        behind, lost, holder = owners
        work = [
            asyncio.ensure_future(client.work(18.0, worker, rate=_RATE / _WORKER_COUNT))
            for worker in range(_WORKER_COUNT)
        ]
        await asyncio.sleep(chance.uniform(1.0, 3.0))
        nemesis.disks.cut(behind, *world.names)
        await asyncio.sleep(chance.uniform(2.0, 4.0))
        nemesis.losses.lose(lost)
        world.crash(lost)
        world.wipe(lost)
        world.heal()
        nemesis.disks.cut(holder, behind, lost)
        await asyncio.sleep(chance.uniform(0.5, 3.0))
        await world.start(lost)
        await asyncio.sleep(chance.uniform(0.5, 2.5))
        via = chance.choice([name for name in world.names if name not in owners] + [holder])
        with contextlib.suppress(KvError):
            await world.command(via, lambda node: node.changes.leave(holder))
        await asyncio.sleep(chance.uniform(2.0, 5.0))
        await nemesis.make_peace()
        await asyncio.gather(*work)
        straggler = await _late_write(world, holder)
        violations = await _until_agreement(world)
        if straggler and not world.counts["former member came back too late"]:
            violations += await _not_handed_on(world, straggler)
        await client.judge(chance.choice(world.members))
    return _report(seed, world, client, violations)


async def _late_write(world: World, holder: str) -> str | None:
    """Let a write arrive at a node that has left in order; the key, or None if it does not leave."""
    node, end_s = world.node(holder), world.loop.time() + _AGREE_S_MAX
    while node.ring.is_member or node.ring.state.phase != STABLE:
        if world.loop.time() > end_s or node.ring.state.phase == STABLE:
            return None  # the change was refused, or called off
        await asyncio.sleep(0.25)
    version = Dot(f"{holder}.straggler", 1)
    siblings, _ = Siblings().write(version, b'"late"', context=Context(), timestamp=1.0)
    node.records.merge_in(KV, "straggler", encode_state(siblings), lambda is_durable: None)
    world.counts["straggler at a former member"] += 1
    return "straggler"


async def _not_handed_on(world: World, key: str) -> list[str]:
    """A violation for each owner that has not got what a former member kept."""
    owners = world.node(world.members[0]).ring.preference_list(key)
    lacking = [owner for owner in owners if world.node(owner).records.durable(KV, key) is None]
    return [f"{owner} was never given kv/{key}, which a former member kept" for owner in lacking]


async def _until_agreement(world: World) -> list[str]:
    """Wait, in virtual time and within a bound, until the disks agree and nothing is left to do."""
    end_s = world.loop.time() + _AGREE_S_MAX
    while world.loop.time() < end_s:
        await asyncio.sleep(0.25)
        differing, waiting = differing_records(world), _waiting(world)
        if not differing and not waiting:
            world.tell("all replicas agree")
            return []
    if differing:
        return [f"replicas still differ after {_AGREE_S_MAX:.0f} s of peace: {', '.join(differing)}"]
    return [f"after {_AGREE_S_MAX:.0f} s of peace there still wait: {', '.join(waiting)}"]


def _waiting(world: World) -> list[str]:
    """What should be over once there is peace: queues that are not empty, members that are not believed alive."""
    waiting = []
    for name in world.running:
        hints = sum(world.node(name).hints.pending().values())
        if hints:
            waiting.append(f"{hints} hints at {name}")
        not_alive = [member.name for member in world.node(name).members if member.state != ALIVE]
        if not_alive:
            waiting.append(f"{name} believes {', '.join(not_alive)} not alive")
        incomplete = world.node(name).incomplete.owned
        if incomplete:
            waiting.append(f"{len(incomplete)} incomplete partitions at {name}")
        orphaned = world.node(name).cleanup.orphaned
        if orphaned:
            waiting.append(f"{len(orphaned)} left-over partitions at {name}")
    epochs = {world.node(name).ring.settled_epoch for name in world.running}
    if len(epochs) > 1:
        waiting.append(f"epochs {sorted(epochs)}")
    return waiting


def _watched(world: World) -> World:
    """The world with an oracle that judges whatever happens in it."""
    world.observers.append(Oracle(world))
    return world


def _report(seed: int, world: World, client: Client, violations: list[str]) -> Report:
    violations = violations + client.violations + [f"a node failed: {error!r}" for error in world.failures]
    for observer in world.observers:
        observer.ended()
        violations += observer.violations
    if world.network.unreadable_count:
        violations.append(f"{world.network.unreadable_count} messages of nodes could not be read")
    counts = world.counts
    counts["message doubled"] = world.network.doubled_count
    counts["message lost"] = world.network.lost_count
    counts["message overtaken"] = world.network.reordered_count
    counts["message refused as too old"] = world.network.refused_count
    for name in world.running:
        node = world.node(name)
        counts["hint delivered"] += node.hints.delivered_count
        counts["read repair"] += node.observer.read_repair_count
        counts["request forwarded"] += node.router.forwarded_count
        counts["record let go"] += node.cleanup.dropped_count
        counts["context entry pruned"] += node.pruning.pruned_count
        counts["partition refilled"] += node.incomplete.refilled_count
        counts["forwarded request doubled"] += node.router.duplicates.doubled_count
    counts["ring of another epoch"] = 0 if world.ring is None else world.ring.epoch - 1
    return Report(
        seed=seed,
        digest=world.trace.digest,
        events=world.trace.event_count,
        virtual_s=world.loop.time(),
        acknowledged=client.acknowledged,
        refused=client.refused,
        violations=violations,
        log=world.trace.log,
        counts=counts,
    )


SCENARIOS = {
    "storm": storm,
    "moving-storm": moving_storm,
    "sloppy-storm": sloppy_storm,
    "wide-storm": wide_storm,
    "crash-and-restart": crash_and_restart,
    "last-holder-leaves": last_holder_leaves,
}


def replay(seed: int, *, scenario: str = "storm", bug: str | None = None) -> Report:
    """Run one seed of a scenario; the same seed gives the same report, digest and all."""

    async def bounded() -> Report:
        try:
            return await asyncio.wait_for(SCENARIOS[scenario](seed, bug), _VIRTUAL_S_MAX)
        except TimeoutError:
            return Report(seed, violations=[f"did not end within {_VIRTUAL_S_MAX:.0f} virtual seconds"])

    began_s = time.process_time()
    report = run(bounded())
    report.cpu_s = time.process_time() - began_s
    return report
