"""Standing in for an owner that cannot be reached: keeping what it should get, and showing that to who asks.

A sloppy request (DeCandia et al., "Dynamo", 2007, section 4.6) counts the first N reachable nodes of the ring. A
stand-in keeps the write as a durable hint for the owner, and hands it over when the owner is back. So a write goes
through though its owners are dead; but a strict read, of owners alone, does not meet it until then: r + w > N says
nothing about it.

Not here: who stands in for whom (replica_plan.py), and the handing over (hints.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kvnode.config import SAMPLE_COUNT_MAX
from kvnode.messages import Fetched, FetchHinted, Message, Refused, Stored, StoreHint
from kvnode.observe import Traces
from kvnode.replication.hints import Hints
from kvnode.ring import Placement
from kvnode.runtime import Runtime
from kvnode.versions import Dot, Siblings


class FallbackDots:
    """Names the writes that this node coordinates as a stand-in, each under a store id that it knows all writes of.

    An owner's state of a key holds, or covers, everything that its store ever wrote there; so who has seen its newest
    write has seen the earlier ones (Version.seen relies on that). A stand-in forgets what it has handed over. Under its
    own store id its next write would seem to have seen, and replace, one that is at the owners by now. So it takes a
    fresh store id, and goes on with that only while what it keeps still covers all that was written under it.
    """

    def __init__(self, runtime: Runtime, node: str) -> None:
        self._runtime = runtime
        self._node = node
        self._last: dict[str, Dot] = {}

    def next(self, key: str, kept: Siblings) -> Dot:
        """A dot that was never issued before. kept: what this node keeps of the key."""
        last = self._last.get(key)
        if last is not None and kept.context.covers_dot(last):
            dot = Dot(last.store, last.counter + 1)
        else:
            dot = Dot(f"{self._node}.{self._runtime.random.getrandbits(64):016x}", 1)
        if len(self._last) >= SAMPLE_COUNT_MAX:
            self._last.clear()
        self._last[key] = dot
        return dot


class Fallback:
    """The passive side of sloppy quorums."""

    def __init__(
        self,
        runtime: Runtime,
        ring: Placement,
        hints: Hints,
        traces: Traces,
        refuse_other_epoch: Callable[[str, int, int], bool],
        why_too_late: Callable[[str], str],
    ) -> None:
        self._runtime = runtime
        self._ring = ring
        self._hints = hints
        self._traces = traces
        self._refuse_other_epoch = refuse_other_epoch
        self._why_too_late = why_too_late

    def on_store(self, peer: str, question: StoreHint) -> None:
        """Keep a record for its owner; acknowledge once the hint is durable, refuse if there is no room for it."""
        if question.epoch != self._ring.epoch and self._refuse_other_epoch(peer, question.id, question.epoch):
            return
        if why := self._why_too_late(peer):
            self._runtime.network.send(peer, Refused(question.id, why))
            return

        def on_durable(ok: bool) -> None:
            self._traces.note(
                question.trace_id, f"kept a hint as a stand-in for {question.owner}" if ok else "no room"
            )
            answer: Message = Stored(question.id) if ok else Refused(question.id, "no room for a hint")
            self._runtime.network.send(peer, answer)

        self._hints.keep(question.owner, question.kind, question.key, question.record, on_durable)

    def on_fetch(self, peer: str, question: FetchHinted) -> None:
        """Tell what is kept for any owner of the key, once all of it is durable."""
        if question.epoch != self._ring.epoch and self._refuse_other_epoch(peer, question.id, question.epoch):
            return
        record = self._hints.kept(question.kind, question.key)

        def durable(future: asyncio.Future[None]) -> None:
            if not future.cancelled() and future.exception() is None:
                self._runtime.network.send(peer, Fetched(question.id, record, 0.0))

        self._runtime.disk.commit([]).add_done_callback(durable)
