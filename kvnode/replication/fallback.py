"""Fallbacks: who stands in for an owner that cannot be reached, what it keeps for it, and what it shows of that.

A sloppy request counts the first N reachable nodes of the ring. A fallback keeps the write as a durable hint for the
owner, and hands it over when the owner is back. So a write goes through though its owners are dead; but a strict read,
of owners alone, does not meet it until then: r + w > N says nothing about it.

Paper: DeCandia et al., "Dynamo", 2007, section 4.6.
Must not live here: the handing over (hints.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kvnode.config import SAMPLE_COUNT_MAX
from kvnode.context import NodeContext
from kvnode.errors import BadRequest, KvError
from kvnode.messages import KV, Fetch, Fetched, FetchHinted, Message, Refused, Stored, StoreHint, StoreRecord
from kvnode.operations import Put
from kvnode.replication.hints import Hints
from kvnode.replication.values import ValueMutation, Values, held_of
from kvnode.ring import Placement
from kvnode.runtime import Handlers
from kvnode.versions import Dot, Siblings

# --- the side of the coordinator ------------------------------------------------------------------------------


def fallbacks_of(ring: Placement, key: str, node: str, is_alive: Callable[[str], bool]) -> dict[str, str]:
    """{who stands in: for which owner}, as `node` sees it; it may stand in itself. BadRequest if there is nobody else.

    A fallback is the next node on the ring that is alive, and does not take the partition over anyway.
    """
    owners = ring.preference_list(key)
    if len(ring.nodes) <= len(owners):
        raise BadRequest(
            f"sloppy=true needs more than N={len(owners)} nodes, so that others can stand in for owners; "
            f"this cluster has {len(ring.nodes)}"
        )
    away = [owner for owner in owners if owner != node and not is_alive(owner)]
    pending = ring.pending(key)
    others = [
        other
        for other in ring.walk(key)[len(owners) :]
        if (other == node or is_alive(other)) and other not in pending
    ]
    return dict(zip(others, away, strict=False))


def as_hint(question: StoreRecord, owner: str) -> StoreHint:
    """The same record, to be kept for its owner."""
    it = question
    return StoreHint(it.id, it.trace_id, owner, it.kind, it.key, it.record, it.epoch)


def as_fetch_hinted(question: Fetch) -> FetchHinted:
    """The same question, about what is kept for owners."""
    return FetchHinted(question.id, question.trace_id, question.kind, question.key, question.epoch)


class FallbackValues:
    """The versions that this node makes as a fallback, each under a store id of which it knows all writes.

    An owner's state of a key holds, or covers, everything that its store ever wrote there; so who has seen its newest
    write has seen the earlier ones (Version.seen relies on that). A fallback forgets what it has handed over. Under its
    own store id its next write would seem to have seen, and replace, one that is at the owners by now. So it takes a
    fresh store id, and goes on with that only while what it keeps still covers all that was written under it.
    """

    def __init__(self, node: NodeContext, values: Values, hints: Hints) -> None:
        self._node = node
        self._values = values
        self._hints = hints
        self._last: dict[str, Dot] = {}

    async def write(
        self, request: Put, elsewhere: bytes | None, refusal: Callable[[str], KvError]
    ) -> ValueMutation:
        """See Values.write; built upon what is kept for owners of the key, whoever they are."""
        _, base = await self._values.dots.next_for(KV, request.key, self._hints.kept, refusal)
        held = held_of(base, elsewhere)
        mutation = self._values.mutation(request, held, self._next_dot(request.key, held), base)
        return mutation.merged  # should this node own the key by the time it is stored

    def _next_dot(self, key: str, kept: Siblings) -> Dot:
        """A dot that was never issued before. kept: what this node keeps of the key."""
        last = self._last.get(key)
        if last is not None and kept.context.covers_dot(last):
            dot = Dot(last.store, last.counter + 1)
        else:
            dot = Dot(f"{self._node.name}.{self._node.runtime.random.getrandbits(64):016x}", 1)
        if len(self._last) >= SAMPLE_COUNT_MAX:
            self._last.clear()
        self._last[key] = dot
        return dot


# --- the side of the fallback ---------------------------------------------------------------------------------


class Fallback:
    """Keeps what owners should get, and tells what is kept."""

    def __init__(self, node: NodeContext, hints: Hints) -> None:
        self._node = node
        self._hints = hints

    def handlers(self) -> Handlers:
        """What is done with each message that is for this component."""
        return {StoreHint: self.on_store, FetchHinted: self.on_fetch}

    def on_store(self, peer: str, question: StoreHint) -> None:
        """Keep a record for its owner; acknowledge once the hint is durable, refuse if there is no room for it."""
        node = self._node
        if question.epoch != node.ring.epoch and node.epochs.refuses_epoch(peer, question):
            return
        if refusal := node.epochs.refusal_if_late(peer, question.id):
            node.runtime.network.send(peer, refusal)
            return

        def on_durable(ok: bool) -> None:
            node.observer.stood_in(question.trace_id, question.owner, ok)
            answer: Message = Stored(question.id) if ok else Refused(question.id, "no room for a hint")
            node.runtime.network.send(peer, answer)

        self._hints.keep(question.owner, question.kind, question.key, question.record, on_durable)

    def on_fetch(self, peer: str, question: FetchHinted) -> None:
        """Tell what is kept for any owner of the key, once all of it is durable."""
        node = self._node
        if question.epoch != node.ring.epoch and node.epochs.refuses_epoch(peer, question):
            return
        record = self._hints.kept(question.kind, question.key)

        def durable(future: asyncio.Future[None]) -> None:
            if not future.cancelled() and future.exception() is None:
                node.runtime.network.send(peer, Fetched(question.id, record, 0.0))

        node.runtime.disk.commit([]).add_done_callback(durable)
