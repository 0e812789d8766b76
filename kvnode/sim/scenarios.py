"""Stories that run on a World: each a coroutine from a seed to a Report."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from kvnode.checkers import CounterRead, Ledger, SiblingRead
from kvnode.messages import COUNTER, KV
from kvnode.requests import Add, Count, Get, Put, Request
from kvnode.sim.loop import run
from kvnode.sim.world import World

_KEY_COUNT = 12
_AGREE_S_MAX = 30.0


@dataclass
class Report:
    """What one run came to. violations: each a broken promise in words; the run is fine if there are none."""

    seed: int
    digest: str = ""
    events: int = 0
    virtual_s: float = 0.0
    acknowledged: int = 0
    refused: int = 0
    violations: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)


async def crash_and_restart(seed: int, *, forgets_to_sync: bool = False) -> Report:
    """Writes through all nodes; one node crashes in the middle and comes back; then all replicas must agree.

    Promises checked: each acknowledged value is read back or was superseded by a write that had seen it; each
    counter holds at least what was acknowledged and at most what was sent; all replicas hold the same records.
    forgets_to_sync plants a bug: writes are acknowledged before they are synced, and all nodes crash at once.
    """
    world = World(seed)
    world.forgets_to_sync = forgets_to_sync
    report = Report(seed)
    await world.start()
    client = _Client(world, report)
    writing = [asyncio.ensure_future(client.write_for(8.0, worker)) for worker in range(3)]
    await asyncio.sleep(1.0 + world.chance.random() * 2.0)
    victim = world.chance.choice(world.names)
    world.crash(victim)
    await asyncio.sleep(1.0 + world.chance.random() * 3.0)
    await world.start(victim)
    await asyncio.gather(*writing)
    if forgets_to_sync or world.chance.random() < 0.5:
        for name in world.names:
            world.crash(name)
        await world.start()
    await _until_agreement(world, report)
    await client.check()
    report.violations += [f"a node failed: {error!r}" for error in world.failures]
    report.digest, report.events = world.trace.digest, world.trace.event_count
    report.virtual_s, report.story = world.loop.time(), world.trace.story
    return report


class _Client:
    """Writes values and counters, keeps a ledger of what was acknowledged, and reads it back."""

    def __init__(self, world: World, report: Report) -> None:
        self._world = world
        self._report = report
        self._ledger = Ledger()
        self._totals: dict[tuple[str, str], int] = {}

    async def write_for(self, duration_s: float, worker: int) -> None:
        """Write about 20 times a second through random nodes."""
        chance, loop = self._world.chance, self._world.loop
        end_s, actor, number = loop.time() + duration_s, f"actor-{worker}", 0
        while loop.time() < end_s:
            await asyncio.sleep(chance.expovariate(20.0))
            key, number = f"key-{chance.randrange(_KEY_COUNT)}", number + 1
            node = chance.choice(self._world.names)
            if chance.random() < 0.5:
                await self._put(node, key, f"{actor} {number}")
            else:
                await self._add(node, key, actor)

    async def _put(self, node: str, key: str, text: str) -> None:
        answer = await self._ask(node, Put(key, json.dumps(text).encode()))
        if answer is None:
            self._ledger.indefinite_put(key)
        else:
            self._ledger.acknowledged(answer)

    async def _add(self, node: str, key: str, actor: str) -> None:
        total = self._totals[key, actor] = self._totals.get((key, actor), 0) + 1
        self._ledger.unanswered_counter(key, actor, total)
        if await self._ask(node, Add(key, actor, total, 0)) is not None:
            self._ledger.acknowledged_counter(key, actor, total)

    async def _ask(self, node: str, request: Request) -> dict[str, Any] | None:
        answer = await self._world.ask(node, request)
        if answer is None or answer[0] != 200:
            self._report.refused += 1
            return None
        self._report.acknowledged += 1
        parsed: dict[str, Any] = json.loads(answer[1])
        return parsed

    async def check(self) -> None:
        """Read everything back by quorum and let the ledger judge."""
        reader = self._world.names[0]
        kv_reads: dict[str, list[SiblingRead] | None] = {}
        for key in self._ledger.keys:
            answer = await self._world.ask(reader, Get(key))
            if answer is not None and answer[0] in (200, 404):
                siblings = json.loads(answer[1]).get("siblings", [])
                kv_reads[key] = [SiblingRead.of(sibling) for sibling in siblings]
        counter_reads: dict[str, CounterRead | None] = {}
        for key in self._ledger.counters:
            answer = await self._world.ask(reader, Count(key))
            if answer is not None and answer[0] == 200:
                counter_reads[key] = CounterRead.of(json.loads(answer[1]))
        verdict = self._ledger.check(kv_reads, counter_reads)
        if not verdict.ok:
            self._report.violations += [f"{verdict.claim}: {verdict}", *verdict.evidence]


async def _until_agreement(world: World, report: Report) -> None:
    """Wait, in virtual time and within a bound, until all replicas hold the same records."""
    keys = [f"key-{number}" for number in range(_KEY_COUNT)]
    end_s = world.loop.time() + _AGREE_S_MAX
    while world.loop.time() < end_s:
        await asyncio.sleep(0.25)
        differing = [
            f"{kind}/{key}"
            for kind in (KV, COUNTER)
            for key in keys
            if len({world.node(name).records.durable(kind, key) for name in world.names}) > 1
        ]
        if not differing:
            world.trace.tell(world.loop.time(), "all replicas agree")
            return
    report.violations.append(f"replicas still differ after {_AGREE_S_MAX:.0f} s: {', '.join(differing)}")


def replay(seed: int, *, forgets_to_sync: bool = False) -> Report:
    """Run the scenario of one seed; the same seed gives the same report, digest and all."""
    return run(crash_and_restart(seed, forgets_to_sync=forgets_to_sync))
