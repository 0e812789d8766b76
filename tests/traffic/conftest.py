"""Virtual time for the generator (hours of traffic in milliseconds), and a bench for drivers."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest

from traffic.clock import Runtime
from traffic.load.driver import Driver, Limits, Schedule, Settings
from traffic.load.executor import Target
from traffic.nodes.convergence import Convergence
from traffic.nodes.health import HealthPoller
from traffic.nodes.table import NodeTable
from traffic.operations import Add, Count, Get, Operation, Put
from traffic.stores.base import CounterReply, Reply
from traffic.stores.memory import MemoryStore
from traffic.verify.totals import RunningTotals
from traffic.verify.write_ledger import WriteLedger
from traffic.workloads.base import Workload

WALL_S = 1_790_000_000.0


class _Jumping(selectors.SelectSelector):
    """A selector that never waits: it moves the clock to the next timer instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise AssertionError("the loop waits for something that no timer will bring")
        self.now_s += max(timeout, 0)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.jumping = _Jumping()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.now_s

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """At once, on this thread: a real thread would end at a moment of its own."""
        future = self.create_future()
        future.set_result(func(*args))
        return future


@pytest.fixture
def in_virtual_time() -> Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]:
    """Runs a coroutine function to its end on a loop whose clock jumps."""

    def run(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(main())

    return run


class OnlyLikes(Workload):
    """A workload of likes on one hot key."""

    name = "likes"
    kinds: tuple[str, ...] = ("like",)

    def __init__(self) -> None:
        self.liked = 0

    def next_operation(self, now_s: float) -> Operation:
        return Add(kind="like", persona="ada", key="tweet/1/likes")

    def answered(self, operation: Operation, reply: Reply, now_s: float) -> None:
        self.liked += 1


class OnlyPuts(OnlyLikes):
    kinds = ("tweet",)

    def __init__(self) -> None:
        super().__init__()
        self.issued = 0

    def next_operation(self, now_s: float) -> Operation:
        self.issued += 1
        return Put(kind="tweet", persona="ada", key=f"tweet/{self.issued}", value="{}")


class UpsAndDowns(OnlyLikes):
    """Adds 3, takes 1 away, counts, and so on."""

    kinds = ("add", "take", "count")

    def __init__(self) -> None:
        super().__init__()
        self.issued = 0
        self.seen: list[int] = []

    def next_operation(self, now_s: float) -> Operation:
        self.issued += 1
        if self.issued % 3 == 0:
            return Count(kind="count", persona="ada", key="stock/1")
        kind, amount = ("add", 3) if self.issued % 3 == 1 else ("take", -1)
        return Add(kind=kind, persona="ada", key="stock/1", amount=amount)

    def answered(self, operation: Operation, reply: Reply, now_s: float) -> None:
        super().answered(operation, reply, now_s)
        if isinstance(reply, CounterReply):
            self.seen.append(reply.value)


class OnlyReads(OnlyLikes):
    kinds = ("read",)

    def next_operation(self, now_s: float) -> Operation:
        return Get(kind="read", persona="ada", key="tweet/1")


class Bench:
    """A driver with all its parts, on the running loop."""

    def __init__(
        self,
        workload: Workload,
        store: MemoryStore,
        *,
        rate: float = 100,
        actor: str = "traffic-test",
        schedule: Schedule | None = None,
        **bounds: int,
    ) -> None:
        clock = asyncio.get_running_loop().time
        self.store = store
        self.workload = workload
        self.nodes = NodeTable(store.nodes, random=Random(1), has_room=store.has_room)
        self.totals = RunningTotals(actor)
        self.write_ledger = WriteLedger(store, self.nodes, self.totals)
        convergence = Convergence(store, self.nodes, random=Random(2), clock=clock)
        self.driver = Driver(
            workload,
            Target(store, self.nodes, self.totals, (self.write_ledger, self.totals, convergence, self.nodes)),
            settings=Settings(rate=rate, pattern="even"),
            runtime=Runtime(Random(3), clock, lambda: WALL_S + clock()),
            limits=Limits(**bounds),
            schedule=schedule,
        )
        self.recorder = self.driver.recorder
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Bench:
        watch = HealthPoller(self.store, self.nodes, clock=asyncio.get_running_loop().time)
        await watch.look_once()
        self._tasks = [asyncio.create_task(watch.run()), asyncio.create_task(self.driver.run())]
        self.driver.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.driver.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
def bench_of() -> Callable[..., Bench]:
    """bench_of("likes" | "puts" | "reads" | "ups and downs" | a workload, store, rate=…, actor=…,
    in_flight_max=…, queue_max=…): use inside virtual time."""
    workloads = {"likes": OnlyLikes, "puts": OnlyPuts, "reads": OnlyReads, "ups and downs": UpsAndDowns}

    def bench(kind: str | Workload, store: MemoryStore, **options: Any) -> Bench:
        return Bench(workloads[kind]() if isinstance(kind, str) else kind, store, **options)

    return bench
