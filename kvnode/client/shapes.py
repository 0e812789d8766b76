"""The shapes of the answers that kvnode.client gives: plain dictionaries with known keys.

They are dictionaries so that `pandas.DataFrame(answers)` and printing in a notebook just work.
Must not live here: how nodes make them (kvnode/operations.py), and errors (errors.py).
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

Vector = dict[str, int]
"""{store id: how many of its writes were seen}."""


class Sibling(TypedDict):
    """One version of a key. vector_clock is issued_under (what its writer had seen) with its own dot."""

    value: Any
    dot: str
    vector_clock: Vector
    issued_under: NotRequired[Vector]
    issued_under_dots: NotRequired[list[str]]
    node: str
    timestamp: float
    deleted: NotRequired[bool]


class PutAnswer(TypedDict):
    """A PUT or DELETE that w replicas made durable. `context` covers this write: pass it to the next PUT.

    fallbacks, of a sloppy request: {who acknowledged: the owner it stood in for}.
    """

    key: str
    dot: str
    node: str
    context: str
    issued_under: Vector
    issued_under_dots: NotRequired[list[str]]
    vector_clock: Vector
    timestamp: float
    w: int
    acknowledged_by: list[str]
    trace_id: str
    cause: str
    sloppy: NotRequired[bool]
    fallbacks: NotRequired[dict[str, str]]
    note: NotRequired[str]


class GetAnswer(TypedDict):
    """What r replicas hold together. On a conflict `value` is the sibling with the latest timestamp.

    refilling: replicas that answered and do not count, since they replace a lost disk and may lack something.
    """

    key: str
    value: Any
    conflict: bool
    siblings: list[Sibling]
    vector_clock: Vector
    context: str
    node: str
    r: int
    answered_by: list[str]
    trace_id: str
    cause: str
    refilling: NotRequired[list[str]]
    sloppy: NotRequired[bool]
    fallbacks: NotRequired[dict[str, str]]
    note: NotRequired[str]


class Replica(TypedDict):
    """What one replica holds. Replicas agree if all are reachable and their digests are equal.

    stored_at: wall clock in ms when this replica made it durable; None if it is not known.
    """

    node: str
    reachable: bool
    siblings: list[Sibling]
    vector_clock: NotRequired[Vector]
    refilling: NotRequired[bool]
    digest: NotRequired[str | None]
    stored_at: NotRequired[float | None]


class ReplicasAnswer(TypedDict):
    """What every replica of a key holds now."""

    key: str
    partition: int
    replicas: list[Replica]


class ActorTotals(TypedDict):
    """One actor's running totals; they never decrease."""

    increments: int
    decrements: int


class IncrementAnswer(TypedDict):
    """A counter's totals that w replicas made durable. Without an actor not idempotent: a retry may count twice."""

    key: str
    value: int
    actor: str
    increments: int
    decrements: int
    w: int
    acknowledged_by: list[str]
    node: str
    trace_id: str
    cause: str
    idempotent: bool
    note: NotRequired[str]


class CounterAnswer(TypedDict):
    """A counter as r replicas know it together; an unknown one is 0."""

    key: str
    value: int
    actors: dict[str, ActorTotals]
    node: str
    r: int
    answered_by: list[str]
    trace_id: str
    cause: str
    refilling: NotRequired[list[str]]


class CounterReplica(TypedDict):
    """What one replica knows of a counter."""

    node: str
    reachable: bool
    actors: NotRequired[dict[str, ActorTotals]]
    value: NotRequired[int | None]
    refilling: NotRequired[bool]
    digest: NotRequired[str | None]


class CounterReplicasAnswer(TypedDict):
    """What every replica of a counter knows now."""

    key: str
    replicas: list[CounterReplica]


class Health(TypedDict):
    """A node that answers, and how it sees the members: alive, suspect or dead."""

    status: str
    node: str
    cluster: str
    members: dict[str, str]


class Info(TypedDict):
    """Who a node is."""

    name: str
    version: str
    cluster: str
    cluster_id: str
    store_id: str
    replicas: int
    partitions: int
    epoch: int
    pid: int
    started_at: float
    http_port: int
    peer_port: int


class PendingOwner(TypedDict):
    """A node that takes partitions over: how many, and how many are complete there."""

    slots: int
    done: int


class Moved(TypedDict):
    """The slots that a change moves, as a share of all slots, beside one node's share (the ideal)."""

    slots: int
    share: float
    ideal_share: float
    times_ideal: float


class Ring(TypedDict):
    """Who holds what. With a key: its partition, preference list and pending owners too.

    phase: stable, or moving while a change is under way; then `change` says which, `pending` who takes how much over,
    and pending_lists which partitions. note: what happened last. moved: by this change, or the last one. orphaned:
    the partitions that this node holds something of though they belong to others by now.
    """

    epoch: int
    replicas: int
    partitions: int
    nodes: list[str]
    slots: dict[str, int]
    preference_lists: list[list[str]]
    pending_lists: list[list[str]] | None
    phase: str
    change: str
    note: str
    members: list[str]
    pending: dict[str, PendingOwner]
    moved: Moved | None
    orphaned: int
    key: NotRequired[str]
    partition: NotRequired[int]
    preference_list: NotRequired[list[str]]
    pending_owners: NotRequired[list[str]]


class ChangeAnswer(TypedDict):
    """The ring after a change was admitted; GET /ring tells how it goes on."""

    epoch: int
    phase: str
    change: str
    note: str
    members: list[str]
    pending: dict[str, PendingOwner]
    moved: Moved | None


class Member(TypedDict):
    """One row of a node's member table. since: wall clock in ms."""

    name: str
    state: str
    incarnation: int
    since: float
    self: bool


class MembersAnswer(TypedDict):
    """A node's member table."""

    node: str
    members: list[Member]


class Work(TypedDict):
    """One maintenance task. last_began: wall clock in ms. result: what its last round came to; error: why it failed."""

    running: bool
    rounds_total: int
    last_began: float | None
    last_duration_s: float | None
    next_in_s: float | None
    result: dict[str, Any]
    error: str


class MaintenanceAnswer(TypedDict):
    """How the works stand that were begun: over, or still running after a moment (a sweep waits for silence)."""

    node: str
    maintenance: dict[str, Work]


class TraceEvent(TypedDict):
    """One thing that a node noted of a request. at_ms: since the first of all; peer: whom it concerns."""

    node: str
    at_ms: float
    event: str
    peer: NotRequired[str]


class TraceAnswer(TypedDict):
    """The trace of one request, from all nodes that answered. began: wall clock in ms; None if nothing is known."""

    trace_id: str
    cause: str
    began: float | None
    events: list[TraceEvent]


class FaultsAnswer(TypedDict):
    """The outgoing rules that a node now has."""

    node: str
    rules: dict[str, dict[str, Any]]
