"""Reset for the next class: its figures and its verdict are its own, whatever the class before has left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from kvnode.checkers import Verdict
from traffic.clock import monotonic
from traffic.control.generator import Generator
from traffic.fleet.commands import Change, Command
from traffic.fleet.coordinator import Fleet
from traffic.load.driver import Settings
from traffic.stores.memory import MemoryStore


def with_traffic(
    story: Callable[[Generator, MemoryStore], Coroutine[Any, Any, None]], *, latency_s: float = 0.0005
) -> None:
    """Run a story on a generator that drives a store in memory."""

    async def main() -> None:
        store = MemoryStore(latency_s=latency_s)
        generator = Generator(store, settings=Settings(rate=400), seed=1)
        await generator.begin()
        generator.start()
        try:
            await story(generator, store)
            assert generator.why_broken() is None
        finally:
            await generator.close()

    asyncio.run(main())


async def until(true: Callable[[], bool], what: str, timeout_s: float = 10.0) -> None:
    deadline_s = monotonic() + timeout_s
    while not true():
        assert monotonic() < deadline_s, f"not in time: {what}"
        await asyncio.sleep(0.01)


def twitter(generator: Generator) -> dict[str, Any]:
    found: dict[str, Any] = generator.stats()["workloads"]["twitter"]
    return found


def ledger_of(verdicts: list[Verdict]) -> Verdict:
    return verdicts[0]


def test_after_a_class_at_w_1_the_next_one_is_ok_and_not_at_risk() -> None:
    """1. The first class sets w=1, and writes of it are acknowledged. 2. Reset: w=2 again. 3. The second class asks
    for its verdict and was told "at risk", for the ledger was still that of both."""

    async def story(generator: Generator, store: MemoryStore) -> None:
        generator.drivers["twitter"].change(w=1)
        await until(lambda: twitter(generator)["operations_total"] > 100, "operations at w=1")
        assert ledger_of(await generator.verdicts()).status == "at risk"
        generator.drivers["twitter"].change(w=2)
        generator.reset()
        await until(lambda: twitter(generator)["operations_total"] > 100, "operations of the second class")
        verdicts = await generator.verdicts()
        assert {verdict.status for verdict in verdicts} == {"ok"}
        assert 0 < ledger_of(verdicts).acknowledged < generator.stats()["operations_total"] + 100

    with_traffic(story)


def test_counts_failures_and_the_longest_gap_are_those_of_the_second_class_alone() -> None:
    async def story(generator: Generator, store: MemoryStore) -> None:
        await until(lambda: twitter(generator)["operations_total"] > 50, "operations")
        store.dead = set(store.nodes)
        await until(lambda: twitter(generator)["errors_total"] > 0, "failures")
        await until(lambda: twitter(generator)["longest_gap_s"] > 0.5, "a gap")
        store.dead = set()
        before = twitter(generator)["operations_total"]
        await until(lambda: twitter(generator)["operations_total"] > before, "operations again")
        generator.reset()
        stats = twitter(generator)
        assert stats["operations_total"] == stats["errors_total"] == sum(stats["counts"].values()) == 0
        assert stats["longest_gap_s"] < 0.1
        assert all(node["operations_total"] == 0 for node in generator.stats()["nodes"].values())
        assert stats["running"]
        await until(lambda: twitter(generator)["operations_total"] > 100, "operations of the second class")
        assert twitter(generator)["errors_total"] == 0
        assert twitter(generator)["longest_gap_s"] < 0.5

    with_traffic(story)


def test_what_was_under_way_at_the_reset_is_answered_to_the_class_that_asked() -> None:
    """Slow answers: at the reset some writes at w=1 are out, and are acknowledged to nobody's new ledger."""

    async def story(generator: Generator, store: MemoryStore) -> None:
        generator.drivers["twitter"].change(w=1)
        await until(lambda: generator.drivers["twitter"].in_flight > 10, "writes on their way")
        old = generator.drivers["twitter"]
        generator.drivers["twitter"].change(w=2)
        generator.reset()
        assert old.in_flight > 10
        generator.stop()
        await until(lambda: old.in_flight == 0, "the old ones to be answered")
        assert twitter(generator)["operations_total"] == twitter(generator)["errors_total"] == 0
        assert ledger_of(await generator.verdicts()).at_risk == 0

    with_traffic(story, latency_s=0.2)


def test_known_mistakes_are_off_and_rates_stay() -> None:
    async def story(generator: Generator, store: MemoryStore) -> None:
        generator.switch_bug("twitter", "rmw-likes")
        generator.drivers["twitter"].change(rate=321)
        generator.reset()
        assert twitter(generator)["bug"] is None
        assert twitter(generator)["target_rate"] == 321
        assert not generator.drivers["collab"].running

    with_traffic(story)


def test_resets_in_a_row_leave_no_driver_behind() -> None:
    async def story(generator: Generator, store: MemoryStore) -> None:
        for _ in range(20):
            generator.reset()
            await asyncio.sleep(0.01)
        await until(lambda: not generator._retirement._tasks, "all to be seen out")
        assert len(generator._driving) == len(generator.drivers)
        await until(lambda: all(task.done() is False for task in generator._driving), "drivers that drive")

    with_traffic(story)


def test_a_fleet_forgets_the_dead_and_the_mistakes_of_the_class_before() -> None:
    async def main() -> None:
        own = Generator(MemoryStore(), settings=Settings(rate=100), seed=1)
        fleet = Fleet(own, processes=2, settings=Settings(rate=100))
        await fleet.tell(Command("change", "twitter", Change(rate=80, bug="rmw-likes", read_share=0.5)))
        fleet._past.append(own.stats())
        await fleet.tell(Command("reset"))
        assert fleet._past == []
        assert fleet._changes["twitter"] == Change(rate=80)
        assert own.workloads["twitter"].bugs == frozenset()
        await fleet.close()

    asyncio.run(main())
