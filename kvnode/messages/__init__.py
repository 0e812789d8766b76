"""What nodes say to each other: small typed structs, framed msgpack on the wire (net/peers.py, sim/network.py).

A question carries an `id` that its answer repeats; ids are the asker's own. `trace_id` names the client request (or
the background round) that a message belongs to: one request has one trace, across nodes.

Questions about data carry the `epoch` of the ring by which their receivers were chosen. A receiver that knows a newer
ring refuses with Stale; one that knows an older ring asks for the sender's (AskRing).
"""

from __future__ import annotations

from typing import Protocol

import msgspec

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
from kvnode.messages.data import (
    COUNTER,
    KV,
    AskTrace,
    Fetch,
    Fetched,
    FetchHinted,
    Forward,
    Forwarded,
    Refused,
    Stored,
    StoreHint,
    StoreMany,
    StoreRecord,
    Trace,
)
from kvnode.messages.handoff import (
    Accept,
    Accepted,
    AskRing,
    Ballot,
    CheckEmptiness,
    Emptiness,
    Prepare,
    Progress,
    Promise,
    RingNews,
    Stale,
)
from kvnode.messages.links import Hello, Moment, Proof, Welcome
from kvnode.messages.membership import Ack, Began, BeganAnswer, MemberNews, Ping, PingRequest
from kvnode.messages.tombstones import AskReapable, DropTombstones, ReapableAnswer

__all__ = [
    "COUNTER",
    "KV",
    "UNDECODABLE",
    "Accept",
    "Accepted",
    "Ack",
    "Addressed",
    "Answer",
    "AskReapable",
    "AskRing",
    "AskTrace",
    "Ballot",
    "Began",
    "BeganAnswer",
    "CheckEmptiness",
    "CompareLeaves",
    "CompareNodes",
    "CompareRoots",
    "CompareSingleDiffs",
    "Differing",
    "DropTombstones",
    "Emptiness",
    "Fetch",
    "FetchHinted",
    "Fetched",
    "Forward",
    "Forwarded",
    "Hello",
    "LeafAnswer",
    "MemberNews",
    "Message",
    "Moment",
    "Ping",
    "PingRequest",
    "Prepare",
    "Probe",
    "Progress",
    "Promise",
    "Proof",
    "Question",
    "ReapableAnswer",
    "Refused",
    "RingNews",
    "Roots",
    "SingleDiffsAnswer",
    "Stale",
    "StoreHint",
    "StoreMany",
    "StoreRecord",
    "Stored",
    "Trace",
    "Welcome",
    "decode",
    "encode",
]

Question = (
    StoreRecord
    | StoreMany
    | StoreHint
    | Fetch
    | FetchHinted
    | Forward
    | AskTrace
    | CompareRoots
    | CompareNodes
    | CompareSingleDiffs
    | CompareLeaves
    | AskReapable
    | DropTombstones
    | Prepare
    | Accept
    | CheckEmptiness
    | Began
)
"""What is answered under its id (rpc.py)."""


class Addressed(Protocol):
    """A question whose receiver was chosen by the ring of an epoch. id 0: no answer is waited for."""

    @property
    def id(self) -> int: ...

    @property
    def epoch(self) -> int: ...


Answer = (
    Stored
    | Refused
    | Fetched
    | Forwarded
    | Trace
    | Roots
    | Differing
    | SingleDiffsAnswer
    | LeafAnswer
    | ReapableAnswer
    | Stale
    | Promise
    | Accepted
    | Emptiness
    | BeganAnswer
)
Probe = Ping | PingRequest | Ack
Message = Hello | Welcome | Proof | Moment | Question | Answer | Probe | AskRing | RingNews | Progress

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Message).decode
"""bytes -> Message; raises one of UNDECODABLE on anything else."""
UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""The second one for text that is no UTF-8, the third for lists within lists within lists."""
