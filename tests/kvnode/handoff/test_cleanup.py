"""A former owner lets go of what it holds: of what all the new owners have, durably, and of nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from kvnode.messages import KV
from kvnode.records.records import encode_state
from kvnode.versions import Context, Dot, Siblings

Play = Callable[..., None]


def leave(components: Any, name: str) -> None:
    """Everybody knows at once that this node has left."""
    for node in components.nodes.values():
        moving = node.ring.state.leave(name)
        node.dissemination.adopt(moving)
        node.dissemination.adopt(moving.completed())


def strayed(components: Any, at: str, key: str) -> bytes:
    """A write that reached only this node."""
    state, _ = Siblings().write(Dot(f"{at}.1", 1), b"1", context=Context(), timestamp=1.0)
    record = encode_state(state)
    components.nodes[at].records.merge_in(KV, key, record, lambda ok: None)
    return record


def test_what_strayed_to_a_former_owner_is_given_to_every_owner_and_then_deleted(play: Play) -> None:
    async def scenario(components: Any) -> None:
        record = strayed(components, "node-4", "k")
        for node in components.nodes.values():
            node.exchange._is_alive = lambda peer: False  # nobody else spreads it
        leave(components, "node-4")
        former = components.nodes["node-4"]
        await components.until(lambda: former.cleanup.dropped_count == 1)
        assert former.records.durable(KV, "k") is None
        owners = former.ring.preference_list("k")
        assert [components.nodes[owner].records.durable(KV, "k") for owner in owners] == [record] * 3

    play(scenario, 4)


def test_what_an_owner_could_not_store_is_kept_and_offered_again(play: Play) -> None:
    """1. node-4 has left, with the only copy of a write. 2. node-2's disk is full: it takes nothing. 3. Had node-4
    deleted the write all the same, the owners would hold fewer copies than its acknowledgement said."""

    async def scenario(components: Any) -> None:
        record = strayed(components, "node-4", "k")
        for node in components.nodes.values():
            node.exchange._is_alive = lambda peer: False
        leave(components, "node-4")
        await asyncio.sleep(0.01)  # the new ring is on all disks
        components.disks["node-2"].full = True
        former = components.nodes["node-4"]
        await asyncio.sleep(10.0)
        assert former.records.durable(KV, "k") == record
        assert former.cleanup.orphaned == (former.ring.partition_of("k"),)
        components.disks["node-2"].full = False
        await components.until(lambda: former.records.durable(KV, "k") is None)
        assert components.nodes["node-2"].records.durable(KV, "k") == record

    play(scenario, 4)


def test_partitions_wait_for_slow_owners_together(play: Play) -> None:
    """1. node-4 has left with records in two dozen partitions. 2. Each owner needs 50 ms for each offer, as a busy disk
    does. 3. One partition after the other took 24 x 3 x 50 ms, and a leave under load half a minute."""

    async def scenario(components: Any) -> None:
        former, clock = components.nodes["node-4"], asyncio.get_running_loop()
        keys = {former.ring.partition_of(f"k{number}"): f"k{number}" for number in range(60)}
        keys = dict(list(keys.items())[:24])
        for key in keys.values():
            strayed(components, "node-4", key)
        for node in components.nodes.values():
            node.exchange._is_alive = lambda peer: False
        give_to = former.exchange.give_to

        async def background_share(peer: str, partitions: Any) -> set[int]:
            await asyncio.sleep(0.05)
            return await give_to(peer, partitions)

        former.exchange.give_to = background_share
        leave(components, "node-4")
        began_s = clock.time()
        await components.until(lambda: former.cleanup.dropped_count == len(keys))
        assert clock.time() - began_s < 24 * 3 * 0.05 / 2

    play(scenario, 4)
