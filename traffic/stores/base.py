"""The Store protocol: what the traffic needs of a database, one node at a time.

Here: the protocol, the answers and the error.
Must not live here: any database, any HTTP, choosing nodes (load/driver.py).

Each call goes through the one node that is named and is tried once. Whoever calls decides about another
node or another try, and needs one fact for it: whether a failure is *definite* (no replica can have
applied the write) or indefinite (it may or may not have happened). In doubt it is indefinite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from kvnode.checkers import Digests
from traffic.operations import Mode


class StoreError(Exception):
    """One call failed. `status` is the HTTP status where there was one, else 0."""

    def __init__(self, node: str, detail: str, *, definite: bool, status: int = 0) -> None:
        super().__init__(f"{node}: {detail}")
        self.node = node
        self.detail = detail
        self.definite = definite
        self.status = status

    @property
    def refused(self) -> bool:
        """The request itself was refused: the same request will be refused again, everywhere."""
        return 400 <= self.status < 500 and self.status != 429


class NotAMember(StoreError):
    """The node is no member of the cluster (any more, or yet): another one will do. Nothing was written."""

    def __init__(self, node: str, detail: str) -> None:
        super().__init__(node, detail, definite=True, status=503)


class PutReply(Struct, frozen=True):
    """A put was acknowledged. Versions are as the database prints them; `context` goes into the next put."""

    key: str
    dot: str
    vector_clock: dict[str, int]
    node: str
    w: int
    issued_under: dict[str, int] | None = None
    issued_under_dots: list[str] = []
    context: str | None = None
    acknowledged_by: list[str] = []
    trace_id: str | None = None  # under which the database keeps this request's trace


class Sibling(Struct, frozen=True):
    """One of the versions that a key has."""

    value: Any
    dot: str
    vector_clock: dict[str, int]
    node: str
    timestamp: float = 0  # wall clock of its coordinator, ms
    issued_under: dict[str, int] | None = None
    issued_under_dots: list[str] = []
    deleted: bool = False


class NotFound(StoreError):
    """The read was answered: there is no such key, or only tombstones of it."""

    def __init__(self, node: str, detail: str, *, siblings: Sequence[Sibling] = ()) -> None:
        super().__init__(node, detail, definite=True, status=404)
        self.siblings = siblings


class GetReply(Struct, frozen=True):
    """What a quorum read found. `value` is the one to show when siblings conflict."""

    key: str
    value: Any
    conflict: bool
    siblings: list[Sibling]
    vector_clock: dict[str, int]
    node: str
    context: str | None = None
    trace_id: str | None = None


class ActorTotals(Struct, frozen=True):
    """The running totals of one actor at one counter."""

    increments: int
    decrements: int


class CounterReply(Struct, frozen=True):
    """A counter as a quorum read or an acknowledged addition saw it."""

    key: str
    value: int
    node: str
    actors: dict[str, ActorTotals] | None = None
    w: int | None = None


Reply = PutReply | GetReply | CounterReply | None
"""What an operation brought; None: there is no such key (or nothing to tell, as after maintenance)."""


class TraceEvent(Struct, frozen=True):
    """One event in the trace of a request: at `at_ms` (wall clock of `node`) it did `event`, as to `peer`."""

    node: str
    at_ms: float
    event: str
    peer: str = ""


class ReplicaSeen(Struct, frozen=True):
    """What one replica of a key holds itself, without a quorum and without repair.

    stored_at: its own wall clock, in ms, when it had made that durable; None: not since it started, or long ago.
    """

    node: str
    reachable: bool
    siblings: list[Sibling] = []
    stored_at: float | None = None
    digest: str | None = None


class Store(Protocol):
    """Reads and writes. Every call raises StoreError when it fails, at the latest after the adapter's
    timeout."""

    @property
    def nodes(self) -> Sequence[str]:
        """The names of the nodes, in order."""
        ...

    @property
    def replicas(self) -> int:
        """N: how many replicas each key has."""
        ...

    @property
    def cluster(self) -> str:
        """Which database this is: a name that no other one has; "" until `learn` has been told."""
        ...

    async def learn(self) -> bool:
        """Ask the database for its N and its identity; whether it has told. Until then N is a guess."""
        ...

    def url(self, node: str) -> str:
        """Where `node` is, for people to read."""
        ...

    def admit(self, node: str, url: str) -> None:
        """From now on this is one of the `nodes`, and it is there."""
        ...

    def dismiss(self, node: str) -> None:
        """It is none of the `nodes` any more; calls through it still end in their own ways."""
        ...

    def has_room(self, node: str) -> bool:
        """Whether one more call through `node` would start at once instead of waiting for another to end."""
        ...

    async def put(
        self,
        node: str,
        key: str,
        value: str,
        *,
        w: int,
        context: str | None = None,
        mode: Mode | None = None,
    ) -> PutReply: ...

    async def get(self, node: str, key: str, *, r: int, repair: bool = True) -> GetReply:
        """repair: whether replicas that the read finds behind are mended."""
        ...

    async def add(
        self, node: str, key: str, *, actor: str, increments: int, decrements: int = 0, w: int
    ) -> CounterReply:
        """`increments` and `decrements` are the running totals of `actor`, not the difference. The answer holds
        the value and, of all actors, this one's totals."""
        ...

    async def counter(self, node: str, key: str, *, r: int) -> CounterReply: ...

    async def keys(self, node: str, *, prefix: str, after: str, limit: int) -> list[str]:
        """Keys that this node holds, sorted, greater than `after`."""
        ...

    async def repair(self, node: str) -> None:
        """Have `node` compare itself with every live peer now, and mend what differs."""
        ...

    async def sweep(self, node: str) -> None:
        """Have `node` let go of tombstones that nobody needs any more."""
        ...

    async def close(self) -> None: ...


