"""What nodes say about records: storing, fetching, forwarding, and what each did for one request.

Records travel as the very bytes that are stored: opaque here, canonical by versions/.
"""

from __future__ import annotations

import msgspec

from kvnode.versions.bounds import Checksum, Count, DateMs, HttpStatus, Id

KV = "kv"
COUNTER = "counter"


class StoreRecord(msgspec.Struct, frozen=True, array_like=True, tag="store"):
    """Merge this record into yours and make it durable; answered by Stored. base_checksum: see Records.merge_in."""

    id: Id
    trace_id: int
    kind: str
    key: str
    record: bytes
    epoch: Count
    base_checksum: Checksum = 0


class StoreMany(msgspec.Struct, frozen=True, array_like=True, tag="store-many"):
    """The same for several records (kind, key, record): hints and repairs. `why` says which."""

    id: Id
    trace_id: int
    why: str
    records: tuple[tuple[str, str, bytes], ...]
    epoch: Count


class StoreHint(msgspec.Struct, frozen=True, array_like=True, tag="store-hint"):
    """Keep this record for `owner`, which cannot be reached, and hand it over; answered by Stored once durable."""

    id: Id
    trace_id: int
    owner: str
    kind: str
    key: str
    record: bytes
    epoch: Count


class Stored(msgspec.Struct, frozen=True, array_like=True, tag="stored"):
    """All records of that question are durable here."""

    id: Id


class Refused(msgspec.Struct, frozen=True, array_like=True, tag="refused"):
    """That question cannot be served here, and why, in words for people; nothing was stored on its account.

    too_late: what was offered is from an earlier membership, and may be older than a tombstone that was reaped since.
    """

    id: Id
    why: str
    too_late: bool = False


class Fetch(msgspec.Struct, frozen=True, array_like=True, tag="fetch"):
    """What do you hold, durably, under this key? Answered by Fetched."""

    id: Id
    trace_id: int
    kind: str
    key: str
    epoch: Count


class FetchHinted(msgspec.Struct, frozen=True, array_like=True, tag="fetch-hinted"):
    """What do you keep, durably, for owners of this key that cannot be reached? Answered by Fetched."""

    id: Id
    trace_id: int
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
    trace_id: int
    request: bytes
    epoch: Count


class Forwarded(msgspec.Struct, frozen=True, array_like=True, tag="forwarded"):
    """The answer to pass on to the client: an HTTP status and a JSON body."""

    id: Id
    status: HttpStatus
    body: bytes


class AskTrace(msgspec.Struct, frozen=True, array_like=True, tag="ask-trace"):
    """What is your part in the trace of this request? Answered by Trace."""

    id: Id
    trace_id: int


class Trace(msgspec.Struct, frozen=True, array_like=True, tag="trace"):
    """(wall ms, what happened, the peer it concerns) in order."""

    id: Id
    events: tuple[tuple[DateMs, str, str], ...]
