"""A quorum read: all N replicas are asked, r of them answer together, and a replica that is behind is repaired.

    plan    the owners of the key, and the next owners while the ring changes             replica_plan.py
    ask     all of them at the same time; what this node holds counts as well             records/, replica.py
    count   who has answered; what they hold is merged                                    quorum.py
    answer  what r of them hold together: a value with its siblings, or a counter         values.py, operations.py
    repair  the late answers are compared too: a replica with less gets the merged state

A replica shows what is durable there and no more. One that may lack what was acknowledged, as it replaces a lost disk,
is merged and not counted (records/incomplete.py).

Paper: DeCandia et al., "Dynamo", 2007, sections 4.5 (r and w) and 5 (read repair).
Must not live here: what a state says (values.py), and fallbacks that answer for owners (fallback.py).
"""

from __future__ import annotations

from typing import NamedTuple

from kvnode.config import RING_CHANGES_MAX
from kvnode.context import NodeContext
from kvnode.messages import COUNTER, KV, Answer, Fetch, Fetched, Stale, StoreRecord
from kvnode.operations import Count, CountAnswer, Get, GetAnswer, Outcome, Put
from kvnode.records.kinds import COUNTERS, merge_records
from kvnode.replication.fallback import as_fetch_hinted
from kvnode.replication.hints import Hints
from kvnode.replication.quorum import QuorumRound, RingChanged
from kvnode.replication.replica_plan import ReplicaPlan, ReplicaPlans
from kvnode.replication.values import Values


class Found(NamedTuple):
    """What r replicas hold together; record: None if they hold nothing."""

    record: bytes | None
    outcome: Outcome


class Reader:
    """Coordinates the reads of keys that this node is a replica of."""

    def __init__(self, node: NodeContext, plans: ReplicaPlans, values: Values, hints: Hints) -> None:
        self.node, self._plans, self._values, self._hints = node, plans, values, hints

    async def get(self, request: Get, trace_id: int) -> GetAnswer:
        """Read a value. Raises BadRequest, NotFound (with the context, if it was deleted), TooBusy, QuorumUnmet."""
        record, outcome = await self._read(KV, request, trace_id, sloppy=request.sloppy)
        return self._values.get_answer(request.key, record, outcome)

    async def count(self, request: Count, trace_id: int) -> CountAnswer:
        """Read a counter; one that nobody has written is 0. Raises BadRequest, TooBusy, QuorumUnmet."""
        record, outcome = await self._read(COUNTER, request, trace_id)
        return CountAnswer.of(
            request.key, COUNTERS.empty if record is None else COUNTERS.decode(record), outcome
        )

    async def to_delete(self, request: Put, trace_id: int, *, w: int) -> bytes | None:
        """What a DELETE without a context deletes: what w replicas hold, for this node may have missed a write.

        So it fails no more often than the write, and covers what the same w > N/2 acknowledged.
        """
        held = Get(request.key, w, request.sloppy, repair=False)
        return (await self._read(KV, held, trace_id, sloppy=request.sloppy)).record

    async def _read(self, kind: str, request: Get | Count, trace_id: int, *, sloppy: bool = False) -> Found:
        """Ask the owners; the new ones whenever the ring turns out to have changed."""
        for _ in range(RING_CHANGES_MAX):
            plan = self._plans.find("R", request.key, request.r, sloppy=sloppy)
            round_ = ReadRound(self, kind, request, plan, trace_id)
            await self._ask(round_, plan)
            try:
                await round_.future
            except RingChanged:
                continue
            self.node.observer.answered(trace_id)
            got, fallbacks = list(round_.quorum.got), plan.fallbacks if sloppy else None
            outcome = Outcome(self.node.name, trace_id, plan.need, got, fallbacks, list(round_.refilling))
            return Found(round_.merged, outcome)
        raise plan.restless("R")

    async def _ask(self, round_: ReadRound, plan: ReplicaPlan) -> None:
        node, kind, key = self.node, round_.kind, round_.request.key
        if plan.asked:
            question = Fetch(node.rpc.begin(round_), round_.trace_id, kind, key, plan.epoch)
            for peer in plan.asked:
                node.observer.asked(round_.trace_id, peer)
                hinted = peer in plan.fallbacks
                node.runtime.network.send(peer, as_fetch_hinted(question) if hinted else question)
        if plan.here:
            round_.add(node.name, node.records.durable(kind, key), counts=node.incomplete.counts(key))
        elif node.name in plan.fallbacks:
            round_.add(node.name, await self._hints.durable(kind, key))

    def repair(self, kind: str, key: str, merged: bytes | None, held: dict[str, bytes | None]) -> None:
        """Read repair: send the merged state to the replicas that answered with less.

        While a write of the key is on its way here, replicas differ by nature; it will reach them by itself.
        """
        node = self.node
        if merged is None or node.records.is_unsynced(kind, key):
            return
        behind = [replica for replica, record in held.items() if record != merged]
        owners = node.ring.preference_list(key) if behind else ()
        for replica in behind:
            if replica not in owners:
                continue
            node.observer.repaired()
            if replica == node.name:
                node.records.merge_in(kind, key, merged, lambda ok: None)
            else:
                node.runtime.network.send(replica, StoreRecord(0, 0, kind, key, merged, node.ring.epoch))


class ReadRound(QuorumRound):
    """One read on its way to the replicas of one ring. merged: of all that have answered; held: what each holds."""

    __slots__ = ("held", "kind", "merged", "reader", "request", "trace_id")

    def __init__(
        self, reader: Reader, kind: str, request: Get | Count, plan: ReplicaPlan, trace_id: int
    ) -> None:
        super().__init__("R", plan.read_quorum(), plan.asked, reader.node.runtime.clock.now_ms())
        self.reader, self.kind, self.request, self.trace_id = reader, kind, request, trace_id
        self.merged: bytes | None = None
        self.held: dict[str, bytes | None] = {}

    def add(self, replica: str, record: bytes | None, *, counts: bool = True) -> None:
        """What a replica holds. counts: False if it may lack what was acknowledged: it is merged, and not counted."""
        self.held[replica] = record
        if record is not None and record != self.merged:
            self.merged = record if self.merged is None else merge_records(self.kind, self.merged, record)
        if counts or replica in self.quorum.pending:
            self.count(replica)
        else:
            self.refilling.append(replica)
            self.fail(f"{replica} being refilled", [replica])

    def answered(self, peer: str, answer: Answer) -> None:
        if isinstance(answer, Fetched):
            self.reader.node.observer.heard(self.trace_id, peer)
            self.add(peer, answer.record, counts=answer.counts)
        elif isinstance(answer, Stale):
            self.ring_changed()
        else:
            self.fail(f"{peer} refused", [peer])

    def ended(self, missing: list[str]) -> None:
        super().ended(missing)
        if self.request.repair:
            self.reader.repair(self.kind, self.request.key, self.merged, self.held)
