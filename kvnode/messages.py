"""What nodes say to each other: small typed structs, framed msgpack on the wire (net/peers.py, sim/network.py).

A question carries an `id` that its answer repeats; ids are the asker's own. `cause` names the client request (or the
background round) that a message belongs to, so that the story of one request can be told across nodes.
Records travel as the very bytes that are stored: opaque here, canonical by versions/.

Questions about data carry the `epoch` of the ring by which their receivers were chosen. A receiver that knows a newer
ring refuses with Stale; one that knows an older ring asks for the sender's (AskRing).
"""

from __future__ import annotations

import msgspec

from kvnode.bounds import Checksum, Count, DateMs, DurationMs, HttpStatus, Id, Port
from kvnode.comparisons import (
    CompareLeaves,
    CompareNodes,
    CompareRoots,
    CompareSingles,
    Differing,
    LeafAnswer,
    Roots,
    SinglesAnswer,
)
from kvnode.ring import RingState
from kvnode.tombstones import AskSweep, DropTombstones, SweepAnswer

KV = "kv"
COUNTER = "counter"


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello"):
    """First on every connection: who calls, from which cluster, and where it listens. A stranger is refused.

    A node of the cluster that is no member may call: it is to join, or must be told that it was removed.
    challenge: fresh bytes; then Welcome and Proof follow (net/handshake.py).
    """

    cluster_id: str
    node: str
    challenge: bytes = b""
    host: str = ""
    peer_port: Port = 0


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag="welcome"):
    """The answer to a Hello with a challenge: a challenge in turn, and the proof that the listener knows the secret."""

    challenge: bytes
    proof: bytes


class Proof(msgspec.Struct, frozen=True, array_like=True, tag="proof"):
    """The proof that the dialer knows the secret."""

    proof: bytes


class Moment(msgspec.Struct, frozen=True, array_like=True, tag="moment"):
    """The listener's clock (its own, in ms), which the dialer sends back: what follows on the connection is younger."""

    at_ms: DurationMs


# --- replication ---------------------------------------------------------------------------------------------


class StoreRecord(msgspec.Struct, frozen=True, array_like=True, tag="store"):
    """Merge this record into yours and make the result durable; answered by Stored. made_from: see Records.merge_in."""

    id: Id
    cause: int
    kind: str
    key: str
    record: bytes
    epoch: Count
    made_from: Checksum = 0


class StoreMany(msgspec.Struct, frozen=True, array_like=True, tag="store-many"):
    """The same for several records (kind, key, record): hints and repairs. `why` says which."""

    id: Id
    cause: int
    why: str
    records: tuple[tuple[str, str, bytes], ...]
    epoch: Count


class StoreHint(msgspec.Struct, frozen=True, array_like=True, tag="store-hint"):
    """Keep this record for `owner`, which cannot be reached, and hand it over; answered by Stored once durable."""

    id: Id
    cause: int
    owner: str
    kind: str
    key: str
    record: bytes
    epoch: Count


class Stored(msgspec.Struct, frozen=True, array_like=True, tag="stored"):
    """All records of that question are durable here."""

    id: Id


class Refused(msgspec.Struct, frozen=True, array_like=True, tag="refused"):
    """That question cannot be served here; nothing was stored on its account."""

    id: Id
    why: str


TOO_LATE = "tombstones were swept since you were a member"
"""Refused.why to who offers what it kept from an earlier membership: it may be older than what was swept."""
NOT_YET = "this store is being refilled, and cannot tell yet what was swept; offer it again"
"""Refused.why to the same from a store that replaces a lost one."""


class Fetch(msgspec.Struct, frozen=True, array_like=True, tag="fetch"):
    """What do you hold, durably, under this key? Answered by Fetched."""

    id: Id
    cause: int
    kind: str
    key: str
    epoch: Count


class FetchHinted(msgspec.Struct, frozen=True, array_like=True, tag="fetch-hinted"):
    """What do you keep, durably, for owners of this key that cannot be reached? Answered by Fetched."""

    id: Id
    cause: int
    kind: str
    key: str
    epoch: Count


class Fetched(msgspec.Struct, frozen=True, array_like=True, tag="fetched"):
    """The record held (None: nothing), and when it became durable here (wall ms; 0: before this process).

    counts: False from a store that is being refilled there: it may lack what was acknowledged.
    """

    id: Id
    record: bytes | None
    stored_at: DateMs
    counts: bool = True


class Forward(msgspec.Struct, frozen=True, array_like=True, tag="forward"):
    """Coordinate this client request for me: you hold the key, I do not. `request` is a msgpack'd request."""

    id: Id
    cause: int
    request: bytes
    epoch: Count


class Forwarded(msgspec.Struct, frozen=True, array_like=True, tag="forwarded"):
    """The answer to pass on to the client: an HTTP status and a JSON body."""

    id: Id
    status: HttpStatus
    body: bytes


class AskTrace(msgspec.Struct, frozen=True, array_like=True, tag="ask-trace"):
    """What is your part in the story of this request? Answered by Trace."""

    id: Id
    cause: int


