"""A store in memory with faults, for tests of everything above the stores.

Here: a dictionary behind the Store and Observer protocols; nodes that can be dead (refuse), silent (never
answer) or forgetful (acknowledge and lose: the bug that the ledger must catch), and that may join and leave. Not
here: replication; it is one copy.

Versions are real, if simple: there is one store id, so a dot is a number that grows, and a context is the
number up to which everything was seen and, after a "+", single numbers beside that. A version is obsolete
when another one's past has seen it; so writers who did not see each other leave siblings, as in a database.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from msgspec import structs

from kvnode.checkers import UNREACHABLE, Digests
from traffic.operations import Mode
from traffic.stores.base import (
    ActorTotals,
    CounterReply,
    GetReply,
    Members,
    NotAMember,
    NotFound,
    Observed,
    PutReply,
    ReplicaSeen,
    Sibling,
    StoreError,
    TraceEvent,
)

STORE_ID = "memory.0000000000000001"


class Seen(NamedTuple):
    """What a writer has seen: all dots up to `upto`, and `single` ones."""

    upto: int = 0
    single: frozenset[int] = frozenset()

    def __str__(self) -> str:
        return "+".join(map(str, (self.upto, *sorted(self.single))))

    @classmethod
    def parse(cls, context: str) -> Seen:
        upto, *single = map(int, context.split("+"))
        return cls(upto, frozenset(single))

    def covers(self, dot: int) -> bool:
        return dot <= self.upto or dot in self.single


class Version(NamedTuple):
    """One write."""

    value: Any
    dot: int
    past: Seen = Seen()
    lww: bool = False

    def sibling(self, node: str) -> Sibling:
        clock = {STORE_ID: max(self.dot, self.past.upto, *self.past.single, 0)}
        singles = [f"{STORE_ID}:{dot}" for dot in sorted(self.past.single)]
        past = {STORE_ID: self.past.upto} if self.past.upto else {}
        dot = f"{STORE_ID}:{self.dot}"
        return Sibling(self.value, dot, clock, node, self.dot, issued_under=past, issued_under_dots=singles)


class MemoryStore:
    """One copy of the data behind several node names. Every fault is a plain attribute, set by the test."""

    def __init__(self, nodes: int = 3, *, latency_s: float = 0.001, seed: int = 1) -> None:
        self._nodes = tuple(f"node-{index}" for index in range(1, nodes + 1))
        self._random = Random(seed)
        self.ring = Members(1, self._nodes)  # who is a member; a test may change it
        self.latency_s = latency_s
        self.timeout_s = 3.0
        self.dead: set[str] = set()  # refuses: a definite failure
        self.silent: set[str] = set()  # takes the request and never answers: an indefinite failure
        self.applies_when_silent = True
        self.forgetful = False  # acknowledges writes and drops them
        self.refused_keys: set[str] = set()  # what a node would call a bad request
        self.disagreeing: set[str] = set()  # keys whose replicas differ
        self.calls: list[tuple[str, str, str]] = []  # (node, what, key)
        self.values: dict[str, list[Version]] = {}
        self.stored_ms: dict[str, float] = {}  # when a key was written last, on the wall clock
        self.counters: dict[str, dict[str, ActorTotals]] = {}
        self._dots = 0

    @property
    def nodes(self) -> Sequence[str]:
        return self._nodes

    @property
    def replicas(self) -> int:
        return min(3, len(self._nodes))

    @property
    def cluster(self) -> str:
        return "memory"

    def apart(self, connections_max: int) -> MemoryStore:
        return self

    async def learn(self) -> bool:
        return True

    def url(self, node: str) -> str:
        return f"memory://{node}"

    def admit(self, node: str, url: str) -> None:
        if node not in self._nodes:
            self._nodes = (*self._nodes, node)

    def dismiss(self, node: str) -> None:
        self._nodes = tuple(name for name in self._nodes if name != node)

    def has_room(self, node: str) -> bool:
        return True

    # --- Store --------------------------------------------------------------------------------------------

    async def put(
        self,
        node: str,
        key: str,
        value: str,
        *,
        w: int,
        context: str | None = None,
        mode: Mode | None = None,
    ) -> PutReply:
        silent = await self._arrive(node, "put", key)
        held = self.values.get(key, [])
        if context is not None:
            past = Seen.parse(context)
        elif mode in ("siblings", "lww"):
            past = Seen()
        else:
            past = Seen(max((one.dot for one in held), default=0))
        self._dots += 1
        version = Version(value, self._dots, past, mode == "lww")
        left = [one for one in held if not (past.covers(one.dot) or (version.lww and one.lww))]
        if self._applies(silent):
            self.values[key] = [*left, version]
            self.stored_ms[key] = time.time() * 1000
        await self._answer(node, silent)
        shown = version.sibling(node)
        seen = Seen(past.upto, past.single | {version.dot}) if left else Seen(version.dot)
        return PutReply(
            key=key,
            dot=shown.dot,
            vector_clock=shown.vector_clock,
            node=node,
            w=w,
            issued_under=shown.issued_under,
            issued_under_dots=shown.issued_under_dots,
            context=str(seen),
            acknowledged_by=[node],
        )

    async def get(self, node: str, key: str, *, r: int, repair: bool = True) -> GetReply:
        await self._answer(node, await self._arrive(node, "get", key))
        if key not in self.values:
            raise NotFound(node, f"no such key: {key!r}")
        siblings = [version.sibling(node) for version in self.values[key]]
        newest = self.values[key][-1]
        clock = {STORE_ID: newest.dot}
        return GetReply(
            key, newest.value, len(siblings) > 1, siblings, clock, node, context=str(Seen(newest.dot))
        )

    async def add(
        self, node: str, key: str, *, actor: str, increments: int, decrements: int = 0, w: int
    ) -> CounterReply:
        silent = await self._arrive(node, "add", key)
        if self._applies(silent):
            actors = self.counters.setdefault(key, {})
            held = actors.get(actor, ActorTotals(0, 0))
            actors[actor] = ActorTotals(max(held.increments, increments), max(held.decrements, decrements))
        await self._answer(node, silent)
        totals = self.counters.get(key, {}).get(actor, ActorTotals(0, 0))
        return CounterReply(key, self._counter(node, key).value, node, {actor: totals}, w)

    async def counter(self, node: str, key: str, *, r: int) -> CounterReply:
        await self._answer(node, await self._arrive(node, "counter", key))
        return self._counter(node, key)

    async def keys(self, node: str, *, prefix: str, after: str, limit: int) -> list[str]:
        await self._answer(node, await self._arrive(node, "keys", prefix))
        return sorted(key for key in self.values if key.startswith(prefix) and key > after)[:limit]

    async def repair(self, node: str) -> None:
        await self._answer(node, await self._arrive(node, "repair", ""))

    async def sweep(self, node: str) -> None:
        await self._answer(node, await self._arrive(node, "sweep", ""))

    async def close(self) -> None:
        return None

    # --- Observer -----------------------------------------------------------------------------------------

    async def trace(self, node: str, trace_id: str) -> list[TraceEvent]:
        return []  # nobody took notes

    async def health(self, node: str) -> Mapping[str, str]:
        await self._answer(node, await self._arrive(node, "health", ""))
        return {one: "dead" if one in self.dead else "alive" for one in self.ring.names}

    async def members(self, node: str) -> Members:
        await self._answer(node, await self._arrive(node, "members", ""))
        return self.ring

    async def stats(self, node: str) -> Observed:
        await self._answer(node, await self._arrive(node, "stats", ""))
        return Observed(members={}, hints_pending=0, keys=len(self.values))

    async def replicas_agree(self, node: str, key: str, *, counter: bool) -> bool:
        await self._answer(node, await self._arrive(node, "replicas", key))
        return key not in self.disagreeing and not self.dead

    async def seen_by_replicas(self, node: str, key: str) -> list[ReplicaSeen]:
        await self._answer(node, await self._arrive(node, "replicas", key))
        stored_ms = self.stored_ms.get(key)
        siblings = [
            structs.replace(version.sibling(node), timestamp=(stored_ms or 0) - 2)
            for version in self.values.get(key, [])
        ]
        return [
            ReplicaSeen(one, False) if one in self.dead else ReplicaSeen(one, True, siblings, stored_ms)
            for one in self._nodes
        ]

    async def digests(self, node: str, key: str, *, counter: bool) -> Digests:
        await self._answer(node, await self._arrive(node, "replicas", key))
        return {
            one: UNREACHABLE if one in self.dead else one if key in self.disagreeing else "same"
            for one in self._nodes
        }

    # --- inside -------------------------------------------------------------------------------------------

    def _counter(self, node: str, key: str) -> CounterReply:
        actors = dict(self.counters.get(key, {}))
        value = sum(totals.increments - totals.decrements for totals in actors.values())
        return CounterReply(key, value, node, actors)

    def _applies(self, silent: bool) -> bool:
        return not self.forgetful and (not silent or self.applies_when_silent)

    async def _arrive(self, node: str, what: str, key: str) -> bool:
        """The request reaches the node; answers whether the node will stay silent."""
        self.calls.append((node, what, key))
        if node in self.dead:
            raise StoreError(node, "connection refused", definite=True)
        if key in self.refused_keys:
            raise StoreError(node, "the key holds a NUL byte", definite=True, status=400)
        if node not in self.ring.names and what in ("put", "get", "add", "counter"):
            raise NotAMember(node, f"{node} is not a member any more")
        silent = node in self.silent
        await asyncio.sleep(self._random.expovariate(1 / self.latency_s) if self.latency_s else 0)
        return silent

    async def _answer(self, node: str, silent: bool) -> None:
        if silent:
            await asyncio.sleep(self.timeout_s)
            raise StoreError(node, "no answer in time", definite=False)
