"""Inspection, for people: what each replica of a key holds now, and what each node did for one request.

No quorum, no merging, no repair: a node that is silent is left out.
Must not live here: serving requests (routing.py).
"""

from __future__ import annotations

import asyncio

from kvnode.config import REPLICA_ASKED_MS, TRACE_TIMEOUT_MS
from kvnode.context import NodeContext
from kvnode.messages import AskTrace, Fetch, Fetched, Trace
from kvnode.observe import Event
from kvnode.replication.replica import Replica
from kvnode.runtime import Handlers


class Inspection:
    """Both sides of one node."""

    def __init__(self, node: NodeContext, replica: Replica) -> None:
        self._node = node
        self._replica = replica

    def handlers(self) -> Handlers:
        """What is done with each message that is for this component."""
        return {AskTrace: self.on_ask_trace}

    async def replicas(self, kind: str, key: str) -> list[tuple[str, Fetched | None]]:
        """What each replica holds durably now. None: it does not answer."""
        replicas = self._node.ring.preference_list(key)
        held = await asyncio.gather(*(self._fetch(replica, kind, key) for replica in replicas))
        return list(zip(replicas, held, strict=True))

    async def _fetch(self, replica: str, kind: str, key: str) -> Fetched | None:
        if replica == self._node.name:
            return self._replica.held(kind, key)
        if self._node.members.is_dead(replica):
            return None
        epoch = self._node.ring.epoch
        try:
            answer = await self._node.rpc.ask(
                replica, lambda id_: Fetch(id_, 0, kind, key, epoch), REPLICA_ASKED_MS
            )
        except TimeoutError:
            return None
        return answer if isinstance(answer, Fetched) else None

    async def trace(self, trace_id: int) -> list[tuple[str, Event]]:
        """(node, event) of one request from all nodes that answer, in the order of their wall clocks."""
        nodes = [name for name in self._node.ring.nodes if not self._node.members.is_dead(name)]
        parts = await asyncio.gather(*(self._part(name, trace_id) for name in nodes))
        return sorted(
            ((name, event) for name, events in zip(nodes, parts, strict=True) for event in events),
            key=lambda told: told[1][0],
        )

    async def _part(self, peer: str, trace_id: int) -> tuple[Event, ...]:
        if peer == self._node.name:
            return self._node.observer.traces.events(trace_id)
        try:
            answer = await self._node.rpc.ask(peer, lambda id_: AskTrace(id_, trace_id), TRACE_TIMEOUT_MS)
        except TimeoutError:
            return ()
        return answer.events if isinstance(answer, Trace) else ()

    def on_ask_trace(self, peer: str, message: AskTrace) -> None:
        """This node's part of a trace."""
        events = self._node.observer.traces.events(message.trace_id)
        self._node.runtime.network.send(peer, Trace(message.id, events))
