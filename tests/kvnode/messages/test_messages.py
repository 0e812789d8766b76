"""Messages: what is sent is what arrives, and anything else is refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.config import NodeAddress
from kvnode.messages import (
    UNDECODABLE,
    Accept,
    Accepted,
    Ack,
    AskRing,
    CheckEmptiness,
    Emptiness,
    Fetch,
    Fetched,
    Forward,
    Forwarded,
    Hello,
    MemberNews,
    Message,
    Moment,
    Ping,
    PingRequest,
    Prepare,
    Progress,
    Promise,
    Refused,
    RingNews,
    Stale,
    Stored,
    StoreMany,
    StoreRecord,
    decode,
    encode,
)
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
from kvnode.messages.tombstones import AskReapable, DropTombstones, ReapableAnswer
from kvnode.ring import RingState

RING = RingState(7, (NodeAddress("node-1", "127.0.0.1", 9999, 19_999),)).join(
    NodeAddress("node-2", "127.0.0.1", 10_000, 20_000)
)
NEWS = (MemberNews("node-1", "alive", 3),)
ONE_OF_EACH: list[Message] = [
    Hello("id", "node-1"),
    Moment(12.5),
    AskReapable(1, 7, ((0, "kv/é", -(2**63)),)),
    ReapableAnswer(1, (0,), ((0, 1.5),), 2.5),
    DropTombstones(1, 7, ((255, "kv/k", 2**63 - 1),)),
    CheckEmptiness(1),
    Emptiness(1, 2, 3),
    StoreRecord(2**62, 2**64 - 1, "kv", "é", b"\x00", 7),
    StoreMany(1, 2, "hint", (("kv", "k", b"1"),), 7),
    Stored(1),
    Refused(1, "why"),
    Fetch(1, 2, "kv", "k", 7),
    Fetched(1, None, 0.0),
    Fetched(1, b"", 1.5),
    Forward(1, 2, b"request", 7),
    Forwarded(1, 200, b"{}"),
    CompareRoots(1, 2, b"\xff", -(2**63), 7),
    Roots(1, bytes(16), True),
    CompareNodes(1, 2, 3, 1, (0,), bytes(128)),
    Differing(1, (1, 2), bytes(16)),
    CompareSingleDiffs(1, 2, 3, (("kv", "k", b"1"),), bytes(8), True, 7),
    SingleDiffsAnswer(1, (("kv", "k", b"1"),), bytes(8), True),
    CompareLeaves(1, 2, 3, (255,), bytes(8)),
    LeafAnswer(1, (("kv", "k", b"1"),), bytes(8), True),
    Ping("node-1", NEWS),
    PingRequest("node-2", NEWS),
    Ack("node-1", "node-2", ()),
    AskRing(),
    RingNews(RING),
    Stale(1, RING),
    Prepare(1, 7, (1, "node-1.00")),
    Accept(1, 7, (1, "node-1.00"), RING),
    Promise(1, (0, ""), None, True),
    Accepted(1, (2, "node-1.00"), ((1, "node-1.00"), RING), False),
    Progress(7, 1, 2),
]


@pytest.mark.parametrize("message", ONE_OF_EACH, ids=lambda message: type(message).__name__)
def test_a_message_arrives_as_it_was_sent(message: Message) -> None:
    assert decode(encode(message)) == message


@given(st.binary(max_size=60))
def test_random_bytes_are_refused_in_a_known_way(data: bytes) -> None:
    with contextlib.suppress(*UNDECODABLE):
        decode(data)


@given(st.sampled_from(ONE_OF_EACH), st.data())
def test_a_damaged_message_is_another_one_or_refused(message: Message, data: st.DataObject) -> None:
    """1. For text that is no UTF-8 msgspec raises UnicodeDecodeError, which is none of its own errors.

    2. The peers' protocol let it pass. 3. The event loop reported a fault, and the node ended: by a few bytes that
    any stranger could send to its peer port.
    """
    payload = bytearray(encode(message))
    payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(*UNDECODABLE):
        decode(bytes(payload))


@given(st.sampled_from(ONE_OF_EACH), st.integers(0, 100))
def test_half_a_message_is_refused(message: Message, share: int) -> None:
    payload = encode(message)
    with pytest.raises(UNDECODABLE):
        decode(payload[: len(payload) * share // 101])
