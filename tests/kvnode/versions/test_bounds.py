"""Numbers that cannot be: refused when they are decoded, or when they jump; and a node goes on, and starts again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from kvnode.config import NodeAddress
from kvnode.messages import (
    Accept,
    Ack,
    Fetched,
    Forwarded,
    MemberNews,
    Message,
    Ping,
    Prepare,
    Progress,
    Promise,
    RingNews,
    Stale,
    Stored,
    StoreRecord,
    decode,
    encode,
)
from kvnode.messages.tombstones import AskReapable, ReapableAnswer
from kvnode.operations import Get, Put
from kvnode.records.records import COUNTERS, KVS
from kvnode.ring import RingState
from kvnode.runtime import Row

Play = Callable[..., None]
TOO_MANY = 2**53 + 1
ADDRESS = NodeAddress("node-1", "127.0.0.1", 1, 1)


def ring(epoch: int, *names: str) -> RingState:
    return RingState(epoch, tuple(NodeAddress(name, "127.0.0.1", 1, 1) for name in names))


@pytest.mark.parametrize(
    "message",
    [
        Stored(-1),
        Fetched(1, None, float("nan")),
        Fetched(1, None, float("inf")),
        Forwarded(1, 99, b""),
        StoreRecord(1, 2, "kv", "k", b"", -1),
        StoreRecord(1, 2, "kv", "k", b"", TOO_MANY),
        AskReapable(1, 1, ((-1, "kv/k", 0),)),
        AskReapable(1, 1, ((2**15, "kv/k", 0),)),
        ReapableAnswer(1, (-1,), (), 0.0),
        ReapableAnswer(1, (), ((0, float("inf")),), 0.0),
        ReapableAnswer(1, (), (), float("nan")),
        Ping("node-1", (MemberNews("node-1", "dead", 2**64 - 1),)),
        Ping("node-1", (), 2**64 - 1),
        Ack("node-1", "node-2", (), -1),
        RingNews(ring(2**64 - 1, "node-1")),
        Stale(1, ring(-1, "node-1")),
        Prepare(1, 1, (2**64 - 1, "node-1.00")),
        Accept(1, 1, (-1, "node-1.00"), ring(2, "node-1")),
        Promise(1, (TOO_MANY, ""), None, True),
        Progress(1, -1, 2),
    ],
    ids=lambda message: repr(message)[:60],
)
def test_a_number_out_of_bounds_is_no_message(message: Message) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(encode(message))


@pytest.mark.parametrize(
    "record",
    [
        [[["n.1", 0, [[[]], None, []], b"1", 1.0, False, False]]],
        [[["n.1", 2**60, [[[]], None, []], b"1", 1.0, False, False]]],
        [[["n.1", 1, [[[["n.2", 2**60]]], None, []], b"1", 1.0, False, False]]],
        [[["n.1", 1, [[[]], None, [["n.2", -1]]], b"1", 1.0, False, False]]],
        [[["n.1", 1, [[[]], None, []], b"1", float("nan"), False, False]]],
        [[["n.1", 1, [[[]], [float("inf"), "n.2", 1], []], b"1", 1.0, False, False]]],
    ],
)
def test_a_dot_or_a_time_out_of_bounds_is_no_record(record: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        KVS.decode(msgspec.msgpack.encode(record))


@pytest.mark.parametrize("totals", [(-1, 0), (0, 2**53), (2**64 - 1, 0)])
def test_a_total_out_of_bounds_is_no_counter(totals: tuple[int, int]) -> None:
    with pytest.raises(msgspec.ValidationError):
        COUNTERS.decode(msgspec.msgpack.encode([[["actor", *totals]]]))


LIES = [
    RingNews(ring(2**53, "node-1")),
    RingNews(ring(20_000, "node-1", "node-2", "node-3")),
    RingNews(ring(2, "node-9")),
    RingNews(ring(3, "node-3")),
    RingNews(RingState(2, tuple(NodeAddress(f"node-{n}", "127.0.0.1", 1, 0) for n in (1, 2, 3)))),
    RingNews(RingState(2, ring(2, "node-1", "node-2", "node-3").members, note="x" * 100_000)),
    Ping("node-2", (), 2**53),
    Ping("node-2", (MemberNews("node-1", "dead", 2**53), MemberNews("node-3", "dead", 2**53))),
    Prepare(7, 1, (2**53, "node-2.00")),
    Accept(7, 1, (2**53, "node-2.00"), ring(2, "node-1", "node-2", "node-3")),
    StoreRecord(7, 7, "kv", "k", b"", 2**53),
]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: repr(lie)[:60])
def test_a_message_that_says_what_cannot_be_is_counted_and_changes_nothing(play: Play, lie: Message) -> None:
    """1. One RingNews of the greatest epoch, or a Ping of the greatest incarnation, ended the cluster: nobody could
    ever be ahead of it. 2. A ballot of the greatest round ended the node, and each of its starts."""

    async def scenario(components: Any) -> None:
        await components.ask("node-1", Put("k", b"1"))
        node = components.nodes["node-1"]
        node.on_message("node-2", decode(encode(lie)))
        await asyncio.sleep(5.0)
        counts = (
            node.dissemination.implausible_count,
            node.members.implausible_count,
            node.acceptor.implausible_count,
        )
        assert sum(counts) > 0
        assert node.ring.epoch == 1
        assert all(member.state == "alive" for each in components.nodes.values() for member in each.members)
        assert {name: m.incarnation < 9 for name, m in ((m.name, m) for m in node.members)} == dict.fromkeys(
            components.nodes, True
        )
        components.stop("node-1")
        await components.start("node-1")
        await asyncio.sleep(3.0)
        assert (await components.ask("node-1", Get("k", r=3)))[0] == 200
        decided = await components.nodes["node-2"].proposer.decide(
            components.nodes["node-2"].ring.state.renewed("to see that it can be decided")
        )
        assert decided.epoch == 2

    play(scenario)


@pytest.mark.parametrize("key", ["ring", "ring-votes"])
@pytest.mark.parametrize(
    "row",
    [
        b"",
        b"\xff",
        b"\x91" * 5_000,
        msgspec.msgpack.encode([2**60, []]),
        msgspec.msgpack.encode([[1, [2**64 - 1, "node-1.00"], None], 0]),
        msgspec.msgpack.encode(ring(9, "node-2", "node-1")),
    ],
)
def test_a_node_starts_on_what_is_no_ring_and_no_promise(play: Play, key: str, row: bytes) -> None:
    """It begins with the cluster file, hears the rest from its peers, and does not vote before it may."""

    async def scenario(components: Any) -> None:
        await components.ask("node-1", Put("k", b"1"))
        components.stop("node-1")
        await components.disks["node-1"].commit([Row("meta", 0, key, row)])
        await components.start("node-1")
        await asyncio.sleep(2.0)
        node = components.nodes["node-1"]
        assert node.ring.nodes == ("node-1", "node-2", "node-3")
        assert (await components.ask("node-1", Get("k", r=3)))[0] == 200
        assert node.acceptor.may_vote == (key == "ring") or node.ring.epoch > 1

    play(scenario)


def test_a_ring_that_the_cluster_can_have_come_to_is_believed() -> None:
    three = ring(5, "node-1", "node-2", "node-3")
    four = ("node-1", "node-2", "node-3", "node-4")
    assert three.join(NodeAddress("node-4", "127.0.0.1", 1, 1)).may_follow(three)
    assert ring(7, *four).may_follow(three)
    assert ring(9, *four[1:]).may_follow(three)
    assert ring(9_000, "node-7", "node-8").may_follow(three)
    assert not ring(5, *four).may_follow(three)
    assert not ring(7, *four[1:]).may_follow(three)
    assert not ring(20_000, "node-1", "node-2", "node-3").may_follow(three)
