"""A quorum read through whole nodes: it shows what is durable, and repairs who is behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from kvnode.messages import KV
from kvnode.operations import Add, Count, Get, Put

Play = Callable[..., None]


def test_a_read_shows_only_what_is_durable_where_it_is_read(play: Play) -> None:
    async def scenario(components: Any) -> None:
        await components.ask("node-1", Put("k", b'"old"', w=3))
        components.disks["node-1"].held = True
        writing = asyncio.ensure_future(components.ask("node-1", Put("k", b'"new"', w=3)))
        await asyncio.sleep(0.1)
        _, got = await components.ask("node-1", Get("k", r=1))
        assert got["value"] == "old"
        node = components.nodes["node-1"]
        assert node.records.durable(KV, "k") != node.records.latest(KV, "k")
        components.disks["node-1"].release()
        assert (await writing)[0] == 200
        assert (await components.ask("node-1", Get("k", r=1)))[1]["value"] == "new"

    play(scenario)


def test_a_read_repairs_the_replica_that_was_behind(play: Play) -> None:
    async def scenario(components: Any) -> None:
        components.isolate("node-3")
        await components.ask("node-1", Put("k", b"1"))
        components.heal()
        assert components.nodes["node-3"].records.durable(KV, "k") is None
        assert (await components.ask("node-3", Get("k", r=2)))[0] == 200
        await components.until(lambda: components.nodes["node-3"].records.durable(KV, "k") is not None, 0.2)
        assert components.nodes["node-3"].observer.read_repair_count == 1

    play(scenario)


def test_a_read_without_repair_leaves_the_replica_behind_and_still_hears_the_others(play: Play) -> None:
    async def scenario(components: Any) -> None:
        components.isolate("node-3")
        await components.ask("node-1", Put("k", b"1"))
        await components.ask("node-1", Add("k", "actor", 1, 0))
        components.heal()
        node = components.nodes["node-3"]
        assert (await components.ask("node-3", Get("k", r=3, repair=False)))[0] == 200
        assert (await components.ask("node-3", Count("k", r=3, repair=False)))[0] == 200
        await asyncio.sleep(0.05)
        assert node.records.durable(KV, "k") is None
        assert node.observer.read_repair_count == 0

    play(scenario)


@pytest.mark.parametrize("reader", ["node-1", "node-3"])
@pytest.mark.parametrize("newer", [b'"newer"', None])
def test_a_replica_that_missed_a_write_or_a_delete_is_given_it_by_a_read(
    play: Play, reader: str, newer: bytes | None
) -> None:
    """1. node-3 misses a delete. 2. A read finds the tombstone, answers 404, and repairs nothing. 3. node-3 shows the
    value to whoever asks it alone, until some exchange: a deletion spread more slowly than a value."""

    async def scenario(components: Any) -> None:
        await components.ask("node-1", Put("k", b'"old"', w=3))
        components.isolate("node-3")
        assert (await components.ask("node-1", Put("k", newer)))[0] == 200
        components.heal()
        behind = components.nodes["node-3"].records
        right = components.nodes["node-1"].records.durable(KV, "k")
        assert behind.durable(KV, "k") not in (None, right)
        status, _ = await components.ask(reader, Get("k", r=3))
        assert status == (404 if newer is None else 200)
        await components.until(lambda: behind.durable(KV, "k") == right, 0.2)
        assert components.nodes[reader].observer.read_repair_count == 1

    play(scenario)


def test_a_read_of_replicas_that_agree_sends_nothing(play: Play) -> None:
    async def scenario(components: Any) -> None:
        for value in (b"1", None):
            await components.ask("node-1", Put("k", value, w=3))
            await components.ask("node-2", Get("k", r=3))
        assert all(node.observer.read_repair_count == 0 for node in components.nodes.values())

    play(scenario)
