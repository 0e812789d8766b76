"""A run in parts: what was done, where people live, who they are, and the same out of several processes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from traffic.control.breakdown import breakdown, merged
from traffic.control.generator import Generator
from traffic.load.driver import Settings
from traffic.stores.memory import MemoryStore
from traffic.workloads.personas import REGIONS


async def ran(store: MemoryStore, *, seed: int, seconds: float = 3.0) -> Generator:
    generator = Generator(store, settings=Settings(rate=100), seed=seed)
    await generator.begin()
    generator.start("twitter")
    await asyncio.sleep(seconds)
    generator.stop()
    await generator.drivers["twitter"].drained(5)
    return generator


def test_parts_add_up_to_the_whole() -> None:
    async def main() -> None:
        generator = await ran(MemoryStore(), seed=1)
        driver = generator.drivers["twitter"]
        parts = breakdown(driver)
        done = driver.recorder.operations
        assert done > 200
        assert sum(part["ok"] for part in parts["kinds"].values()) == done
        assert sum(part["ok"] for part in parts["regions"].values()) == done
        assert set(parts["regions"]) <= {*REGIONS, ""}
        assert parts["kinds"]["like"]["latency_ms"]["p50"] > 0
        assert [one["kind"] for one in parts["people"]] == ["casual", "power", "bot", "influencer"]
        assert sum(one["people"] for one in parts["people"]) == sum(parts["homes"].values()) == 200
        assert done * 0.5 < sum(one["actions"] for one in parts["people"]) <= done
        await generator.close()

    asyncio.run(main())


def test_parts_of_two_processes_merge_by_their_histograms() -> None:
    async def main() -> None:
        generators = [await ran(MemoryStore(), seed=seed, seconds=1.0) for seed in (1, 2)]
        drivers = [generator.drivers["twitter"] for generator in generators]
        whole = merged([breakdown(driver, encoded=True) for driver in drivers])
        each = [breakdown(driver) for driver in drivers]
        for kind, part in whole["kinds"].items():
            apart = [one["kinds"][kind] for one in each if kind in one["kinds"]]
            assert part["ok"] == sum(one["ok"] for one in apart)
            slowest_ms = max(one["latency_ms"]["max"] or 0 for one in apart)
            assert part["latency_ms"]["max"] == pytest.approx(slowest_ms, rel=0.02)
        actions = [one["actions"] for parts in each for one in parts["people"]]
        assert sum(one["actions"] for one in whole["people"]) == sum(actions)
        for generator in generators:
            await generator.close()

    asyncio.run(main())


def test_failures_carry_what_the_node_said() -> None:
    async def main() -> None:
        store = MemoryStore()
        generator = await ran(store, seed=1, seconds=0.5)
        store.dead = {"node-2"}
        generator.start("twitter")
        rows: list[dict[str, Any]] = []
        async with asyncio.timeout(10):
            while not rows:
                await asyncio.sleep(0.05)
                rows = breakdown(generator.drivers["twitter"])["failures"]
        assert {(row["message"], row["node"]) for row in rows} == {("connection refused", "node-2")}
        assert all(row["kind"] and row["last_at"] > 0 for row in rows)
        await generator.close()

    asyncio.run(main())


def test_nothing_yet_merges_to_nothing() -> None:
    assert merged([])["kinds"] == {}
