"""What happens to one operation, as its listeners hear it: attempt by attempt, and one end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, get_args

import pytest

from traffic.clock import Runtime
from traffic.load.executor import Executor, Target
from traffic.load.retries import RetryQueue
from traffic.measure.events import AttemptStarted, Ended, Event, Events
from traffic.nodes.table import NodeTable
from traffic.operations import Add, Get, Maintain, Operation, Put
from traffic.stores.base import NotFound, StoreError
from traffic.stores.memory import MemoryStore
from traffic.verify.totals import RunningTotals

Run = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]
PUT = Put(kind="tweet", persona="ada", key="k", value="1")
READ = Get(kind="read", persona="ada", key="k")
LIKE = Add(kind="like", persona="ada", key="likes")
REPAIR = Maintain(kind="repair", persona="ada", task="repair")


class Work:
    """An executor and its retry queue on a store of which nothing is known; `heard`: its events, in order."""

    def __init__(self, store: MemoryStore) -> None:
        self.heard: list[Event] = []
        totals = RunningTotals("a")
        nodes = NodeTable(store.nodes, random=Random(1), has_room=store.has_room)
        events = Events(totals)
        for kind in get_args(Event):
            events.subscribe(kind, self.heard.append)
        runtime = Runtime(Random(2), asyncio.get_running_loop().time)
        target = Target(store, nodes, totals)
        self.executor = Executor("work", target, events, runtime=runtime, quorums=lambda: (2, 2))
        self.retries = RetryQueue(self.executor, nodes, runtime)
        self.retries.listen(events)

    @property
    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.heard]

    @property
    def outcomes(self) -> list[str]:
        return [event.outcome for event in self.heard if isinstance(event, Ended)]


STARTED, FAILED, ACKNOWLEDGED = "AttemptStarted", "AttemptFailed", "Acknowledged"


@pytest.mark.parametrize(
    ("operation", "kinds"),
    [
        (PUT, [STARTED, ACKNOWLEDGED, "Ended"]),
        (READ, [STARTED, "Ended"]),
        (LIKE, [STARTED, ACKNOWLEDGED, "Ended"]),
    ],
)
def test_one_attempt_that_is_answered_ends_it(
    in_virtual_time: Run, operation: Operation, kinds: list[str]
) -> None:
    async def main() -> None:
        work = Work(MemoryStore())
        await work.executor.execute(operation, 0.0)
        assert (work.kinds, work.outcomes) == (kinds, ["ok"])

    in_virtual_time(main)


def test_a_put_that_nobody_takes_is_tried_three_times_and_not_again(in_virtual_time: Run) -> None:
    async def main() -> None:
        store = MemoryStore(nodes=5)
        store.dead = set(store.nodes)
        work = Work(store)
        await work.executor.execute(PUT, 0.0)
        assert work.kinds == [STARTED, FAILED] * 3 + ["Ended"]
        started = [event for event in work.heard if isinstance(event, AttemptStarted)]
        assert [event.is_again for event in started] == [False, True, True]
        assert len({event.node for event in started}) == 3
        assert work.outcomes == ["definite"]

    in_virtual_time(main)


def test_an_addition_in_doubt_is_sent_again_and_ends_once(in_virtual_time: Run) -> None:
    """1. A node takes a like and never answers. 2. It answers again. 3. A second like goes out by itself meanwhile."""

    async def main() -> None:
        store = MemoryStore(nodes=1)
        store.silent = {"node-1"}
        work = Work(store)
        await work.executor.execute(LIKE, 0.0)
        assert (work.kinds, work.retries.count) == ([STARTED, FAILED, "Unanswered"], 1)
        store.silent = set()
        await work.executor.execute(LIKE, 0.0)
        assert (work.kinds[3:], work.retries.count) == ([STARTED, ACKNOWLEDGED, "Ended", "Ended"], 0)
        await asyncio.sleep(1)
        assert work.outcomes == ["ok", "ok"]
        assert store.counters["likes"]["a"].increments == 2
        store.silent = {"node-1"}
        await work.executor.execute(LIKE, 0.0)
        store.silent = set()
        await asyncio.sleep(1)
        assert work.kinds[-3:] == [STARTED, ACKNOWLEDGED, "Ended"]
        assert work.outcomes == ["ok"] * 3
        await work.retries.close()

    in_virtual_time(main)


@pytest.mark.parametrize(
    ("operation", "error", "attempts", "outcome"),
    [
        (PUT, StoreError("node-1", "no", definite=True, status=400), 1, "definite"),
        (LIKE, StoreError("node-1", "too many actors", definite=True, status=409), 1, "definite"),
        (PUT, StoreError("node-1", "later", definite=True, status=429), 3, "definite"),
        (PUT, StoreError("node-1", "silence", definite=False), 1, "indefinite"),
        (READ, StoreError("node-1", "silence", definite=False), 3, "indefinite"),
        (REPAIR, StoreError("node-1", "busy", definite=True, status=503), 1, "definite"),
        (PUT, NotFound("node-1", "no such path"), 1, "definite"),
        (READ, NotFound("node-1", "no such key"), 1, "ok"),
    ],
)
def test_what_failed_decides_how_often_it_is_tried(
    in_virtual_time: Run, operation: Operation, error: StoreError, attempts: int, outcome: str
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise error

    async def main() -> None:
        store = MemoryStore()
        for call in ("put", "get", "add", "repair"):
            setattr(store, call, fail)
        work = Work(store)
        await work.executor.execute(operation, 0.0)
        assert (work.kinds.count(STARTED), work.outcomes) == (attempts, [outcome])
        assert work.kinds.count(FAILED) == (0 if outcome == "ok" else attempts)
        assert work.retries.count == 0

    in_virtual_time(main)


def test_listeners_are_told_in_the_order_in_which_they_came_until_they_go() -> None:
    events, told = Events(), []
    first, second = (lambda event: told.append(1)), (lambda event: told.append(2))
    events.subscribe(Ended, first)
    events.subscribe(Ended, second)
    end = Ended(
        workload="w", operation=READ, node=None, outcome="ok", reply=None, intended_s=0, sent_s=0, done_s=0
    )
    events.emit(end)
    events.unsubscribe(Ended, first)
    events.emit(end)
    assert told == [1, 2, 2]