class Members(Struct, frozen=True):
    """Who is a member of the cluster, by name, as of an epoch: a number that grows with every change.

    urls: where the nodes listen, as they themselves know it.
    """

    epoch: int
    names: tuple[str, ...]
    urls: Mapping[str, str] = {}


class Observed(Struct, frozen=True):
    """What a node says about itself and the others; the parts that the traffic shows."""

    members: Mapping[str, str]
    hints_pending: int | None = None
    keys: int | None = None
    replication_lag_ms: Mapping[str, Mapping[str, Any]] = {}


class Observer(Protocol):
    """Looks at the database without taking part: health and whether replicas agree.

    Its calls never share a connection or a bound with the Store's, so that watching neither slows the
    traffic nor is slowed by it.
    """

    async def health(self, node: str) -> Mapping[str, str]:
        """The states of all members as `node` believes them; StoreError if it does not answer in time."""
        ...

    async def stats(self, node: str) -> Observed: ...

    async def members(self, node: str) -> Members:
        """The members as `node` knows them."""
        ...

    async def replicas_agree(self, node: str, key: str, *, counter: bool) -> bool:
        """Whether all replicas of `key` were reachable (from `node`) and hold the same."""
        ...

    async def seen_by_replicas(self, node: str, key: str) -> list[ReplicaSeen]:
        """What each replica of the value `key` holds now; as `node` reaches them."""
        ...

    async def digests(self, node: str, key: str, *, counter: bool) -> Digests:
        """What each replica of `key` holds, as a digest; as `node` reaches them."""
        ...

    async def trace(self, node: str, trace_id: str) -> list[TraceEvent]:
        """The trace of one request as all nodes remember it, with wall-clock times in ms; in order of time."""
        ...


class TrafficStore(Store, Observer, Protocol):
    """Both: what the generator as a whole needs."""

    def apart(self, connections_max: int) -> TrafficStore:
        """The same nodes over connections of its own: neither store ever waits for the other. To be closed."""
        ...
