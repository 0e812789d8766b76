"""Reads are judged while they come: an honest store keeps its promises, one that answers with the past is found out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from traffic.measure.events import Ended, Events
from traffic.operations import Add, Count, Get, Mode, Operation, Put
from traffic.stores.base import ActorTotals, CounterReply, GetReply, PutReply, Reply
from traffic.stores.memory import MemoryStore
from traffic.verify.read_checks import ReadChecks
from traffic.workloads.base import Workload


class WritesAndReads(Workload):
    """Everybody writes, reads, adds and counts, on a few keys."""

    name = "both"
    kinds = ("write", "read", "add", "count")

    def __init__(self, *, mode: Mode | None = None) -> None:
        self._mode = mode
        self._issued = 0

    def answered(self, operation: Operation, reply: Reply, now_s: float) -> None: ...

    def next_operation(self, now_s: float) -> Operation:
        self._issued += 1
        persona, key = f"person-{self._issued % 5}", f"key/{self._issued % 3}"
        match self._issued % 4:
            case 0:
                return Put(kind="write", persona=persona, key=key, value="1", mode=self._mode)
            case 1:
                return Get(kind="read", persona=persona, key=key)
            case 2:
                return Add(kind="add", persona=persona, key="likes")
        return Count(kind="count", persona=persona, key="likes")


class PastStore(MemoryStore):
    """Answers every third read with what it knew a while ago: the bug that the promises are there to catch."""

    def __init__(self) -> None:
        super().__init__()
        self._old: dict[str, Any] = {}
        self._reads = 0

    async def get(self, node: str, key: str, *, r: int, repair: bool = True) -> GetReply:
        return await self._sometimes_old(key, super().get(node, key, r=r))

    async def counter(self, node: str, key: str, *, r: int) -> CounterReply:
        return await self._sometimes_old(key, super().counter(node, key, r=r))

    async def _sometimes_old(self, key: str, reading: Any) -> Any:
        reply = await reading
        self._reads += 1
        if self._reads % 3 == 0 and key in self._old:
            return self._old[key]
        self._old.setdefault(key, reply)
        return reply


def run_of(
    store: MemoryStore, bench_of: Callable[..., Any], *, mode: Mode | None = None, quorum: int = 2
) -> Callable[[], Any]:
    async def main() -> list[Any]:
        read_checks = ReadChecks(store.replicas)
        async with bench_of(WritesAndReads(mode=mode), store, rate=200) as bench:
            bench.driver.change(r=quorum, w=quorum)
            read_checks.listen(bench.driver.events)
            await asyncio.sleep(10)
        return read_checks.verdicts()

    return main


def test_an_honest_store_keeps_every_promise(
    bench_of: Callable[..., Any], in_virtual_time: Callable[..., Any]
) -> None:
    verdicts = in_virtual_time(run_of(MemoryStore(), bench_of))
    assert [verdict.status for verdict in verdicts] == ["ok", "ok", "ok"], verdicts
    assert all(verdict.facts["reads"] > 300 for verdict in verdicts)


def test_a_store_that_answers_with_the_past_breaks_every_promise(
    bench_of: Callable[..., Any], in_virtual_time: Callable[..., Any]
) -> None:
    verdicts = in_virtual_time(run_of(PastStore(), bench_of))
    assert [verdict.status for verdict in verdicts] == ["violated"] * 3
    assert all(verdict.evidence for verdict in verdicts)


def test_at_one_and_one_the_same_is_measured_and_at_risk(
    bench_of: Callable[..., Any], in_virtual_time: Callable[..., Any]
) -> None:
    verdicts = in_virtual_time(run_of(PastStore(), bench_of, quorum=1))
    assert [verdict.status for verdict in verdicts] == ["at risk"] * 3
    assert verdicts[0].facts["stale_reads"] > 100


def test_keys_that_the_clocks_decide_are_left_out(
    bench_of: Callable[..., Any], in_virtual_time: Callable[..., Any]
) -> None:
    verdicts = in_virtual_time(run_of(MemoryStore(), bench_of, mode="lww"))
    assert "violated" not in {verdict.status for verdict in verdicts}


def ended(operation: Operation, reply: Any, *, at_s: float, r: int | None = None) -> Ended:
    return Ended(
        workload="w",
        operation=operation,
        node="node-1",
        outcome="ok",
        reply=reply,
        intended_s=at_s,
        sent_s=at_s,
        done_s=at_s + 0.1,
        r=r,
    )


def test_a_read_that_finds_no_such_key_after_a_write_is_stale() -> None:
    read_checks = ReadChecks(3)
    events = Events(read_checks)
    put = PutReply("k", "node-1.a:1", {"node-1.a": 1}, "node-1", 2, issued_under={})
    events.emit(ended(Put(kind="w", persona="ada", key="k", value="1"), put, at_s=1.0))
    events.emit(ended(Get(kind="r", persona="bob", key="k"), None, at_s=2.0, r=2))
    assert [verdict.status for verdict in read_checks.verdicts()] == ["violated"]
    assert sum(point.reads for point in read_checks.curve) == 1


def test_a_session_is_what_the_operation_says_before_the_persona() -> None:
    read_checks = ReadChecks(3)
    events = Events(read_checks)
    added = CounterReply("likes", 1, "node-1", {"x": ActorTotals(1, 0)}, 2)
    events.emit(ended(Add(kind="a", persona="ada", key="likes", session="s1"), added, at_s=1.0))
    nothing = CounterReply("likes", 0, "node-1", {})
    events.emit(ended(Count(kind="c", persona="ada", key="likes", session="s2"), nothing, at_s=2.0, r=2))
    assert [verdict.status for verdict in read_checks.verdicts()] == ["violated"], "stale, but nobody's own"
    events.emit(ended(Count(kind="c", persona="bob", key="likes", session="s1"), nothing, at_s=3.0, r=2))
    assert read_checks.verdicts()[1].status == "violated"


def test_two_listeners_are_both_told() -> None:
    one, other = ReadChecks(3), ReadChecks(3)
    put = PutReply("k", "node-1.a:1", {"node-1.a": 1}, "node-1", 2, issued_under={})
    events = Events(one, other)
    events.emit(ended(Put(kind="w", persona="ada", key="k", value="1"), put, at_s=1.0))
    events.emit(ended(Get(kind="r", persona="ada", key="k"), None, at_s=2.0, r=2))
    assert one.verdicts() == other.verdicts()
    assert one.verdicts()[0].status == "violated"
