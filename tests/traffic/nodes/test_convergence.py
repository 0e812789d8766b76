"""The convergence estimate: quiet keys only, and nothing that was written while we asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from traffic.measure.events import AttemptStarted, Events, Request
from traffic.nodes.convergence import FINAL_COUNT, REMEMBERED_MAX, SAMPLE_COUNT, Convergence
from traffic.nodes.table import NodeTable
from traffic.operations import Add, Put
from traffic.stores.memory import MemoryStore
from traffic.stores.totals import CounterTotals

Run = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]


def estimate(store: MemoryStore) -> Convergence:
    nodes = NodeTable(store.nodes, random=Random(1), has_room=store.has_room)
    return Convergence(store, nodes, random=Random(2), clock=now_s)


def now_s() -> float:
    return asyncio.get_running_loop().time()


def touch(convergence: Convergence, key: str, *, counter: bool = False) -> None:
    """Somebody begins to write it."""
    if counter:
        add = Add(kind="like", persona="ada", key=key)
        request = Request(add, now_s(), 2, 2, 3, CounterTotals(key, "a"))
    else:
        request = Request(Put(kind="tweet", persona="ada", key=key, value="1"), now_s(), 2, 2, 3)
    Events(convergence).emit(AttemptStarted(request, "node-1", now_s(), False))


def test_all_agree(in_virtual_time: Run) -> None:
    async def main() -> None:
        convergence = estimate(MemoryStore())
        for index in range(100):
            touch(convergence, f"k{index}")
        await convergence.look()
        assert convergence.summary(now_s(), 0)["share"] is None  # written a moment ago: nothing to say yet
        await asyncio.sleep(2.1)
        await convergence.look()
        summary = convergence.summary(now_s(), 0)
        assert (summary["sampled_keys"], summary["share"]) == (SAMPLE_COUNT, 1.0)
        assert summary["oldest_disagreement_s"] is None

    in_virtual_time(main)


def test_a_disagreement_is_seen_aged_and_forgotten_when_healed(in_virtual_time: Run) -> None:
    async def main() -> None:
        store = MemoryStore()
        convergence = estimate(store)
        for index in range(4):
            touch(convergence, f"k{index}", counter=index % 2 == 0)
        store.disagreeing = {"k1"}
        await asyncio.sleep(2.1)
        await convergence.look()
        assert convergence.summary(now_s(), 0)["share"] == 0.75
        await asyncio.sleep(5)
        await convergence.look()
        assert convergence.summary(now_s(), 0)["oldest_disagreement_s"] >= 5
        store.disagreeing = set()
        await convergence.look()
        summary = convergence.summary(now_s(), 0)
        assert (summary["share"], summary["oldest_disagreement_s"]) == (1.0, None)

    in_virtual_time(main)


def test_a_key_written_while_we_ask_does_not_count(in_virtual_time: Run) -> None:
    async def main() -> None:
        store = MemoryStore(latency_s=0.5)
        store.disagreeing = {"k"}
        convergence = estimate(store)
        touch(convergence, "k")
        await asyncio.sleep(2.1)
        asking = asyncio.create_task(convergence.look())
        await asyncio.sleep(0.01)
        touch(convergence, "k")
        await asking
        assert convergence.summary(now_s(), 0)["sampled_keys"] == 0

    in_virtual_time(main)


def test_memory_is_bounded(in_virtual_time: Run) -> None:
    async def main() -> None:
        convergence = estimate(MemoryStore())
        for index in range(REMEMBERED_MAX + 500):
            touch(convergence, f"k{index}")
        assert len(convergence._written) == REMEMBERED_MAX

    in_virtual_time(main)


def test_nobody_answers_means_nothing_is_known(in_virtual_time: Run) -> None:
    async def main() -> None:
        store = MemoryStore()
        convergence = estimate(store)
        touch(convergence, "k")
        await asyncio.sleep(2.1)
        store.dead = set(store.nodes)
        await convergence.look()
        assert convergence.summary(now_s(), 0)["share"] is None

    in_virtual_time(main)


def test_in_the_end_all_agree_or_the_evidence_names_the_key(in_virtual_time: Run) -> None:
    async def main() -> None:
        store = MemoryStore()
        convergence = estimate(store)
        for index in range(1000):
            touch(convergence, f"k{index}")
        touch(convergence, "likes", counter=True)
        verdict = await convergence.in_the_end()
        assert (verdict.status, verdict.facts["keys"]) == ("ok", FINAL_COUNT)
        store.disagreeing = {"likes"}
        verdict = await convergence.in_the_end()
        assert verdict.status == "violated"
        assert verdict.evidence == ("'counter likes': node-1 node-1, node-2 node-2, node-3 node-3",)

    in_virtual_time(main)


def test_in_the_end_replicas_get_time_to_agree(in_virtual_time: Run) -> None:
    async def main() -> None:
        store = MemoryStore()
        convergence = estimate(store)
        touch(convergence, "k")
        store.disagreeing = {"k"}
        asyncio.get_running_loop().call_later(3.0, store.disagreeing.clear)
        verdict = await convergence.in_the_end()
        assert verdict.ok
        assert 3.0 <= verdict.facts["waited_s"] < 4.0

    in_virtual_time(main)


def test_in_the_end_a_dead_node_leaves_it_unknown(in_virtual_time: Run) -> None:
    async def main() -> None:
        store = MemoryStore()
        convergence = estimate(store)
        touch(convergence, "k")
        store.dead = {"node-3"}
        verdict = await convergence.in_the_end()
        assert verdict.status == "unknown"
        assert verdict.facts["waited_s"] < 2.0, "a node that is gone is not waited for"

    in_virtual_time(main)
