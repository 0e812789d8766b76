"""A store in memory with faults, for tests of everything above the stores.

Here: a dictionary behind the Store and Observer protocols; nodes that can be dead (refuse), silent (never
answer) or forgetful (acknowledge and lose: the bug that the ledger must catch). Not here: replication; it
is one copy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from traffic.stores.base import (
    ActorTotals,
    CounterReply,
    GetReply,
    NotFound,
    Observed,
    PutReply,
    Sibling,
    StoreError,
)

STORE_ID = "memory.0000000000000001"


class MemoryStore:
    """One copy of the data behind several node names. Every fault is a plain attribute, set by the test."""

    def __init__(self, nodes: int = 3, *, latency_s: float = 0.001, seed: int = 1) -> None:
        self._nodes = tuple(f"node-{index}" for index in range(1, nodes + 1))
        self._random = Random(seed)
        self.latency_s = latency_s
        self.timeout_s = 3.0
        self.dead: set[str] = set()  # refuses: a definite failure
        self.silent: set[str] = set()  # takes the request and never answers: an indefinite failure
        self.applies_when_silent = True
        self.forgetful = False  # acknowledges writes and drops them
        self.disagreeing: set[str] = set()  # keys whose replicas differ
        self.calls: list[tuple[str, str, str]] = []  # (node, what, key)
        self.values: dict[str, tuple[Any, str]] = {}
        self.counters: dict[str, dict[str, int]] = {}
        self._dots = 0

    @property
    def nodes(self) -> Sequence[str]:
        return self._nodes

    @property
    def replicas(self) -> int:
        return min(3, len(self._nodes))

    async def learn(self) -> bool:
        return True

    def url(self, node: str) -> str:
        return f"memory://{node}"

    def has_room(self, node: str) -> bool:
        return True

    async def put(self, node: str, key: str, value: str, *, w: int, context: str | None = None) -> PutReply:
        silent = await self._arrive(node, "put", key)
        self._dots += 1
        dot = f"{STORE_ID}:{self._dots}"
        if self._applies(silent):
            self.values[key] = (value, dot)
        await self._answer(node, silent)
        clock = {STORE_ID: self._dots}
        return PutReply(key, dot, clock, node, w, issued_under={}, context=dot, acknowledged_by=[node])

    async def get(self, node: str, key: str, *, r: int) -> GetReply:
        await self._answer(node, await self._arrive(node, "get", key))
        if key not in self.values:
            raise NotFound(node, f"no such key: {key!r}")
        value, dot = self.values[key]
        clock = {STORE_ID: int(dot.rpartition(":")[2])}
        return GetReply(key, value, False, [Sibling(value, dot, clock, node)], clock, node, context=dot)

    async def add(self, node: str, key: str, *, actor: str, increments: int, w: int) -> None:
        silent = await self._arrive(node, "add", key)
        if self._applies(silent):
            actors = self.counters.setdefault(key, {})
            actors[actor] = max(actors.get(actor, 0), increments)
        await self._answer(node, silent)

    async def counter(self, node: str, key: str, *, r: int) -> CounterReply:
        await self._answer(node, await self._arrive(node, "counter", key))
        actors = self.counters.get(key, {})
        return CounterReply(
            key, sum(actors.values()), node, {actor: ActorTotals(total, 0) for actor, total in actors.items()}
        )

    async def keys(self, node: str, *, prefix: str, after: str, limit: int) -> list[str]:
        await self._answer(node, await self._arrive(node, "keys", prefix))
        return sorted(key for key in self.values if key.startswith(prefix) and key > after)[:limit]

    async def close(self) -> None:
        return None

    async def health(self, node: str) -> Mapping[str, str]:
        await self._answer(node, await self._arrive(node, "health", ""))
        return {one: "dead" if one in self.dead else "alive" for one in self._nodes}

    async def stats(self, node: str) -> Observed:
        await self._answer(node, await self._arrive(node, "stats", ""))
        return Observed(members={}, hints_pending=0, keys=len(self.values))

    async def replicas_agree(self, node: str, key: str, *, counter: bool) -> bool:
        await self._answer(node, await self._arrive(node, "replicas", key))
        return key not in self.disagreeing and not self.dead

    def _applies(self, silent: bool) -> bool:
        return not self.forgetful and (not silent or self.applies_when_silent)

    async def _arrive(self, node: str, what: str, key: str) -> bool:
        """The request reaches the node; answers whether the node will stay silent."""
        self.calls.append((node, what, key))
        if node in self.dead:
            raise StoreError(node, "connection refused", definite=True)
        silent = node in self.silent
        await asyncio.sleep(self._random.expovariate(1 / self.latency_s) if self.latency_s else 0)
        return silent

    async def _answer(self, node: str, silent: bool) -> None:
        if silent:
            await asyncio.sleep(self.timeout_s)
            raise StoreError(node, "no answer in time", definite=False)
