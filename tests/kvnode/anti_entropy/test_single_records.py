"""Anti-entropy where little differs: single records are found without lists, go one way, and cost few bytes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from kvnode.messages import KV, Refused, Stored, StoreMany, encode
from kvnode.messages.anti_entropy import (
    CompareLeaves,
    CompareNodes,
    CompareRoots,
    CompareSingleDiffs,
    Differing,
    LeafAnswer,
    Roots,
    SingleDiffsAnswer,
)
from kvnode.messages.packing import pack
from kvnode.records.checksum import checksum
from kvnode.records.merkle import FANOUT, leaf_of
from kvnode.records.records import encode_state
from kvnode.ring import Ring
from kvnode.versions import Context, Dot, Siblings

ONE, OTHER = "node-1", "node-2"
RING = Ring.build((ONE, OTHER), replicas=2, partitions=2)
KEYS = [key for key in (f"k{number}" for number in range(4_000)) if RING.partition_of(key) == 0]
"""Keys of partition 0 of two."""
Play = Callable[..., None]
COMPARISON = (
    CompareRoots
    | Roots
    | CompareNodes
    | Differing
    | CompareSingleDiffs
    | SingleDiffsAnswer
    | CompareLeaves
    | LeafAnswer
)


def record_of(name: str, value: bytes, counter: int = 1) -> bytes:
    """A first write at one node."""
    state, _ = Siblings().write(Dot(f"{name}.1", counter), value, context=Context(), timestamp=1.0)
    return encode_state(state)


def newer(value: bytes, counter: int) -> bytes:
    """A write at node-1 that supersedes its first."""
    before, _ = Siblings().write(Dot(f"{ONE}.1", 1), b"0", context=Context(), timestamp=1.0)
    state, _ = before.write(Dot(f"{ONE}.1", counter), value, context=before.context, timestamp=1.0)
    return encode_state(state)


def put(components: Any, key: str, record: bytes, *names: str) -> None:
    for name in names or (ONE, OTHER):
        components.nodes[name].records.merge_in(KV, key, record, lambda ok: None)


def held(components: Any, name: str, key: str) -> bytes | None:
    return components.nodes[name].records.durable(KV, key)


def roots(components: Any, name: str) -> list[int]:
    return [components.nodes[name].records.forest.root(p) for p in range(components.config.partitions)]


async def exchange(components: Any, asker: str = ONE, peer: str = OTHER) -> list[Any]:
    """One exchange and nothing else: what was said."""
    await asyncio.sleep(0.01)
    for node in components.nodes.values():
        node.exchange.schedule._rest_ms = 1e9
    components.wire.carried.clear()
    await components.nodes[asker].exchange.with_peer(peer)
    await asyncio.sleep(0.01)
    return [m for _, _, m in components.wire.carried if isinstance(m, COMPARISON | StoreMany | Stored)]


def kinds(said: list[Any]) -> list[type]:
    return [type(message) for message in said]


@pytest.mark.parametrize("asker", [ONE, OTHER])
def test_an_overwritten_record_needs_no_list_and_goes_one_way(play: Play, asker: str) -> None:
    async def scenario(components: Any) -> None:
        put(components, "k", record_of(ONE, b"0"))
        put(components, "k", newer(b"1" * 100, 2), ONE)
        said = await exchange(components, asker, OTHER if asker == ONE else ONE)
        assert kinds(said) == [
            CompareRoots,
            Roots,
            CompareNodes,
            Differing,
            CompareSingleDiffs,
            SingleDiffsAnswer,
        ]
        assert held(components, OTHER, "k") == held(components, ONE, "k") == newer(b"1" * 100, 2)
        assert roots(components, ONE) == roots(components, OTHER)
        answered = said[-1].records
        assert answered == (() if asker == ONE else ((KV, "k", newer(b"1" * 100, 2)),))

    play(scenario, 2, replicas=2)


def test_the_repair_of_one_record_of_a_hundred_bytes_takes_few_bytes(play: Play) -> None:
    """256 roots of 8 bytes, 16 branches, two differences, the record once, and what frames it."""

    async def scenario(components: Any) -> None:
        for number in range(2_000):
            put(components, f"k{number}", record_of(ONE, b"0", number + 1))
        put(components, "k", record_of(ONE, b"0"))
        put(components, "k", newer(b"1" * 100, 3_000), ONE)
        said = await exchange(components)
        sizes = {type(message).__name__: len(encode(message)) for message in said}
        assert sizes["CompareRoots"] < 90, "whatever the number of partitions"
        assert sizes["Roots"] < 256 * 8 + 24
        assert sum(sizes.values()) - sizes["Roots"] < 650, sizes
        assert sum(len(encode(message)) for message in await exchange(components)) < 110, "they agree"

    play(scenario, 2, replicas=2, partitions=256)


@pytest.mark.parametrize("asker", [ONE, OTHER])
def test_a_record_that_one_of_them_lacks_is_found_by_its_checksum(play: Play, asker: str) -> None:
    async def scenario(components: Any) -> None:
        put(components, "k", record_of(ONE, b"1"), ONE)
        said = await exchange(components, asker, OTHER if asker == ONE else ONE)
        assert CompareLeaves not in kinds(said)
        assert held(components, OTHER, "k") == record_of(ONE, b"1")

    play(scenario, 2, replicas=2)


def test_concurrent_writes_of_one_key_are_siblings_on_both_sides_after_one_exchange(play: Play) -> None:
    async def scenario(components: Any) -> None:
        for name in (ONE, OTHER):
            put(components, "k", record_of(name, b"of " + name.encode()), name)
        said = await exchange(components)
        assert CompareLeaves not in kinds(said)
        assert held(components, ONE, "k") == held(components, OTHER, "k")
        for name in (ONE, OTHER):
            assert b"of " + name.encode() in (held(components, ONE, "k") or b"")

    play(scenario, 2, replicas=2)


def keys_under(*, same_leaf: bool) -> list[str]:
    """Two keys whose first records stand under one branch, and under one leaf or not."""
    places: dict[int, str] = {}
    for key in KEYS:
        leaf = leaf_of(checksum(f"{KV}/{key}", record_of(ONE, b"1")))
        for other, known in places.items():
            if other // FANOUT == leaf // FANOUT and (other == leaf) == same_leaf:
                return [known, key]
        places.setdefault(leaf, key)
    raise AssertionError("no such keys")


@pytest.mark.parametrize("same_leaf", [False, True])
@pytest.mark.parametrize("asker", [ONE, OTHER])
def test_two_records_under_one_branch_are_looked_for_further_down(
    play: Play, same_leaf: bool, asker: str
) -> None:
    async def scenario(components: Any) -> None:
        keys = keys_under(same_leaf=same_leaf)
        for number in range(40):
            put(components, f"common-{number}", record_of(ONE, b"1"))
        for key in keys:
            put(components, key, record_of(ONE, b"1"), ONE)
        said = await exchange(components, asker, OTHER if asker == ONE else ONE)
        assert kinds(said).count(CompareNodes) == 2
        assert (CompareLeaves in kinds(said)) == same_leaf
        assert all(held(components, OTHER, key) for key in keys)
        assert roots(components, ONE) == roots(components, OTHER)

    play(scenario, 2, replicas=2, partitions=2)


@pytest.mark.parametrize("seed", range(24))
def test_one_exchange_is_enough_whatever_differs_and_a_second_one_for_siblings(play: Play, seed: int) -> None:
    """Some records only here or there, some newer here or there, some concurrent; a few or many.

    What is concurrent may be merged at the asker under a branch that was compared before: that is found next.
    """

    async def scenario(components: Any) -> None:
        chance, concurrent = random.Random(seed), seed % 2
        for number in range(chance.choice((1, 3, 10, 40, 150))):
            key, first = f"k{number}", record_of(ONE, b"0")
            case = chance.randrange(6 if concurrent else 5)
            if case < 4:
                put(components, key, first, *((ONE, OTHER) if case else (chance.choice((ONE, OTHER)),)))
            if case in (1, 2):
                put(components, key, newer(b"1", number + 2), chance.choice((ONE, OTHER)))
            elif case == 5:
                put(components, key, record_of(ONE, b"a", number + 2), ONE)
                put(components, key, record_of(OTHER, b"b", number + 2), OTHER)
        for _ in range(1 + concurrent):
            await exchange(components, *chance.sample((ONE, OTHER), 2))
        assert roots(components, ONE) == roots(components, OTHER)
        for node in components.nodes.values():
            for partition, root in enumerate(roots(components, node.name)):
                node.records.forest.build(partition)
                assert node.records.forest.root(partition) == root

    play(scenario, 2, replicas=2, partitions=2)


def test_giving_takes_nothing_and_what_was_given_is_durable(play: Play) -> None:
    """1. node-2's sync is held back. 2. node-1 gives it a record: it may let go only once node-2 has it for good."""

    async def scenario(components: Any) -> None:
        put(components, KEYS[0], record_of(ONE, b"1"), ONE)
        put(components, KEYS[1], record_of(OTHER, b"2"), OTHER)
        await asyncio.sleep(0.01)
        components.disks[OTHER].held = True
        giving = asyncio.ensure_future(components.nodes[ONE].exchange.give_to(OTHER, [0]))
        await asyncio.sleep(0.5)
        assert not giving.done()
        components.disks[OTHER].release()
        assert await giving == {0}
        assert held(components, OTHER, KEYS[0]) is not None
        assert held(components, ONE, KEYS[1]) is None

    play(scenario, 2, replicas=2, partitions=2)


