"""Playing a run again: the same operations, in the same order, at the same times, with contexts of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from traffic.clock import monotonic
from traffic.control.generator import Generator
from traffic.load.driver import Settings
from traffic.load.registry import WORKLOADS, RegisteredWorkload
from traffic.measure.events import Ended
from traffic.operations import Get, Operation, Put
from traffic.runs import recording
from traffic.runs.recording import Done, Header
from traffic.runs.replay import RecordedTimes, Replay
from traffic.runs.replay_run import worlds_of
from traffic.runs.writer import RecordingWriter
from traffic.stores.base import GetReply
from traffic.stores.memory import MemoryStore
from traffic.workloads.twitter import Twitter

Run = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]
BenchOf = Callable[..., Any]


class Listening(MemoryStore):
    """Remembers what it was asked to do, in order, with all that a put carries."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[Any, ...]] = []

    async def put(self, node: str, key: str, value: str, **more: Any) -> Any:
        self.asked.append(("put", key, value))
        return await super().put(node, key, value, **more)

    async def get(self, node: str, key: str, **more: Any) -> Any:
        self.asked.append(("get", key))
        return await super().get(node, key, **more)

    async def add(self, node: str, key: str, **more: Any) -> Any:
        self.asked.append(("add", key, more["increments"], more.get("decrements")))
        return await super().add(node, key, **more)


def done(operation: Operation, due_s: float) -> Done:
    return Done(workload="w", due_s=due_s, sent_s=due_s, done_s=due_s + 0.01, operation=operation)


@pytest.mark.parametrize("speed", [1.0, 4.0])
def test_a_recorded_run_asks_for_the_same_in_the_same_order(
    in_virtual_time: Run, bench_of: BenchOf, tmp_path: Path, speed: float
) -> None:
    """Through the file, the drivers and the store: what the database was asked for, call by call."""
    path = tmp_path / "run.jsonl.gz"
    first, second = Listening(), Listening()

    async def record() -> float:
        clock = asyncio.get_running_loop().time
        async with bench_of(Twitter(Random(5), tag="t"), first, rate=0) as bench:
            began_s = clock()
            writer = RecordingWriter(path, _header(), began_s=began_s)
            bench.driver.events.subscribe(Ended, writer.operation)
            bench.driver.change(rate=200, pattern="poisson")
            await asyncio.sleep(10)
            bench.driver.stop()
            assert await bench.driver.drained(5)
            writer.close(clock(), {})
            return float(bench.recorder.operations)

    async def play() -> float:
        clock = asyncio.get_running_loop().time
        recorded = recording.load(path)
        operations = recorded.of("twitter")
        workload = Replay("twitter", operations)
        schedule = RecordedTimes([one.due_s for one in operations], speed=speed)
        async with bench_of(workload, second, schedule=schedule) as bench:
            began_s = clock()
            for _ in range(400):
                if not workload.left:
                    break
                await asyncio.sleep(0.05)
            took_s = clock() - began_s
            assert await bench.driver.drained(5)
            assert bench.recorder.shed == 0
            assert took_s == pytest.approx(10 / speed, abs=0.3)
            return float(bench.recorder.operations)

    recorded_count, played_count = in_virtual_time(record), in_virtual_time(play)
    assert recorded_count == played_count > 1900
    assert second.asked == first.asked
    assert {what for what, *_ in first.asked} == {"put", "get", "add"}


def test_all_worlds_are_played_by_a_whole_generator(tmp_path: Path) -> None:
    """In real time, as the command line does it. What differs is contexts: those are of the database's own making."""
    first, second = tmp_path / "first.jsonl.gz", tmp_path / "second.jsonl.gz"

    async def record(
        path: Path, worlds: Mapping[str, RegisteredWorkload], until: Callable[[Generator], bool]
    ) -> None:
        generator = Generator(MemoryStore(), settings=Settings(rate=150), seed=3, worlds=worlds)
        await generator.begin()
        writer = RecordingWriter(path, _header(), began_s=monotonic())
        generator.set_listener(writer.operation)
        for world in worlds:
            generator.start(world)
        for _ in range(200):
            if until(generator):
                break
            await asyncio.sleep(0.05)
        generator.stop()
        for driver in generator.drivers.values():
            assert await driver.drained(5)
        writer.close(monotonic(), {})
        await generator.close()

    def enough(generator: Generator) -> bool:
        return all(driver.recorder.operations > 60 for driver in generator.drivers.values())

    def played(generator: Generator) -> bool:
        return not any(isinstance(one, Replay) and one.left for one in generator.workloads.values())

    asyncio.run(record(first, WORKLOADS, enough))
    recorded = recording.load(first)
    asyncio.run(record(second, worlds_of(recorded, speed=2.0), played))
    again = recording.load(second)
    assert recorded.workloads == again.workloads == sorted(WORKLOADS)
    for world in WORKLOADS:
        asked = [_bare(one.operation) for one in recorded.of(world)]
        assert len(asked) > 60
        assert [_bare(one.operation) for one in again.of(world)] == asked


def _bare(operation: Operation) -> Operation:
    return replace(operation, context=None, mode=None) if isinstance(operation, Put) else operation


def test_a_context_is_the_one_that_was_read_in_the_replay() -> None:
    read = Get(kind="read", persona="ada", key="doc/1", session="s1")
    edit = Put(kind="edit", persona="ada", key="doc/1", value="x", context="of another cluster", session="s1")
    other = Put(
        kind="edit", persona="emmy", key="doc/1", value="y", context="of another cluster", session="s2"
    )
    plain = Put(kind="edit", persona="ada", key="doc/2", value="z", mode="lww")
    recorded: list[Operation] = [read, edit, other, plain]
    workload = Replay("collab", [done(one, at) for at, one in enumerate(recorded)])
    asked = workload.next_operation(0)
    workload.answered(asked, GetReply("doc/1", "v", False, [], {}, "node-1", context="fresh"), 0)
    edited, blind = workload.next_operation(0), workload.next_operation(0)
    assert isinstance(edited, Put) and isinstance(blind, Put)
    assert (edited.context, edited.mode, edited.value) == ("fresh", None, "x")
    assert (blind.context, blind.mode, blind.value) == (None, "siblings", "y")  # s2 has not read anything
    assert workload.next_operation(0) == plain
    assert workload.counts() == {"contexts_found": 1, "contexts_missing": 1}


def test_a_pause_of_the_replay_delays_what_is_left() -> None:
    times = RecordedTimes([0.0, 1.0, 2.0, 3.0])
    times.skip_to(100.0)
    assert list(times.due(101.5)) == [100.0, 101.0]
    times.skip_to(200.0)  # it had stood still since 101.5
    assert list(times.due(200.4)) == []
    assert times.wait_s(200.49) == pytest.approx(0.01)
    assert list(times.due(203.0)) == [200.5, 201.5]
    assert times.left == 0


def _header() -> Header:
    return Header(
        started_at="", seed=1, settings={"twitter": {}}, nodes=["node-1", "node-2", "node-3"], replicas=3
    )
