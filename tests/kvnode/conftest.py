"""Whole nodes without sockets, disks or waiting: virtual time, a loopback network, disks that a test can hold back."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import json
import os
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import Any

import pytest

from kvnode.config import MAINTENANCE_S_MAX, ClusterConfig, MaintenanceConfig, NodeAddress
from kvnode.messages import Message, decode, encode
from kvnode.node import Node
from kvnode.operations import Request
from kvnode.replication.context_tokens import ContextTokens
from kvnode.runtime import Row, Runtime
from kvnode.sim.loop import run
from kvnode.storage import MemoryDisk

SELDOM = MaintenanceConfig(sweep_s=MAINTENANCE_S_MAX, repair_s=MAINTENANCE_S_MAX)
"""Tests begin these works themselves."""
SECRET = "only-the-rooms-know-it"


class LoopClock:
    """runtime.Clock on the running loop's time. slept_ms: how long the computer has slept, in which no timer ran."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.slept_ms = 0.0

    def now_ms(self) -> float:
        return self._loop.time() * 1000.0 + self.slept_ms

    def wall_ms(self) -> float:
        return 1_700_000_000_000.0 + self.now_ms()

    def sleep_ms(self, duration_ms: float) -> Awaitable[None]:
        return asyncio.sleep(duration_ms / 1000.0)

    def call_later_ms(self, delay_ms: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return self._loop.call_later(delay_ms / 1000.0, callback)


class TestDisk(MemoryDisk):
    """A memory disk whose syncs a test can hold back, or make fail as a full disk does."""

    __test__ = False

    def __init__(self) -> None:
        super().__init__()
        self.held = False
        self.full = False
        self._waiting: list[asyncio.Future[None]] = []

    def commit(self, rows: Sequence[Row]) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.full:
            future.set_exception(OSError("database or disk is full"))
            future.exception()
            return future
        if not self.held:
            return super().commit(rows)
        self.apply(rows)
        self._waiting.append(future)
        return future

    def release(self) -> None:
        """End the syncs that are held back."""
        self.held = False
        for future in self._waiting:
            future.set_result(None)
        self._waiting.clear()


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[..., contextlib.AbstractContextManager[None]]:
    """Within it, each file of a log takes `room_bytes` more, writes what fits and then says that the disk is full."""

    @contextlib.contextmanager
    def full(room_bytes: int = 0) -> Iterator[None]:
        ends: dict[int, int] = {}
        real_write = os.pwrite

        def write(file: int, data: bytes, at: int) -> int:
            room = ends.setdefault(file, os.fstat(file).st_size + room_bytes) - at
            if room <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real_write(file, data[:room], at)

        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", write)
            yield

    return full


class Wire:
    """All links: messages pass encoded, in order, on the next turn of the loop, unless a test drops them."""

    def __init__(self) -> None:
        self.receivers: dict[str, Callable[[str, Message], None]] = {}
        self.drops: Callable[[str, str, Message], bool] = lambda sender, receiver, message: False
        self.carried: list[tuple[str, str, Message]] = []
        self.frame_bytes_max = 0

    def send(self, sender: str, receiver: str, message: Message) -> None:
        if self.drops(sender, receiver, message):
            return
        payload = encode(message)
        self.frame_bytes_max = max(self.frame_bytes_max, len(payload))
        self.carried.append((sender, receiver, message))
        asyncio.get_running_loop().call_later(0.0002, self._deliver, sender, receiver, payload)

    def _deliver(self, sender: str, receiver: str, payload: bytes) -> None:
        on_message = self.receivers.get(receiver)
        if on_message is not None:
            on_message(sender, decode(payload))


class Door:
    """runtime.Network of one node."""

    def __init__(self, wire: Wire, node: str) -> None:
        self._wire = wire
        self._node = node

    def send(self, peer: str, message: Message) -> None:
        self._wire.send(self._node, peer, message)


class Components:
    """A cluster of nodes on one loop.

    failures: exceptions of background work; a test of the rooms ends by checking that there are none.
    """

    def __init__(self, node_count: int = 3, *, replicas: int = 3, partitions: int = 64) -> None:
        names = [f"node-{number}" for number in range(1, node_count + 1)]
        addresses = tuple(NodeAddress(name, "127.0.0.1", 1, 1) for name in names)
        config = ClusterConfig(
            "rooms", "rooms", addresses, replicas, partitions, secret=SECRET, maintenance=SELDOM
        )
        self.config = config.check()
        self.contexts = ContextTokens(config.secret, config.cluster_id)
        self.wire = Wire()
        self.disks: dict[str, Any] = {name: TestDisk() for name in names}
        self.nodes: dict[str, Node] = {}
        self.clocks: dict[str, LoopClock] = {}
        self.events: list[tuple[str, str, dict[str, Any]]] = []
        self.failures: list[BaseException] = []
        self._tasks: dict[str, set[asyncio.Task[Any]]] = {}
        self._lives = itertools.count(1)
        self._begun: set[asyncio.Task[Any]] = set()

    async def start(self, *names: str) -> Components:
        for name in names or self.config.names:
            tasks = self._tasks[name] = set()
            clock = self.clocks[name] = LoopClock()
            runtime = Runtime(
                clock,
                Door(self.wire, name),
                self.disks[name],
                random.Random(f"{name}, life {next(self._lives)}"),
                self._spawner(tasks),
                lambda event, name=name, **facts: self.events.append((name, event, facts)),
            )
            node = self.nodes[name] = Node(runtime, self.config, name)
            self.wire.receivers[name] = node.on_message  # before it opens, as real ones
            await node.open()
        return self

    def stop(self, name: str) -> None:
        """The process ends; its disk stays as it is."""
        del self.wire.receivers[name]
        for task in self._tasks[name]:
            task.cancel()

    async def ask(self, name: str, request: Request) -> tuple[int, dict[str, Any]]:
        status, body = await self.nodes[name].serve(request)
        return status, json.loads(body)

    def begin(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do it in the background, whatever comes of it."""
        task = asyncio.get_running_loop().create_task(work)
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)

    def isolate(self, *names: str) -> None:
        """Nothing passes to or from these nodes."""
        self.wire.drops = lambda sender, receiver, message: sender in names or receiver in names

    def heal(self) -> None:
        self.wire.drops = lambda sender, receiver, message: False

    async def until(self, condition: Callable[[], bool], limit_s: float = 60.0) -> None:
        """Let virtual time pass until it holds."""
        end_s = asyncio.get_running_loop().time() + limit_s
        while not condition():
            assert asyncio.get_running_loop().time() < end_s, "it did not come to hold in time"
            await asyncio.sleep(0.05)

    def key_of(self, *owners: str, without: str = "") -> str:
        """A key whose first replicas are these nodes, in this order, and of which one node has no replica."""
        ring = next(iter(self.nodes.values())).ring
        keys = (f"key-{number}" for number in range(10_000))
        lists = ((key, ring.preference_list(key)) for key in keys)
        return next(key for key, list_ in lists if list_[: len(owners)] == owners and without not in list_)

    def _spawner(self, tasks: set[asyncio.Task[Any]]) -> Callable[[Coroutine[Any, Any, None], str], None]:
        def ended(task: asyncio.Task[Any]) -> None:
            tasks.discard(task)
            if not task.cancelled() and task.exception() is not None:
                self.failures.append(task.exception())  # type: ignore[arg-type]

        def spawn(work: Coroutine[Any, Any, None], name: str) -> None:
            task = asyncio.get_running_loop().create_task(work, name=name)
            tasks.add(task)
            task.add_done_callback(ended)

        return spawn


Scenario = Callable[[Components], Coroutine[Any, Any, None]]


@pytest.fixture
def play() -> Callable[..., None]:
    """Play a story on fresh rooms in virtual time; errors in background work or callbacks fail it."""

    def play_(scenario: Scenario, node_count: int = 3, *, replicas: int = 3, partitions: int = 64) -> None:
        async def whole() -> None:
            errors: list[dict[str, Any]] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
            components = Components(node_count, replicas=replicas, partitions=partitions)
            await components.start()
            await scenario(components)
            assert not components.failures
            assert not errors

        run(whole())

    return play_
