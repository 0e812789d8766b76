"""Failure detection alone, at sizes that no laptop runs: 32 to 512 members in virtual time.

`death` measures in how many protocol periods everybody knows of a death; `peace` counts false deaths among healthy
members (loss and slow moments included, if asked for).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Coroutine
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from math import log2
from typing import Any

from kvnode.config import PROBE_PERIOD_MS
from kvnode.faults import LinkRule
from kvnode.membership import ALIVE, DEAD, Member, Members, Swim
from kvnode.messages import Ack, Message, Ping, PingRequest
from kvnode.runtime import Runtime
from kvnode.sim.clock import SimClock
from kvnode.sim.disk import DurableState, SimDisk
from kvnode.sim.gate import Gate
from kvnode.sim.loop import run
from kvnode.sim.network import SimNetwork, Trace

_BOUND = 4.0
"""A death must be known to all within 4 log2(n) periods."""


class SwimCluster:
    """n members that do nothing but watch each other."""

    def __init__(self, count: int, seed: int, *, loss: float = 0.0) -> None:
        self.chance = random.Random(seed)
        self.loop = asyncio.get_running_loop()
        self.network = SimNetwork(self.chance, Trace())
        self.names = [f"node-{number}" for number in range(1, count + 1)]
        self.members: dict[str, Members] = {}
        self.deaths: list[tuple[str, str]] = []
        self._gates: dict[str, Gate] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._loss = LinkRule(loss=loss) if loss else None

    def start(self) -> None:
        """Everybody begins to probe."""
        for name in self.names:
            self._start(name)
        if self._loss is not None:
            for sender in self.names:
                for receiver in self.names:
                    self.network.rules[sender, receiver] = self._loss

    def _start(self, name: str) -> None:
        gate = Gate()
        clock = SimClock(gate)

        def spawn(work: Coroutine[Any, Any, None], what: str) -> None:
            self._tasks.append(self.loop.create_task(work, name=what))
            if len(self._tasks) > 10_000:
                self._tasks = [task for task in self._tasks if not task.done()]

        disk = SimDisk(DurableState(), self.chance, gate)
        runtime = Runtime(clock, self.network.door(name), disk, self.chance, spawn, lambda *_, **__: None)

        def changed(before: Member, after: Member) -> None:
            if after.state == DEAD:
                self.deaths.append((name, after.name))

        members = Members(name, self.names, incarnation=1, wall_ms=clock.wall_ms)
        members.subscribe(changed)
        swim = Swim(runtime, name, members, epoch=lambda: 1, on_epoch=lambda peer, epoch: None)

        def on_message(peer: str, message: Message) -> None:
            swim.heard(peer)
            if isinstance(message, Ping):
                swim.on_ping(peer, message)
            elif isinstance(message, PingRequest):
                swim.on_ping_request(peer, message)
            elif isinstance(message, Ack):
                swim.on_ack(peer, message)

        self.members[name] = members
        self._gates[name] = gate
        self.network.attach(name, gate, on_message)
        spawn(swim.run(), f"{name} probes")

    def kill(self, name: str) -> None:
        """This member is gone."""
        self._gates[name].close()
        self.network.detach(name)


async def death(count: int, seed: int) -> float:
    """How many protocol periods after a death everybody else knows of it."""
    swim_cluster = SwimCluster(count, seed)
    swim_cluster.start()
    await asyncio.sleep(2.0 + swim_cluster.chance.random())
    victim = swim_cluster.chance.choice(swim_cluster.names)
    swim_cluster.kill(victim)
    started_s = swim_cluster.loop.time()
    others = [name for name in swim_cluster.names if name != victim]
    while any(swim_cluster.members[name].state(victim) != DEAD for name in others):
        await asyncio.sleep(0.02)
        assert swim_cluster.loop.time() < started_s + 120.0, (
            f"{victim}'s death is not known to all after 120 s"
        )
    return (swim_cluster.loop.time() - started_s) * 1000.0 / PROBE_PERIOD_MS


async def peace(count: int, seed: int, *, seconds: float = 600.0, loss: float = 0.0) -> int:
    """How often, in so many virtual seconds, somebody healthy was declared dead."""
    swim_cluster = SwimCluster(count, seed, loss=loss)
    swim_cluster.start()
    await asyncio.sleep(seconds)
    states = {member.state for members in swim_cluster.members.values() for member in members}
    return len(swim_cluster.deaths) + (states != {ALIVE} and not loss)


def main(argv: list[str] | None = None) -> int:
    """Measure and compare with the bound; exit status 1 if it is missed."""
    parser = argparse.ArgumentParser(prog="python -m kvnode.sim.membership", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 128, 512])
    parser.add_argument("--seeds", type=int, default=5, help="deaths measured at each size (default 5)")
    parser.add_argument(
        "--peace-s", type=float, default=600.0, help="faultless virtual seconds (default 600)"
    )
    arguments = parser.parse_args(argv)
    failed, began_s = False, time.perf_counter()
    with ProcessPoolExecutor() as pool:
        largest_first = sorted(set(arguments.sizes), reverse=True)
        peaces = {count: pool.submit(_peace, count, arguments.peace_s) for count in largest_first}
        deaths = {count: pool.map(partial(_death, count), range(1, arguments.seeds + 1)) for count in peaces}
        failed = _tell(arguments, {n: sorted(deaths[n]) for n in peaces}, peaces)
    print(f"measured in {time.perf_counter() - began_s:.0f} s")
    return 1 if failed else 0


def _death(count: int, seed: int) -> float:
    return run(death(count, seed))


def _peace(count: int, seconds: float) -> int:
    return run(peace(count, 1, seconds=seconds))


def _tell(
    arguments: argparse.Namespace, deaths: dict[int, list[float]], peaces: dict[int, Future[int]]
) -> bool:
    """Print the measurements; whether a bound was missed."""
    failed = False
    for count in arguments.sizes:
        periods, bound, false_deaths = deaths[count], _BOUND * log2(count), peaces[count].result()
        failed = failed or periods[-1] > bound or false_deaths > 0
        print(
            f"{count:4d} members: a death is known to all after {periods[len(periods) // 2]:.1f} periods"
            f" (median of {len(periods)}, at most {periods[-1]:.1f}; bound {bound:.0f});"
            f" {false_deaths} false deaths in {arguments.peace_s:.0f} faultless seconds",
            flush=True,
        )
    return failed


if __name__ == "__main__":
    sys.exit(main())
