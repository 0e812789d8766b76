"""Nodes that come and go: traffic goes to the new one, and no more to the one that left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from traffic.nodes.membership import LOOK_EVERY_S, PAUSE_S, Membership
from traffic.stores.base import Members
from traffic.stores.memory import MemoryStore

Run = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]
BenchOf = Callable[..., Any]

ADDRESSES = {f"node-{number}": f"memory://node-{number}" for number in range(1, 6)}


@pytest.fixture
def followed(bench_of: BenchOf) -> Callable[..., Any]:
    """async with followed(store, …) as bench: traffic on the store, and members that are followed."""

    @asynccontextmanager
    async def follow(
        store: MemoryStore, *, addresses: Mapping[str, str] = ADDRESSES, kind: str = "likes"
    ) -> Any:
        async with bench_of(kind, store, rate=100) as bench:
            clock = asyncio.get_running_loop().time
            membership = Membership(store, bench.nodes, addresses=lambda: addresses, clock=clock)
            following = asyncio.create_task(membership.run())
            try:
                yield bench
                assert not following.done(), following
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)

    return follow


def through(store: MemoryStore, node: str) -> int:
    """Additions that were sent through a node."""
    return sum(1 for name, what, _ in store.calls if (name, what) == (node, "add"))


def test_a_node_that_joins_is_given_its_share(in_virtual_time: Run, followed: Callable[..., Any]) -> None:
    async def main() -> None:
        store = MemoryStore()
        async with followed(store) as bench:
            await asyncio.sleep(5)
            store.ring = Members(2, ("node-1", "node-2", "node-3", "node-4"))
            await asyncio.sleep(LOOK_EVERY_S + PAUSE_S + 1)  # seen, and its health
            before = through(store, "node-4")
            await asyncio.sleep(10)
            assert 200 < through(store, "node-4") - before < 300
            assert bench.recorder.node("node-4", asyncio.get_running_loop().time())["operations_total"] > 200
            assert any(row["node"] == "node-4" for row in bench.recorder.node_series)
            assert bench.nodes.state("node-4", asyncio.get_running_loop().time()) == "alive"
            assert (await bench.write_ledger.check()).status == "ok"

    in_virtual_time(main)


def test_a_node_that_left_is_asked_for_nothing_more_and_nothing_fails(
    in_virtual_time: Run, followed: Callable[..., Any]
) -> None:
    async def main() -> None:
        store = MemoryStore()
        async with followed(store) as bench:
            await asyncio.sleep(5)
            store.ring = Members(2, ("node-2", "node-3"))
            await asyncio.sleep(1)  # its refusals are reason enough to look
            assert list(store.nodes) == list(bench.nodes.nodes) == ["node-2", "node-3"]
            before, refused = len(store.calls), bench.recorder.resent
            await asyncio.sleep(20)
            assert not [call for call in store.calls[before:] if call[0] == "node-1"]
            assert bench.recorder.resent == refused < 60
            assert bench.recorder.errors == 0
            assert bench.recorder.node("node-1", asyncio.get_running_loop().time())["operations_total"] > 100
            bench.driver.stop()
            assert await bench.driver.drained(5)
            assert (await bench.write_ledger.check()).status == "ok"

    in_virtual_time(main)


def test_a_node_that_died_and_was_removed_is_not_asked_for_its_health_for_ever(
    in_virtual_time: Run, followed: Callable[..., Any]
) -> None:
    async def main() -> None:
        store = MemoryStore()
        async with followed(store):
            store.dead = {"node-3"}
            await asyncio.sleep(5)
            store.ring = Members(2, ("node-1", "node-2"))
            await asyncio.sleep(LOOK_EVERY_S + PAUSE_S + 2)
            before = len(store.calls)
            await asyncio.sleep(10)
            assert not [call for call in store.calls[before:] if call[0] == "node-3"]

    in_virtual_time(main)


def test_one_that_left_may_come_again(in_virtual_time: Run, followed: Callable[..., Any]) -> None:
    """Also while the questions about it from before are still under way."""

    async def main() -> None:
        store = MemoryStore()
        async with followed(store, addresses={}) as bench:  # its URL is known from before
            everybody = store.ring.names
            for epoch in range(2, 12, 2):
                store.ring = Members(epoch, everybody[:2])
                await asyncio.sleep(0.3 * epoch)
                store.ring = Members(epoch + 1, everybody)
                await asyncio.sleep(LOOK_EVERY_S + PAUSE_S + 1.5)
                before = len(store.calls)
                await asyncio.sleep(3)
                asked = {what for name, what, _ in store.calls[before:] if name == "node-3"}
                assert asked >= {"health", "stats", "add"}, epoch
            assert (await bench.write_ledger.check()).status == "ok"

    in_virtual_time(main)


def test_the_latest_epoch_counts_and_old_views_do_not(
    in_virtual_time: Run, followed: Callable[..., Any]
) -> None:
    class Behind(MemoryStore):
        async def members(self, node: str) -> Members:
            now = await super().members(node)
            return Members(1, ("node-1", "node-2", "node-3")) if node == "node-2" else now

    async def main() -> None:
        store = Behind()
        async with followed(store) as bench:
            store.ring = Members(2, ("node-1", "node-2", "node-4"))
            for _ in range(10):
                await asyncio.sleep(LOOK_EVERY_S + PAUSE_S + 0.5)
                assert list(bench.nodes.nodes) == ["node-1", "node-2", "node-4"]

    in_virtual_time(main)


@pytest.mark.parametrize("names", [(), ("node-7", "node-8")])
def test_a_view_without_anybody_we_can_reach_changes_nothing(
    in_virtual_time: Run, followed: Callable[..., Any], names: tuple[str, ...]
) -> None:
    async def main() -> None:
        store = MemoryStore()
        async with followed(store) as bench:
            store.ring = Members(2, names)
            await asyncio.sleep(5)
            assert list(bench.nodes.nodes) == ["node-1", "node-2", "node-3"]

    in_virtual_time(main)


def test_a_member_whose_url_nobody_knows_is_left_alone(
    in_virtual_time: Run, followed: Callable[..., Any]
) -> None:
    async def main() -> None:
        store = MemoryStore()
        async with followed(store, addresses={}) as bench:
            store.ring = Members(2, ("node-1", "node-2", "node-3", "node-4"))
            await asyncio.sleep(10)
            assert list(bench.nodes.nodes) == ["node-1", "node-2", "node-3"]
            assert bench.recorder.errors == 0

    in_virtual_time(main)


def test_refusals_do_not_make_it_ask_all_the_time(in_virtual_time: Run, followed: Callable[..., Any]) -> None:
    """A node whose requests are refused although its peers call it a member."""

    class Confused(MemoryStore):
        async def members(self, node: str) -> Members:
            await super().members(node)
            return Members(1, ("node-1", "node-2", "node-3"))

    async def main() -> None:
        store = Confused()
        async with followed(store) as bench:
            store.ring = Members(2, ("node-2", "node-3"))
            await asyncio.sleep(1)
            before = len(store.calls)
            await asyncio.sleep(10)
            looks = sum(1 for _, what, _ in store.calls[before:] if what == "members") / 3
            assert looks <= 10 / PAUSE_S + 1
            assert bench.recorder.errors == 0

    in_virtual_time(main)


def test_a_node_that_only_the_nodes_know_is_reached_where_they_say(
    in_virtual_time: Run, followed: Callable[..., Any]
) -> None:
    async def main() -> None:
        store = MemoryStore()
        async with followed(store, addresses={}):
            everybody = (*store.nodes, "node-9")
            store.ring = Members(2, everybody, {"node-9": "memory://node-9", "node-1": "memory://elsewhere"})
            await asyncio.sleep(LOOK_EVERY_S + PAUSE_S + 5)
            assert through(store, "node-9") > 50
            assert store.url("node-1") != "memory://elsewhere", "what the traffic was given counts for more"

    in_virtual_time(main)
