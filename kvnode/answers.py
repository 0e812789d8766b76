"""The shapes of the answers that kvnode.client gives: plain dictionaries with known keys.

They are dictionaries so that `pandas.DataFrame(answers)` and printing in a notebook just work.
Not here: how nodes make them (requests.py), and errors (errors.py).
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
    """A PUT or DELETE that w replicas made durable. `context` covers this write: pass it to the next PUT."""

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
    cause: str


class GetAnswer(TypedDict):
    """What r replicas hold together. On a conflict `value` is the sibling with the latest timestamp."""

    key: str
    value: Any
    conflict: bool
    siblings: list[Sibling]
    vector_clock: Vector
    context: str
    node: str
    r: int
    answered_by: list[str]
    cause: str


class Replica(TypedDict):
    """What one replica holds. Replicas agree if all are reachable and their digests are equal.

    stored_at: wall clock in ms when this replica made it durable; None if it is not known.
    """

    node: str
    reachable: bool
    siblings: list[Sibling]
    vector_clock: NotRequired[Vector]
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
    """A counter's totals that w replicas made durable. Not idempotent: a retry may count twice."""

    key: str
    value: int
    actor: str
    increments: int
    decrements: int
    w: int
    acknowledged_by: list[str]
    node: str
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
    cause: str


class CounterReplica(TypedDict):
    """What one replica knows of a counter."""

    node: str
    reachable: bool
    actors: NotRequired[dict[str, ActorTotals]]
    value: NotRequired[int | None]
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


class Ring(TypedDict):
    """Who holds what. With a key: its partition and preference list too."""

    epoch: int
    replicas: int
    partitions: int
    nodes: list[str]
    slots: dict[str, int]
    preference_lists: list[list[str]]
    key: NotRequired[str]
    partition: NotRequired[int]
    preference_list: NotRequired[list[str]]


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


class FaultsAnswer(TypedDict):
    """The outgoing rules that a node now has."""

    node: str
    rules: dict[str, dict[str, Any]]
