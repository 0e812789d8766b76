"""Asking around for people who look on: what each replica of a key holds, and what each node did for one request.

No quorum, no merging, no repair: a node that is silent is left out. Not here: serving requests (node.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kvnode.config import REPLICA_ASKED_MS, TRACE_TIMEOUT_MS
from kvnode.messages import AskTrace, Fetch, Fetched, Trace
from kvnode.observe import Event, Traces
from kvnode.records.incomplete import Incomplete
from kvnode.records.records import Records
from kvnode.ring import Placement
from kvnode.rpc import Rpc
from kvnode.runtime import Runtime


class Inspection:
    """Both sides of one node."""

    def __init__(
        self,
        runtime: Runtime,
        node: str,
        ring: Placement,
        rpc: Rpc,
        records: Records,
        incomplete: Incomplete,
        traces: Traces,
        is_dead: Callable[[str], bool],
    ) -> None:
        self._runtime = runtime
        self._node = node
        self._ring = ring
        self._rpc = rpc
        self._records = records
        self._incomplete = incomplete
        self._traces = traces
        self._is_dead = is_dead

    async def replicas(self, kind: str, key: str) -> list[tuple[str, Fetched | None]]:
        """What each replica holds durably now. None: it does not answer."""
        replicas = self._ring.preference_list(key)
        held = await asyncio.gather(*(self._fetch(replica, kind, key) for replica in replicas))
        return list(zip(replicas, held, strict=True))

    async def _fetch(self, replica: str, kind: str, key: str) -> Fetched | None:
        if replica == self._node:
            counts = self._ring.partition_of(key) not in self._incomplete
            stored_at = self._records.stored_at(kind, key) or 0.0
            return Fetched(0, self._records.durable(kind, key), stored_at, counts)
        if self._is_dead(replica):
            return None
        epoch = self._ring.epoch
        try:
            answer = await self._rpc.ask(
                replica, lambda id_: Fetch(id_, 0, kind, key, epoch), REPLICA_ASKED_MS
            )
        except TimeoutError:
            return None
        return answer if isinstance(answer, Fetched) else None

    async def trace(self, trace_id: int) -> list[tuple[str, Event]]:
        """The story of one request from all nodes that answer, in the order of their wall clocks."""
        nodes = [name for name in self._ring.nodes if not self._is_dead(name)]
        parts = await asyncio.gather(*(self._part(name, trace_id) for name in nodes))
        return sorted(
            ((name, event) for name, events in zip(nodes, parts, strict=True) for event in events),
            key=lambda told: told[1][0],
        )

    async def _part(self, peer: str, trace_id: int) -> tuple[Event, ...]:
        if peer == self._node:
            return self._traces.events(trace_id)
        try:
            answer = await self._rpc.ask(peer, lambda id_: AskTrace(id_, trace_id), TRACE_TIMEOUT_MS)
        except TimeoutError:
            return ()
        return answer.events if isinstance(answer, Trace) else ()

    def on_ask_trace(self, peer: str, message: AskTrace) -> None:
        """This node's part of a story."""
        self._runtime.network.send(peer, Trace(message.id, self._traces.events(message.trace_id)))
