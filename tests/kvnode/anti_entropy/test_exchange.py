"""Anti-entropy: what differs is found and mended, in bounded messages, whatever is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kvnode.anti_entropy.exchange import Exchange
from kvnode.config import BATCH_BYTES_MAX, BATCH_RECORDS_MAX, FRAME_BYTES_MAX
from kvnode.messages import COUNTER, KV, Refused, StoreMany, encode
from kvnode.messages.anti_entropy import CompareLeaves, CompareRoots, LeafAnswer, SinglesAnswer
from kvnode.operations import Get, Put
from kvnode.records.records import encode_state
from kvnode.runtime import Row
from kvnode.versions import Context, Dot, PnCounter, Siblings

Play = Callable[..., None]


def put_at(rooms: Any, name: str, key: str, value: bytes, *, counter: int = 1) -> None:
    """One replica alone has this."""
    state, _ = Siblings().write(Dot(f"{name}.1", counter), value, context=Context(), timestamp=1.0)
    rooms.nodes[name].records.merge_in(KV, key, encode_state(state), lambda ok: None)


def agree(rooms: Any) -> bool:
    forests = [rooms.nodes[name].records.forest for name in rooms.config.names]
    return all(len({forest.root(p) for forest in forests}) == 1 for p in range(rooms.config.partitions))


def sizes(rooms: Any, kind: type) -> list[int]:
    return [sum(len(r[2]) for r in m.records) for _, _, m in rooms.wire.carried if isinstance(m, kind)]


def sent_count(rooms: Any) -> int:
    exchanges = [rooms.nodes[name].exchange for name in rooms.config.names]
    return sum(exchange.sent_count + exchange.answers.sent_count for exchange in exchanges)


def test_replicas_that_differ_both_ways_come_to_hold_the_same(play: Play) -> None:
    async def story(rooms: Any) -> None:
        for number in range(40):
            put_at(rooms, f"node-{number % 3 + 1}", f"k{number}", b"1")
            put_at(rooms, "node-1", "both", b"1")
            put_at(rooms, "node-2", "both", b"2")
        for number in (1, 2, 3):
            record = encode_state(PnCounter.of(f"actor-{number}", number))
            rooms.nodes[f"node-{number}"].records.merge_in(COUNTER, "c", record, lambda ok: None)
        assert not agree(rooms)
        await rooms.until(lambda: agree(rooms))
        assert len({rooms.nodes[name].records.durable(KV, "both") for name in rooms.config.names}) == 1
        assert len({rooms.nodes[name].records.row_count for name in rooms.config.names}) == 1

    play(story)


def test_an_exchange_between_equal_replicas_costs_one_question(play: Play) -> None:
    async def story(rooms: Any) -> None:
        exchange: Exchange = rooms.nodes["node-1"].exchange
        rooms.wire.carried.clear()
        assert await exchange.with_peer("node-2") == 0
        kinds = [type(m) for s, _, m in rooms.wire.carried if s == "node-1"]
        assert kinds.count(CompareRoots) == 1
        assert not sizes(rooms, LeafAnswer)

    play(story)


def test_a_silent_peer_ends_the_round_and_nothing_else(play: Play) -> None:
    async def story(rooms: Any) -> None:
        rooms.isolate("node-2")
        node = rooms.nodes["node-1"]
        assert await node.exchange.with_peer("node-2") is None, "nobody can say how many differ"

    play(story)


def test_answers_are_bounded_in_number_and_the_next_rounds_go_on(play: Play) -> None:
    async def story(rooms: Any) -> None:
        count = 3 * BATCH_RECORDS_MAX
        for number in range(count):
            put_at(rooms, "node-2", f"k{number}", b"1", counter=number + 1)
        await rooms.until(lambda: agree(rooms))
        batches = [
            len(m.records)
            for _, _, m in rooms.wire.carried
            if isinstance(m, LeafAnswer | SinglesAnswer | StoreMany)
        ]
        assert max(batches) == BATCH_RECORDS_MAX
        assert rooms.nodes["node-3"].records.row_count == count

    play(story, partitions=2)


def test_answers_with_large_records_stay_below_a_frame(play: Play) -> None:
    """1. An answer was bounded by 512 records, whatever their size.

    2. With values of a megabyte it was a frame of hundreds of megabytes. 3. The peer refused it and cut the
    connection; the replicas never came to agree.
    """

    async def story(rooms: Any) -> None:
        for number in range(16):
            put_at(rooms, "node-2", f"k{number}", b"1" * 900_000, counter=number + 1)
            put_at(rooms, "node-1", f"other-{number}", b"1" * 900_000, counter=number + 1)
        await rooms.until(lambda: agree(rooms), 200.0)
        assert rooms.nodes["node-3"].records.row_count == 32
        assert rooms.wire.frame_bytes_max < BATCH_BYTES_MAX + 100_000 < FRAME_BYTES_MAX

    play(story, partitions=2)


def test_a_corrupt_row_is_never_sent_to_a_peer(play: Play) -> None:
    """1. A row is damaged on node-1's disk; its stored checksum is of another state than node-2's.

    2. The exchange sent rows as they stood on disk, unverified: what could still be decoded went to all replicas.
    3. What could not ended the peer's exchange, and with it the peer.
    """

    async def story(rooms: Any) -> None:
        key = "k"
        await rooms.ask("node-1", Put(key, b'"good"', w=3))
        partition = rooms.nodes["node-1"].ring.partition_of(key)
        rooms.isolate("node-2", "node-3")
        put_at(rooms, "node-1", key, b'"newer"', counter=7)
        await rooms.until(lambda: not rooms.nodes["node-1"].records.is_unsynced(KV, key))
        disk = rooms.disks["node-1"]
        record, known = disk.get("records", partition, "kv/k")
        disk.apply([Row("records", partition, "kv/k", record.replace(b"newer", b"wrong"), known)])
        rooms.nodes["node-1"].records._recent.discard("kv/k")  # not read from memory
        rooms.heal()
        await rooms.until(lambda: rooms.nodes["node-1"].records.corrupt_count == 1 and agree(rooms))
        await rooms.until(lambda: not rooms.nodes["node-1"].incomplete)  # until then it counts towards no r
        for name in rooms.config.names:
            assert b"wrong" not in rooms.nodes[name].records.durable(KV, key)
        assert (await rooms.ask("node-1", Get(key, r=3)))[1]["value"] == "good"

    play(story)


def test_a_peers_record_that_cannot_be_decoded_ends_that_exchange_only(play: Play) -> None:
    async def story(rooms: Any) -> None:
        put_at(rooms, "node-1", "k", b"1")
        rooms.nodes["node-2"].records.write(KV, "k", b"\xff\xff", lambda ok: None, known=None)
        await rooms.nodes["node-1"].exchange.with_peer("node-2")
        assert [facts for name, event, facts in rooms.events if event == "exchange_refused"]

    play(story)


def test_a_hundred_differing_keys_are_repaired_with_little_said_and_once(play: Play) -> None:
    """Bytes are in proportion to what differs: also with all pairs at it at once, nobody fetches it twice over."""

    async def story(rooms: Any) -> None:
        for number in range(4_000):
            state, _ = Siblings().write(Dot("node-1.1", number + 1), b"1", context=Context(), timestamp=1.0)
            for name in rooms.config.names:
                rooms.nodes[name].records.merge_in(KV, f"k{number}", encode_state(state), lambda ok: None)
        await rooms.until(lambda: agree(rooms))
        rooms.wire.carried.clear()
        for number in range(100):
            put_at(rooms, "node-3", f"new-{number}", b"1" * 100, counter=number + 1)
        await rooms.until(lambda: agree(rooms), 10.0)
        said = sum(len(encode(message)) for _, _, message in rooms.wire.carried)
        assert said < 150_000
        assert 200 <= sent_count(rooms) <= 300

    play(story)


def test_a_question_about_a_leaf_or_partition_that_is_none_is_refused(play: Play) -> None:
    async def story(rooms: Any) -> None:
        exchange: Exchange = rooms.nodes["node-1"].exchange
        for partition, leaves in ((2**63, (1,)), (-1, (1,)), (0, (256,)), (0, (2**63, -1)), (0, ())):
            rooms.wire.carried.clear()
            exchange.answers.on_leaves("node-2", CompareLeaves(7, 0, partition, leaves, bytes(16)))
            assert [type(message) for _, _, message in rooms.wire.carried] == [Refused]

    play(story)
