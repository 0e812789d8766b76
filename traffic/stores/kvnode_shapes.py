"""What goes to a node of kvnode and what comes back, as JSON: bodies and answers, as far as the traffic reads them.

Must not live here: requests (kvnode.py), what the traffic makes of them (base.py).
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from traffic.stores.base import ActorTotals, CounterReply, ReplicaSeen, Sibling, TraceEvent


class PutBody(Struct, omit_defaults=True):
    value: str
    context: str | None = None


class AddBody(Struct):
    actor: str
    increments: int
    decrements: int


class Added(Struct):
    """What an addition answers: the value, and the totals of the one actor that was asked for."""

    key: str
    value: int
    node: str
    actor: str
    increments: int
    decrements: int
    w: int | None = None

    @property
    def reply(self) -> CounterReply:
        totals = {self.actor: ActorTotals(self.increments, self.decrements)}
        return CounterReply(self.key, self.value, self.node, totals, self.w)


class Problem(Struct):
    title: str = ""
    detail: str = ""
    definite: bool = False
    siblings: list[Sibling] = []


class Keys(Struct):
    keys: list[str]


class Info(Struct):
    name: str
    replicas: int
    cluster_id: str = ""


class Ring(Struct):
    epoch: int
    members: tuple[str, ...]
    urls: dict[str, str] = {}


class Health(Struct):
    members: dict[str, str]


class Hints(Struct):
    pending_total: int = 0


class Stats(Struct):
    hints: Hints = msgspec.field(default_factory=Hints)
    keys: int | None = None
    replication_lag: dict[str, dict[str, Any]] = {}


class Trace(Struct):
    began: float | None
    events: list[TraceEvent]


class ReplicaOf(Struct):
    node: str
    reachable: bool
    digest: str | None = None


class Replicas(Struct):
    replicas: list[ReplicaOf]


class Seen(Struct):
    replicas: list[ReplicaSeen]
