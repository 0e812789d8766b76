"""Dots are never issued twice, whatever happens to the process or its disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from kvnode.config import DOT_BLOCK
from kvnode.operations import Add, Count, Get, Put
from kvnode.replication.dots import NoDots
from kvnode.runtime import Row
from kvnode.versions import Dot

Play = Callable[..., None]


def test_dots_are_never_reissued_over_restarts(play: Play) -> None:
    async def scenario(components: Any) -> None:
        issued: list[Dot] = []
        for _ in range(4):
            dots = components.nodes["node-1"].dots
            issued += [await dots.next() for _ in range(DOT_BLOCK + 10)]
            components.stop("node-1")
            await components.start("node-1")
        assert len(set(issued)) == len(issued)
        assert len({dot.store for dot in issued}) == 4, (
            "a life that ended in a crash may have forgotten what it wrote"
        )

    play(scenario)


def test_a_life_that_ends_in_order_hands_its_name_on_once(play: Play) -> None:
    async def scenario(components: Any) -> None:
        first = await components.nodes["node-1"].dots.next()
        await components.nodes["node-1"].close()
        with pytest.raises(NoDots):
            await components.nodes["node-1"].dots.next()
        components.stop("node-1")
        await components.start("node-1")
        second = await components.nodes["node-1"].dots.next()
        assert second.store == first.store and second.counter > first.counter
        components.stop("node-1")
        await components.start("node-1")
        assert components.nodes["node-1"].dots.store != first.store, "it was handed on once, not for ever"

    play(scenario)


def test_a_coordinator_that_crashed_before_its_own_sync_loses_no_increment(play: Play) -> None:
    """1. node-1 adds 5 under its own name; the others store it and it is acknowledged. 2. node-1 crashes before its own
    sync. 3. Under the same name it would count 3 from nothing, and the others would keep the greater: 5, not 8.
    """

    async def scenario(components: Any) -> None:
        components.disks["node-1"].full = True  # as good as a sync that does not come before the crash
        status, _ = await components.ask("node-1", Add("c", None, 5, 0, 2))
        assert status == 200
        components.stop("node-1")
        components.disks["node-1"].full = False
        await components.start("node-1")
        components.nodes["node-1"].exchange._is_alive = lambda peer: False
        status, _ = await components.ask("node-1", Add("c", None, 3, 0, 3))
        assert status == 200
        _, counted = await components.ask("node-2", Count("c", 3))
        assert counted["value"] == 8

    play(scenario)


def test_a_dot_is_issued_only_within_a_block_that_is_on_disk(play: Play) -> None:
    async def scenario(components: Any) -> None:
        dots, disk = components.nodes["node-1"].dots, components.disks["node-1"]
        for _ in range(3 * DOT_BLOCK):
            dot = await dots.next()
            reserved = disk.get("meta", 0, "dots-reserved")
            assert dot.counter <= int(reserved[0])

    play(scenario)


def test_no_dot_is_issued_of_a_block_whose_reservation_is_on_its_way(play: Play) -> None:
    """A crash would take the reservation back, and the dots with it: another life could issue them again."""

    async def scenario(components: Any) -> None:
        dots, disk = components.nodes["node-1"].dots, components.disks["node-1"]
        disk.held, issued = True, []

        async def take_all() -> None:
            while True:
                issued.append(await dots.next())

        components.begin(take_all())
        await asyncio.sleep(1.0)
        assert [dot.counter for dot in issued] == [*range(1, DOT_BLOCK + 1)]
        components.begin(dots.next())
        disk.release()
        await components.until(lambda: len(issued) > DOT_BLOCK, 1.0)

    play(scenario)


def test_a_node_whose_disk_was_wiped_writes_under_a_new_name_and_loses_no_write(play: Play) -> None:
    """The story of Riak's kv679. 1. node-1 wrote dot 1 of a key. 2. Its disk is wiped; it knows nothing of the key.

    3. It coordinates another write. 4. If it counted from 1 again, the others, who have seen dot 1, would take the
    new write for one they know, and drop it.
    """

    async def scenario(components: Any) -> None:
        _, first = await components.ask("node-1", Put("k", b'"before"', w=3))
        components.stop("node-1")
        components.disks["node-1"] = type(components.disks["node-1"])()
        await components.start("node-1")
        components.nodes["node-1"].exchange._is_alive = lambda peer: False
        components.nodes["node-1"].incomplete.lose_all = lambda: None  # names alone must do
        _, second = await components.ask("node-1", Put("k", b'"after"', mode="siblings", w=3))
        assert first["dot"] != second["dot"]
        assert first["dot"].partition(":")[0] != second["dot"].partition(":")[0]
        _, got = await components.ask("node-2", Get("k", r=3))
        assert {sibling["value"] for sibling in got["siblings"]} == {"before", "after"}

    play(scenario)


def test_a_store_that_lost_a_counter_to_damage_counts_on_under_a_new_name(play: Play) -> None:
    """1. node-1 added 5 to a counter under its own name, and all know it. 2. Its row is damaged, so it holds nothing.

    3. It adds 1. 4. If it counted from 0 again under the same name, the others would keep the greater 5, and the
    acknowledged 1 would be lost.
    """

    async def scenario(components: Any) -> None:
        _, first = await components.ask("node-1", Add("c", None, 5, 0, 3))
        node, disk = components.nodes["node-1"], components.disks["node-1"]
        partition = node.ring.partition_of("c")
        record, known = disk.get("records", partition, "counter/c")
        disk.apply([Row("records", partition, "counter/c", record[:-1] + b"\x07", known)])
        node.records._cache.discard("counter/c")  # not read from memory
        _, second = await components.ask("node-1", Add("c", None, 1, 0, 3))
        assert first["actor"] != second["actor"] == node.dots.store
        await components.until(lambda: not node.incomplete)  # until then node-1 counts towards no r
        _, counted = await components.ask("node-2", Count("c", 3))
        assert counted["value"] == 6
        components.stop("node-1")
        await components.start("node-1")
        dot = await components.nodes["node-1"].dots.next()
        assert dot.counter <= int(disk.get("meta", 0, "dots-reserved")[0])

    play(scenario)
