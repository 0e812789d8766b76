"""Read repair: what a read finds to be newer goes to the replicas that are behind, a deletion as well as a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kvnode.messages import KV
from kvnode.operations import Get, Put

Play = Callable[..., None]


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
        assert components.nodes[reader].coordinator.read_repair_count == 1

    play(scenario)


def test_a_read_of_replicas_that_agree_sends_nothing(play: Play) -> None:
    async def scenario(components: Any) -> None:
        for value in (b"1", None):
            await components.ask("node-1", Put("k", value, w=3))
            await components.ask("node-2", Get("k", r=3))
        assert all(node.coordinator.read_repair_count == 0 for node in components.nodes.values())

    play(scenario)
