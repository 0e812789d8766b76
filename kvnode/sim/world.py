"""A cluster in virtual time: starts, crashes, wipes and restarts nodes, and serves clients' requests."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from kvnode import requests
from kvnode.config import ClusterConfig, NodeAddress
from kvnode.node import Node
from kvnode.runtime import Cancellable, Runtime
from kvnode.sim.disk import Platter, SimDisk
from kvnode.sim.network import SimDoor, SimNetwork, Trace

_EPOCH_MS = 1_700_000_000_000.0


class SimClock:
    """runtime.Clock of one node in one life: after a crash its timers never ring. skew_ms moves its wall clock."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.skew_ms = 0.0
        self.stopped = False

    def now_ms(self) -> float:
        """See runtime.Clock."""
        return self._loop.time() * 1000.0

    def wall_ms(self) -> float:
        """See runtime.Clock."""
        return _EPOCH_MS + self.now_ms() + self.skew_ms

    def sleep_ms(self, duration_ms: float) -> Awaitable[None]:
        """See runtime.Clock."""
        return asyncio.sleep(duration_ms / 1000.0)

    def call_later_ms(self, delay_ms: float, callback: Callable[[], None]) -> Cancellable:
        """See runtime.Clock."""
        return self._loop.call_later(delay_ms / 1000.0, self._ring, callback)

    def _ring(self, callback: Callable[[], None]) -> None:
        if not self.stopped:
            callback()


class _Life:
    """One run of one node, from start to crash."""

    def __init__(self, node: Node, clock: SimClock, door: SimDoor, disk: SimDisk) -> None:
        self.node = node
        self.clock = clock
        self.door = door
        self.disk = disk
        self.tasks: dict[asyncio.Task[Any], None] = {}


class World:
    """N nodes, one network, one disk each, one seeded generator.

    Everything random draws from `chance`, in an order fixed by the event loop: a run is a function of the seed.
    """

    def __init__(self, seed: int, *, node_count: int = 3, replicas: int = 3, partitions: int = 16) -> None:
        self.chance = random.Random(seed)
        self.trace = Trace()
        self.loop = asyncio.get_running_loop()
        self.network = SimNetwork(self.chance, self.trace)
        names = [f"node-{number}" for number in range(1, node_count + 1)]
        addresses = tuple(NodeAddress(name, "127.0.0.1", 1, 1) for name in names)
        self.config = ClusterConfig("sim", "sim", addresses, replicas, partitions).check()
        self.platters = {name: Platter() for name in names}
        self.lives: dict[str, _Life] = {}
        self.failures: list[BaseException] = []
        self.forgets_to_sync = False

    @property
    def names(self) -> tuple[str, ...]:
        """All nodes, running or not."""
        return self.config.names

    def node(self, name: str) -> Node:
        """A running node."""
        return self.lives[name].node

    async def start(self, *names: str) -> None:
        """Start these nodes (all if none is named) on whatever their disks hold."""
        for name in names or self.names:
            clock, door = SimClock(), self.network.door(name)
            disk = SimDisk(self.platters[name], self.chance, forgets_to_sync=self.forgets_to_sync)
            tasks: dict[asyncio.Task[Any], None] = {}
            runtime = Runtime(clock, door, disk, self.chance, self._spawner(name, tasks), self._logger(name))
            life = _Life(Node(runtime, self.config, name), clock, door, disk)
            life.tasks = tasks
            self.lives[name] = life
            self.network.attach(name, life.node.on_message)
            self.trace.tell(self.loop.time(), f"{name} starts")
            await life.node.open()

    def crash(self, name: str) -> None:
        """kill -9 and a power cut at once: tasks, timers, messages and unsynced commits are gone."""
        life = self.lives.pop(name)
        lost = life.disk.crash()
        life.clock.stopped = True
        life.door.open = False
        self.network.detach(name)
        for task in life.tasks:
            task.cancel()
        self.trace.tell(self.loop.time(), f"{name} crashes, {lost} rows not yet synced")

    def wipe(self, name: str) -> None:
        """A dead node's disk is lost."""
        assert name not in self.lives, f"{name} is running"
        self.platters[name] = Platter()
        self.trace.tell(self.loop.time(), f"{name} loses its disk")

    async def ask(self, name: str, request: requests.Request) -> tuple[int, bytes] | None:
        """A client's request through one node; None if the node is down or crashes before it answers."""
        life = self.lives.get(name)
        if life is None:
            return None
        task = self.loop.create_task(life.node.serve(request))
        life.tasks[task] = None
        await asyncio.wait([task])
        life.tasks.pop(task, None)
        return None if task.cancelled() else task.result()

    def _spawner(
        self, name: str, tasks: dict[asyncio.Task[Any], None]
    ) -> Callable[[Coroutine[Any, Any, None], str], None]:
        def ended(task: asyncio.Task[Any]) -> None:
            tasks.pop(task, None)
            error = None if task.cancelled() else task.exception()
            if error is not None:
                self.failures.append(error)
                self.trace.tell(self.loop.time(), f"{name}: {task.get_name()} failed: {error!r}")

        def spawn(work: Coroutine[Any, Any, None], what: str) -> None:
            task = self.loop.create_task(work, name=what)
            tasks[task] = None
            task.add_done_callback(ended)

        return spawn

    def _logger(self, name: str) -> Callable[..., None]:
        def log(event: str, *, level: str = "info", **facts: Any) -> None:
            told = " ".join(f"{fact}={value}" for fact, value in sorted(facts.items()))
            self.trace.tell(self.loop.time(), f"{name}: {event} {told}")

        return log