def test_what_the_peer_could_not_store_is_not_complete(play: Play) -> None:
    async def scenario(components: Any) -> None:
        put(components, KEYS[0], record_of(ONE, b"1"), ONE)
        await asyncio.sleep(0.01)
        components.disks[OTHER].full = True
        assert await components.nodes[ONE].exchange.give_to(OTHER, [0]) == set()
        assert await components.nodes[ONE].exchange.take_from(OTHER, [0]) == (set(), set())
        components.disks[OTHER].full = False
        components.disks[OTHER].held = True
        giving = asyncio.ensure_future(components.nodes[ONE].exchange.give_to(OTHER, [0]))
        await asyncio.sleep(0.5)
        for sync in components.disks[OTHER]._waiting:
            sync.set_exception(OSError("it failed later"))
        components.disks[OTHER]._waiting.clear()
        assert await giving == set()
        components.disks[OTHER].release()
        assert await components.nodes[ONE].exchange.give_to(OTHER, [0]) == {0}

    play(scenario, 2, replicas=2, partitions=2)


def test_questions_about_single_records_that_make_no_sense_are_refused(play: Play) -> None:
    async def scenario(components: Any) -> None:
        responder, epoch = components.nodes[ONE].exchange.responder, components.nodes[ONE].ring.epoch
        good = (KV, KEYS[0], record_of(OTHER, b"1"))
        for partition, record, others in (
            (2**63, good, b""),
            (-1, good, b""),
            (0, good, pack(range(257))),
        ):
            components.wire.carried.clear()
            responder.on_single_diffs(
                OTHER, CompareSingleDiffs(7, 0, partition, (record,), others, True, epoch)
            )
            await asyncio.sleep(0)
            said = [m for sender, _, m in components.wire.carried if sender == ONE]
            assert kinds(said) == [Refused]
        assert held(components, ONE, KEYS[0]) is None
        for record in ((KV, KEYS[0], b"\xff\xff"), ("no kind", KEYS[0], b""), ("kv/a", "b", b"")):
            components.wire.carried.clear()
            responder.on_single_diffs(OTHER, CompareSingleDiffs(7, 0, 0, (record, good), b"", True, epoch))
            await asyncio.sleep(0.01)
            (answer,) = [m for _, _, m in components.wire.carried if isinstance(m, SingleDiffsAnswer)]
            assert not answer.complete, "it stored the others, and says: not all"
        assert held(components, ONE, KEYS[0]) is not None
        for partition, level, parents in (
            *((0, 1, parents) for parents in ((1,), (-1,), (2**63,), (), (0, 0))),
            (64, 1, (0,)),
            (0, 3, (0,)),
            (2**63, 1, ()),
        ):
            components.wire.carried.clear()
            responder.on_nodes(OTHER, CompareNodes(7, 0, partition, level, parents, bytes(128)))
            assert kinds([m for _, _, m in components.wire.carried]) == [Refused]
        responder.on_nodes(OTHER, CompareNodes(7, 0, 0, 1, (0,), b"half"))
        responder.on_roots(OTHER, CompareRoots(7, 0, b"\xff" * 1000, 2**80, epoch))

    play(scenario, 2, replicas=2)


def test_who_is_no_member_and_too_late_offers_no_single_record(play: Play) -> None:
    async def scenario(components: Any) -> None:
        responder, epoch = components.nodes[ONE].exchange.responder, components.nodes[ONE].ring.epoch
        refusal = Refused(7, "too late", too_late=True)
        responder._epochs.refusal_if_late = lambda peer, id_: refusal if peer == "node-9" else None
        components.wire.carried.clear()
        record = (KV, KEYS[0], record_of("node-9", b"1"))
        responder.on_single_diffs("node-9", CompareSingleDiffs(7, 0, 0, (record,), b"", False, epoch))
        assert [m for _, _, m in components.wire.carried] == [refusal]
        assert held(components, ONE, KEYS[0]) is None

    play(scenario, 2, replicas=2)
