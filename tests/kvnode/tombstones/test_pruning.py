"""Contexts do not grow with crashes: when entries of past stores go, and that nothing they covered can come back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from kvnode.config import CONTEXT_BYTES_MAX, PAST_STORES_KEPT
from kvnode.messages import KV, StoreMany, StoreRecord
from kvnode.messages.tombstones import DropTombstones
from kvnode.net import parse
from kvnode.operations import Get, Put
from kvnode.records.records import KVS, encode_state
from kvnode.versions import FORGOTTEN, Context, Dot, Siblings, VersionVector

Play = Callable[..., None]


def old_stores(count: int) -> dict[str, int]:
    """The stores of so many crashes, and how far each had counted."""
    return {f"node-{n % 3 + 1}.{n:016x}": 4096 + n for n in range(1, count + 1)}


def long_lived(count: int, value: bytes = b'"old"', **options: Any) -> Siblings:
    """A key that was written after so many crashes, by a store of the last."""
    past = Context(VersionVector.of(old_stores(count)))
    state, _ = Siblings().write(Dot("node-2.ff", 1), value, context=past, timestamp=1.0, **options)
    return state


def give(components: Any, key: str, state: Siblings, *names: str) -> None:
    for name in names or components.nodes:
        components.nodes[name].records.merge_in(KV, key, encode_state(state), lambda ok: None)


def held(components: Any, key: str, name: str = "node-1") -> Siblings:
    record = components.nodes[name].records.durable(KV, key)
    return KVS.empty if record is None else KVS.decode(record)


def vector(components: Any, key: str, name: str = "node-1") -> dict[str, int]:
    return held(components, key, name).context.vector.as_dict()


async def reaper(components: Any) -> list[dict[str, Any]]:
    return await asyncio.gather(*(node.reaper.once() for node in components.nodes.values()))


def pruned(results: list[dict[str, Any]]) -> int:
    return sum(result.get("contexts_pruned", 0) for result in results)


def roots_are_equal(components: Any) -> bool:
    forests = [node.records.forest for node in components.nodes.values()]
    return all(len({forest.root(p) for forest in forests}) == 1 for p in range(64))


def test_after_three_hundred_crashes_a_key_can_be_written_and_in_peace_its_context_is_short(
    play: Play,
) -> None:
    """1. Each crash gives a node a fresh store id, and each write after it names one store more. 2. After 117 the
    context that GET answered was longer than PUT took: nobody could replace that value any more."""

    async def scenario(components: Any) -> None:
        longest = 0
        for crash in range(300):
            name = f"node-{crash % 3 + 1}"
            components.stop(name)
            await components.start(name)
            status, got = await components.ask(name, Get("hot"))
            body = {"value": crash, **({"context": got["context"]} if status == 200 else {})}
            longest = max(longest, len(got.get("context", "")))
            put = parse.put_of("hot", json.dumps(body).encode(), {}, 3, components.contexts)
            status, answer = await components.ask(name, put)
            assert status == 200, answer
        assert longest < CONTEXT_BYTES_MAX
        assert len(vector(components, "hot")) > 100
        await asyncio.sleep(60.0)
        assert pruned(await reaper(components)) == 1
        for name in components.nodes:
            assert len(vector(components, "hot", name)) <= 4
        assert vector(components, "hot")[FORGOTTEN] > 100
        assert roots_are_equal(components)
        status, got = await components.ask("node-2", Get("hot", r=3))
        assert (got["value"], got["conflict"]) == (299, False)

    play(scenario)


def test_a_key_that_is_written_all_the_time_shrinks_too(play: Play) -> None:
    """1. Somebody reads and writes a key over and over, each time under the context that he read. 2. What is taken away
    while he thinks would come back with his next write, and so for ever."""

    async def scenario(components: Any) -> None:
        give(components, "hot", long_lived(100))
        stop = False

        async def use() -> None:
            while not stop:
                _, got = await components.ask("node-1", Get("hot"))
                await asyncio.sleep(0.2)
                put = Put("hot", b"1", components.contexts.read("hot", got["context"]))
                assert (await components.ask("node-1", put))[0] == 200

        components.begin(use())
        assert pruned(await reaper(components)) == 1
        await asyncio.sleep(2.0)
        stop = True
        await asyncio.sleep(1.0)
        assert [len(vector(components, "hot", name)) for name in components.nodes] == [3, 3, 3]

    play(scenario)


def test_a_few_past_stores_stay(play: Play) -> None:
    async def scenario(components: Any) -> None:
        give(components, "k", long_lived(PAST_STORES_KEPT))
        assert pruned(await reaper(components)) == 0
        assert len(vector(components, "k")) == PAST_STORES_KEPT + 1

    play(scenario)


def test_entries_stay_while_a_hint_may_hold_what_they_cover(play: Play) -> None:
    """Were they taken away, the old value in the hint would be a sibling again."""

    async def scenario(components: Any) -> None:
        state = long_lived(100)
        store, counter = next(iter(old_stores(100).items()))
        older, _ = Siblings().write(Dot(store, counter), b'"revenant"', context=Context(), timestamp=0.0)
        give(components, "k", state)
        components.wire.drops = lambda sender, receiver, message: isinstance(message, StoreMany)
        components.nodes["node-2"].hints.add("node-3", KV, "k", encode_state(older))
        results = await reaper(components)
        assert pruned(results) == 0
        assert "a hint" in "; ".join(reason for result in results for reason in result["reasons"])
        components.heal()
        await components.until(lambda: not components.nodes["node-2"].hints.pending())
        assert pruned(await reaper(components)) == 1
        _, got = await components.ask("node-3", Get("k", r=3))
        assert [sibling["value"] for sibling in got["siblings"]] == ["old"]

    play(scenario)


@pytest.mark.parametrize("what", ["an older version", "nothing", "a version of mode=lww"])
def test_entries_stay_while_an_owner_holds_not_what_covers_them(play: Play, what: str) -> None:
    async def scenario(components: Any) -> None:
        store, counter = next(iter(old_stores(100).items()))
        older, _ = Siblings().write(Dot(store, counter), b'"revenant"', context=Context(), timestamp=0.0)
        for node in components.nodes.values():
            node.exchange._is_alive = lambda peer: False
        give(components, "k", long_lived(100, lww=what.endswith("lww")), "node-1", "node-2")
        if what == "an older version":
            give(components, "k", older, "node-3")
        elif what.endswith("lww"):
            give(components, "k", long_lived(100, lww=True), "node-3")
        results = await reaper(components)
        assert pruned(results) == 0
        reasons = "; ".join(reason for result in results for reason in result["reasons"])
        assert "does not hold what covers all that these stores wrote" in reasons

    play(scenario)


def test_who_misses_the_word_learns_it_by_the_next_exchange(play: Play) -> None:
    async def scenario(components: Any) -> None:
        give(components, "k", long_lived(100))
        components.wire.drops = lambda sender, receiver, message: (
            isinstance(message, DropTombstones) and receiver == "node-3"
        )
        await reaper(components)
        components.heal()
        await components.until(
            lambda: roots_are_equal(components) and len(vector(components, "k", "node-3")) == 2
        )

    play(scenario)


def test_a_context_from_before_is_good_after_it(play: Play) -> None:
    async def scenario(components: Any) -> None:
        give(components, "k", long_lived(100))
        _, before = await components.ask("node-1", Get("k"))
        assert pruned(await reaper(components)) == 1
        for name in components.nodes:  # also one that has forgotten what went
            components.nodes[name].pruning._went.clear()
        put = Put("k", b'"new"', components.contexts.read("k", before["context"]))
        status, answer = await components.ask("node-3", put)
        assert status == 200
        assert len(answer["issued_under"]) == 101, "the ledger is told all that the writer had seen"
        _, got = await components.ask("node-2", Get("k", r=3))
        assert [sibling["value"] for sibling in got["siblings"]] == ["new"]

    play(scenario)


def test_a_late_message_from_before_brings_nothing_back(play: Play) -> None:
    async def scenario(components: Any) -> None:
        state = long_lived(100)
        give(components, "k", state)
        assert pruned(await reaper(components)) == 1
        late = StoreRecord(0, 0, KV, "k", encode_state(state), 1)
        components.nodes["node-1"].on_message("node-2", late)
        await asyncio.sleep(3.0)
        assert [len(vector(components, "k", name)) for name in components.nodes] == [2, 2, 2]

    play(scenario)