class Trace(msgspec.Struct, frozen=True, array_like=True, tag="trace"):
    """(wall ms, what happened, the peer it concerns) in order."""

    id: Id
    events: tuple[tuple[DateMs, str, str], ...]


# --- starts --------------------------------------------------------------------------------------------------


class Began(msgspec.Struct, frozen=True, array_like=True, tag="began"):
    """I have begun a generation: the last of these; my folder has seen the others. Answered by BeganAnswer.

    count: of all generations of this folder. is_first: you have never confirmed one of this folder: if you remember
    another folder, I replace that. replaced: folders of mine of before this one.
    """

    id: Id
    folder: Id
    count: Count
    generations: tuple[Id, ...]
    is_first: bool
    replaced: tuple[Id, ...] = ()


class BeganAnswer(msgspec.Struct, frozen=True, array_like=True, tag="began-answer"):
    """I remember it, durably; but for these: knows_later_life: I remember a generation of your folder that you do not
    know of. knows_other_folder: I remembered another folder (and still do, unless this is the first time).
    replaced: folders of yours of before this one, as far as I know them.
    """

    id: Id
    knows_later_life: bool
    knows_other_folder: bool
    replaced: tuple[Id, ...] = ()


# --- membership ----------------------------------------------------------------------------------------------


class MemberNews(msgspec.Struct, frozen=True, array_like=True):
    """One line of gossip: this member is in this state at this incarnation."""

    name: str
    state: str
    incarnation: Count


class Ping(msgspec.Struct, frozen=True, array_like=True, tag="ping"):
    """Are you there? Answered by Ack. `for_node`: whom the pinger asks for (itself, or the sender of a request)."""

    for_node: str
    news: tuple[MemberNews, ...]
    epoch: Count = 0


class PingRequest(msgspec.Struct, frozen=True, array_like=True, tag="ping-request"):
    """Ping `target` for me; its Ack is passed on to me (SWIM's indirect probe)."""

    target: str
    news: tuple[MemberNews, ...]
    epoch: Count = 0


class Ack(msgspec.Struct, frozen=True, array_like=True, tag="ack"):
    """`node` is there; the answer to a Ping on behalf of `for_node`."""

    node: str
    for_node: str
    news: tuple[MemberNews, ...]
    epoch: Count = 0


# --- the ring ------------------------------------------------------------------------------------------------

Ballot = tuple[Count, str]
"""(round, store id): the names of attempts to decide, ordered, never used twice."""


class Stale(msgspec.Struct, frozen=True, array_like=True, tag="stale"):
    """That question is of an older ring than mine, so it is refused, nothing was stored, and here is mine."""

    id: Id
    ring: RingState


class AskRing(msgspec.Struct, frozen=True, array_like=True, tag="ask-ring"):
    """Your ring is newer than mine: send it. Answered by RingNews."""


class RingNews(msgspec.Struct, frozen=True, array_like=True, tag="ring-news"):
    """This ring was decided."""

    ring: RingState


class Prepare(msgspec.Struct, frozen=True, array_like=True, tag="prepare"):
    """Paxos, phase 1, on what follows this epoch: promise to take part in no earlier ballot. Answered by Vote."""

    id: Id
    epoch: Count
    ballot: Ballot


class Accept(msgspec.Struct, frozen=True, array_like=True, tag="accept"):
    """Paxos, phase 2: accept this value in this ballot. Answered by Vote."""

    id: Id
    epoch: Count
    ballot: Ballot
    value: RingState


class Vote(msgspec.Struct, frozen=True, array_like=True, tag="vote"):
    """What this acceptor has promised and accepted so far, durably. counts: it may vote on this epoch at all."""

    id: Id
    promised: Ballot
    accepted: tuple[Ballot, RingState] | None
    counts: bool


class AskHeld(msgspec.Struct, frozen=True, array_like=True, tag="ask-held"):
    """Do you still hold anything of an earlier membership? Answered by Held: who joins must begin with nothing."""

    id: Id


class Held(msgspec.Struct, frozen=True, array_like=True, tag="held"):
    """So many records and hints are here, durably."""

    id: Id
    records: Count
    hints: Count


class Progress(msgspec.Struct, frozen=True, array_like=True, tag="progress"):
    """Of the partitions that I take over in this epoch so many are complete here, durably."""

    epoch: Count
    done: Count
    total: Count


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
    | CompareSingles
    | CompareLeaves
    | AskSweep
    | DropTombstones
    | Prepare
    | Accept
    | AskHeld
    | Began
)
"""What is answered under its id (calls.py)."""
Answer = (
    Stored
    | Refused
    | Fetched
    | Forwarded
    | Trace
    | Roots
    | Differing
    | SinglesAnswer
    | LeafAnswer
    | SweepAnswer
    | Stale
    | Vote
    | Held
    | BeganAnswer
)
Probe = Ping | PingRequest | Ack
Message = Hello | Welcome | Proof | Moment | Question | Answer | Probe | AskRing | RingNews | Progress

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Message).decode
"""bytes -> Message; raises one of UNDECODABLE on anything else."""
UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""The second one for text that is no UTF-8, the third for lists within lists within lists."""
