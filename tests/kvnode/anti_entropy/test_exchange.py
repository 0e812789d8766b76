"""Anti-entropy: what differs is found and mended, in bounded messages, whatever is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kvnode.anti_entropy.exchange import Exchange
from kvnode.config import BATCH_BYTES_MAX, BATCH_RECORDS_MAX, FRAME_BYTES_MAX
from kvnode.messages import COUNTER, KV, Refused, StoreMany, encode
from kvnode.messages.anti_entropy import CompareLeaves, CompareRoots, LeafAnswer, SingleDiffsAnswer
from kvnode.operations import Get, Put
from kvnode.records.kinds import Mutation
from kvnode.records.records import encode_state
from kvnode.runtime import Row
from kvnode.versions import Context, Dot, PnCounter, Siblings

Play = Callable[..., None]


def put_at(components: Any, name: str, key: str, value: bytes, *, counter: int = 1) -> None:
    """One replica alone has this."""
    state, _ = Siblings().write(Dot(f"{name}.1", counter), value, context=Context(), timestamp=1.0)
    components.nodes[name].records.merge_in(KV, key, encode_state(state), lambda ok: None)


def agree(components: Any) -> bool:
    forests = [components.nodes[name].records.forest for name in components.config.names]
    return all(len({forest.root(p) for forest in forests}) == 1 for p in range(components.config.partitions))


def sizes(components: Any, kind: type[Any]) -> list[int]:
    return [sum(len(r[2]) for r in m.records) for _, _, m in components.wire.carried if isinstance(m, kind)]


def sent_count(components: Any) -> int:
    exchanges = [components.nodes[name].exchange for name in components.config.names]
    return sum(exchange.sent_count + exchange.responder.sent_count for exchange in exchanges)


def test_replicas_that_differ_both_ways_come_to_hold_the_same(play: Play) -> None:
    async def scenario(components: Any) -> None:
        for number in range(40):
            put_at(components, f"node-{number % 3 + 1}", f"k{number}", b"1")
            put_at(components, "node-1", "both", b"1")
            put_at(components, "node-2", "both", b"2")
        for number in (1, 2, 3):
            record = encode_state(PnCounter.of(f"actor-{number}", number))
            components.nodes[f"node-{number}"].records.merge_in(COUNTER, "c", record, lambda ok: None)
        assert not agree(components)
        await components.until(lambda: agree(components))
        assert (
            len({components.nodes[name].records.durable(KV, "both") for name in components.config.names}) == 1
        )
        assert len({components.nodes[name].records.row_count for name in components.config.names}) == 1

    play(scenario)


def test_an_exchange_between_equal_replicas_costs_one_question(play: Play) -> None:
    async def scenario(components: Any) -> None:
        exchange: Exchange = components.nodes["node-1"].exchange
        components.wire.carried.clear()
        assert await exchange.with_peer("node-2") == 0
        kinds = [type(m) for s, _, m in components.wire.carried if s == "node-1"]
        assert kinds.count(CompareRoots) == 1
        assert not sizes(components, LeafAnswer)

    play(scenario)


def test_a_silent_peer_ends_the_round_and_nothing_else(play: Play) -> None:
    async def scenario(components: Any) -> None:
        components.isolate("node-2")
        node = components.nodes["node-1"]
        assert await node.exchange.with_peer("node-2") is None, "nobody can say how many differ"

    play(scenario)


def test_answers_are_bounded_in_number_and_the_next_rounds_go_on(play: Play) -> None:
    async def scenario(components: Any) -> None:
        count = 3 * BATCH_RECORDS_MAX
        for number in range(count):
            put_at(components, "node-2", f"k{number}", b"1", counter=number + 1)
        await components.until(lambda: agree(components))
        batches = [
            len(m.records)
            for _, _, m in components.wire.carried
            if isinstance(m, LeafAnswer | SingleDiffsAnswer | StoreMany)
        ]
        assert max(batches) == BATCH_RECORDS_MAX
        assert components.nodes["node-3"].records.row_count == count

    play(scenario, partitions=2)


def test_answers_with_large_records_stay_below_a_frame(play: Play) -> None:
    """1. An answer was bounded by 512 records, whatever their size.

    2. With values of a megabyte it was a frame of hundreds of megabytes. 3. The peer refused it and cut the
    connection; the replicas never came to agree.
    """

    async def scenario(components: Any) -> None:
        for number in range(16):
            put_at(components, "node-2", f"k{number}", b"1" * 900_000, counter=number + 1)
            put_at(components, "node-1", f"other-{number}", b"1" * 900_000, counter=number + 1)
        await components.until(lambda: agree(components), 200.0)
        assert components.nodes["node-3"].records.row_count == 32
        assert components.wire.frame_bytes_max < BATCH_BYTES_MAX + 100_000 < FRAME_BYTES_MAX

    play(scenario, partitions=2)


def test_a_corrupt_row_is_never_sent_to_a_peer(play: Play) -> None:
    """1. A row is damaged on node-1's disk; its stored checksum is of another state than node-2's.

    2. The exchange sent rows as they stood on disk, unverified: what could still be decoded went to all replicas.
    3. What could not ended the peer's exchange, and with it the peer.
    """

    async def scenario(components: Any) -> None:
        key = "k"
        await components.ask("node-1", Put(key, b'"good"', w=3))
        partition = components.nodes["node-1"].ring.partition_of(key)
        components.isolate("node-2", "node-3")
        put_at(components, "node-1", key, b'"newer"', counter=7)
        await components.until(lambda: not components.nodes["node-1"].records.is_unsynced(KV, key))
        disk = components.disks["node-1"]
        record, known = disk.get("records", partition, "kv/k")
        disk.apply([Row("records", partition, "kv/k", record.replace(b"newer", b"wrong"), known)])
        components.nodes["node-1"].records._cache.discard("kv/k")  # not read from memory
        components.heal()
        await components.until(
            lambda: components.nodes["node-1"].records.corrupt_count == 1 and agree(components)
        )
        await components.until(
            lambda: not components.nodes["node-1"].incomplete
        )  # until then it counts towards no r
        for name in components.config.names:
            assert b"wrong" not in components.nodes[name].records.durable(KV, key)
        assert (await components.ask("node-1", Get(key, r=3)))[1]["value"] == "good"

    play(scenario)


def test_a_peers_record_that_cannot_be_decoded_ends_that_exchange_only(play: Play) -> None:
    async def scenario(components: Any) -> None:
        put_at(components, "node-1", "k", b"1")
        components.nodes["node-2"].records.write(Mutation(KV, "k", b"\xff\xff", None), lambda ok: None)
        await components.nodes["node-1"].exchange.with_peer("node-2")
        assert [facts for name, event, facts in components.events if event == "exchange_refused"]

    play(scenario)


def test_a_hundred_differing_keys_are_repaired_with_little_said_and_once(play: Play) -> None:
    """Bytes are in proportion to what differs: also with all pairs at it at once, nobody fetches it twice over."""

    async def scenario(components: Any) -> None:
        for number in range(4_000):
            state, _ = Siblings().write(Dot("node-1.1", number + 1), b"1", context=Context(), timestamp=1.0)
            for name in components.config.names:
                components.nodes[name].records.merge_in(
                    KV, f"k{number}", encode_state(state), lambda ok: None
                )
        await components.until(lambda: agree(components))
        components.wire.carried.clear()
        for number in range(100):
            put_at(components, "node-3", f"new-{number}", b"1" * 100, counter=number + 1)
        await components.until(lambda: agree(components), 10.0)
        said = sum(len(encode(message)) for _, _, message in components.wire.carried)
        assert said < 150_000
        assert 200 <= sent_count(components) <= 300

    play(scenario)


def test_a_question_about_a_leaf_or_partition_that_is_none_is_refused(play: Play) -> None:
    async def scenario(components: Any) -> None:
        exchange: Exchange = components.nodes["node-1"].exchange
        for partition, leaves in ((2**63, (1,)), (-1, (1,)), (0, (256,)), (0, (2**63, -1)), (0, ())):
            components.wire.carried.clear()
            exchange.responder.on_leaves("node-2", CompareLeaves(7, 0, partition, leaves, bytes(16)))
            assert [type(message) for _, _, message in components.wire.carried] == [Refused]

    play(scenario)
