"""A quorum write: one new state of a key, sent to all N replicas, answered when w of them have it on disk.

    plan     the owners of the key, and who takes it over while the ring changes    replica_plan.py
    version  a dot that was never issued before, and the new state under it         dots.py, values.py, counters.py
    store    here if this node is an owner, and at all others at the same time      records/, replica.py
    count    who has it on disk; a replica that is dead or silent gets a hint       quorum.py, hints.py
    answer   what the client is told                                                kvnode/operations.py

Whole states are sent, with all their siblings, never the new version alone. When a replica refuses because it knows a
newer ring, the same record (the same dot) goes to the owners of that ring, within the same request.

Invariant: between the dot and the store nothing waits, so updates of one key at one coordinator are serial.
Paper: DeCandia et al., "Dynamo", 2007, sections 4.4 to 4.6.
Must not live here: what a state says (values.py), and standing in for owners (fallback.py).
"""

from __future__ import annotations

from kvnode.config import RING_CHANGES_MAX
from kvnode.context import NodeContext
from kvnode.messages import Answer, Stale, Stored, StoreRecord
from kvnode.operations import Add, AddAnswer, Outcome, Put, PutAnswer
from kvnode.records.kinds import Mutation
from kvnode.replication.counters import Counters
from kvnode.replication.fallback import FallbackValues, as_hint
from kvnode.replication.hints import Hints
from kvnode.replication.quorum import QuorumRound, RingChanged
from kvnode.replication.read import Reader
from kvnode.replication.replica_plan import ReplicaPlan, ReplicaPlans
from kvnode.replication.values import Values


class Writer:
    """Coordinates the writes of keys that this node is a replica of."""

    def __init__(
        self,
        node: NodeContext,
        plans: ReplicaPlans,
        reader: Reader,
        values: Values,
        counters: Counters,
        hints: Hints,
    ) -> None:
        self.node, self.hints = node, hints
        self._plans, self._reader, self._values, self._counters = plans, reader, values, counters
        self._fallback_values = FallbackValues(node, values, hints)

    async def put(self, request: Put, trace_id: int) -> PutAnswer:
        """Write one version of a value (None: a tombstone). Raises BadRequest, Conflict, TooBusy, QuorumUnmet."""
        plan = self._plans.find("W", request.key, request.w, sloppy=request.sloppy)
        is_plain_delete = request.value is None and request.context is None
        elsewhere = await self._reader.to_delete(request, trace_id, w=plan.need) if is_plain_delete else None
        values = self._fallback_values if self.node.name in plan.fallbacks else self._values
        mutation = await values.write(request, elsewhere, plan.unsent)
        outcome = await self._write(mutation, plan, trace_id, w=request.w, sloppy=request.sloppy)
        return self._values.put_answer(mutation, outcome)

    async def add(self, request: Add, trace_id: int) -> AddAnswer:
        """Merge an actor's totals into a counter; without an actor, add to this store's own. Raises as `put`."""
        plan = self._plans.find("W", request.key, request.w)
        mutation = await self._counters.add(request, plan.unsent)
        outcome = await self._write(mutation, plan, trace_id, w=request.w)
        return AddAnswer.of(request, mutation.actor, mutation.counter, outcome)

    async def _write(
        self, mutation: Mutation, plan: ReplicaPlan, trace_id: int, *, w: int | None, sloppy: bool = False
    ) -> Outcome:
        """Store the record at the owners; again at the new ones whenever the ring turns out to have changed."""
        need = plan.need
        for attempt in range(RING_CHANGES_MAX):
            if plan.epoch != self.node.ring.epoch:
                plan = self._plans.find("W", mutation.key, w, begun=attempt > 0, sloppy=sloppy)
            round_ = WriteRound(self, mutation, plan, trace_id)
            self._store_and_send(mutation, plan, round_)
            try:
                await round_.future
            except RingChanged:
                mutation = mutation.merged  # it is here already
                continue
            self.node.observer.answered(trace_id)
            fallbacks = plan.fallbacks if sloppy else None
            return Outcome(self.node.name, trace_id, need, list(round_.quorum.got), fallbacks)
        raise plan.restless("W")

    def _store_and_send(self, mutation: Mutation, plan: ReplicaPlan, round_: WriteRound) -> None:
        node, trace_id, base_checksum = self.node, round_.trace_id, 0
        kind, key, record = mutation.kind, mutation.key, mutation.record
        if plan.here:
            base_checksum = node.records.write(mutation, round_.stored_here)
        elif node.name in plan.fallbacks:
            self.hints.keep(plan.fallbacks[node.name], kind, key, record, round_.stored_here)
        if plan.asked:
            id_ = node.rpc.begin(round_)
            question = StoreRecord(id_, trace_id, kind, key, record, plan.epoch, base_checksum)
            for peer in plan.asked:
                owner = plan.fallbacks.get(peer)  # for whom it stands in
                node.observer.sent(trace_id, peer, owner)
                node.runtime.network.send(peer, question if owner is None else as_hint(question, owner))
        for peer in plan.unreachable:
            round_.hint(peer)

    def oldest_unacknowledged_ms(self, peer: str) -> float:
        """How long the oldest write on its way to `peer` has been waiting for its acknowledgement; 0 if none."""
        return self.node.rpc.oldest_ms(WriteRound, peer)


class WriteRound(QuorumRound):
    """One write on its way to the replicas of one ring. Who refuses it or is silent gets a hint."""

    __slots__ = ("fallbacks", "mutation", "trace_id", "writer")

    def __init__(self, writer: Writer, mutation: Mutation, plan: ReplicaPlan, trace_id: int) -> None:
        super().__init__("W", plan.write_quorum(), plan.asked, writer.node.runtime.clock.now_ms())
        self.writer, self.mutation, self.fallbacks, self.trace_id = writer, mutation, plan.fallbacks, trace_id

    def stored_here(self, ok: bool) -> None:
        """Called by the disk of this node."""
        if ok:
            self.writer.node.observer.durable(self.trace_id)
            self.count(self.writer.node.name)
        else:
            self.fail("this node could not store it", [self.writer.node.name])

    def answered(self, peer: str, answer: Answer) -> None:
        if isinstance(answer, Stored):
            self.writer.node.observer.acknowledged(self.trace_id, peer, self.started_ms)
            self.count(peer)
        elif isinstance(answer, Stale):
            self.writer.node.observer.too_late(self.trace_id, peer)
            if self.future.done():
                self._keep_hint(peer)  # nobody begins again: what it refused, it or its successor still needs
            self.ring_changed()
        else:
            self._keep_hint(peer)
            self.fail(f"{peer} refused", [peer])

    def ended(self, missing: list[str]) -> None:
        for peer in missing:
            self.hint(peer)
        super().ended(missing)

    def hint(self, peer: str) -> None:
        """It missed the record."""
        self.writer.node.observer.hinted(self.trace_id, peer)
        self._keep_hint(peer)

    def _keep_hint(self, peer: str) -> None:
        it = self.mutation
        self.writer.hints.add(self.fallbacks.get(peer, peer), it.kind, it.key, it.record)
