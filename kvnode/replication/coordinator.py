"""Coordinating a client's request: ask all N replicas, answer when enough of them have.

A write goes to every replica and is acknowledged when w of them (this one counts) have made it durable. A read asks
every replica and answers when r of them have; the late answers are compared too, and a replica that turns out to be
behind is sent the merged state (read repair). A replica that did not acknowledge a write in time gets a hint.
(DeCandia et al., "Dynamo", 2007, sections 4.5 and 4.6; Preguiça et al. 2010 for the versions.)

A dot is taken and the new state made in one step without an await in between, so updates of one key at one
coordinator are serial. Whole merged sibling sets are sent, never the new version alone.

While the ring changes, a write needs w of the owners and all pending ones, a read r of the owners and r, or a majority,
of the next owners: one of them knows if the change is over. When a replica refuses because it knows a newer ring, the
same record (the same dot) goes to the owners of that ring, within the same request.

In a sloppy request others stand in for the owners that cannot be reached (fallback.py); this node may be one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from kvnode.config import (
    ACTOR_COUNT_MAX,
    COUNTER_TOTAL_MAX,
    REQUESTS_IN_FLIGHT_MAX,
    RING_CHANGES_MAX,
)
from kvnode.errors import Conflict, TooBusy
from kvnode.messages import COUNTER, KV, Fetch, FetchHinted, StoreHint, StoreRecord
from kvnode.observe import Samples, Traces
from kvnode.operations import (
    Add,
    AddAnswer,
    Count,
    CountAnswer,
    Get,
    GetAnswer,
    Put,
    PutAnswer,
    SiblingView,
    sloppy_extra,
)
from kvnode.records.incomplete import Incomplete
from kvnode.records.records import COUNTERS, KVS, Records, encode_state
from kvnode.replication.context_tokens import ContextTokens
from kvnode.replication.dots import DotSource, NoDots
from kvnode.replication.fallback import FallbackDots
from kvnode.replication.hints import Hints
from kvnode.replication.quorum import Quorum
from kvnode.replication.refusals import no_value, out_of_dots, refuse_excess, refuse_future, restless
from kvnode.replication.replica_plan import ReplicaPlan, ReplicaPlans
from kvnode.replication.rounds import Found, ReadRound, RingChanged, WriteRound
from kvnode.ring import Placement
from kvnode.rpc import Rpc
from kvnode.runtime import Runtime
from kvnode.versions import Context, Dot, PnCounter


class Coordinator:
    """Serves the requests whose key this node holds a replica of."""

    def __init__(
        self,
        runtime: Runtime,
        node: str,
        contexts: ContextTokens,
        ring: Placement,
        rpc: Rpc,
        records: Records,
        incomplete: Incomplete,
        dots: DotSource,
        hints: Hints,
        traces: Traces,
        plans: ReplicaPlans,
    ) -> None:
        self._runtime = runtime
        self._contexts = contexts
        self._ring = ring
        self._rpc = rpc
        self._records = records
        self._incomplete = incomplete
        self._dots = dots
        self._fallback_dots = FallbackDots(runtime, node)
        self._lags: dict[str, Samples] = {}
        self.plans = plans
        self.node = node
        self.hints = hints
        self.traces = traces
        self.strip: Callable[[str, Context], Context] = lambda key, context: context  # tombstones/pruning.py
        self.read_repair_count = 0

    def now_ms(self) -> float:
        """Monotonic time, for the rounds."""
        return self._runtime.clock.now_ms()

    def lag_of(self, peer: str) -> Samples:
        """How long acknowledgements of this replica took, from the sending of the write."""
        lag = self._lags.get(peer)
        if lag is None:
            lag = self._lags[peer] = Samples()
        return lag

    # --- values -------------------------------------------------------------------------------------------

    async def put(self, request: Put, trace_id: int) -> PutAnswer:
        """Write one version. Raises Conflict, TooBusy, QuorumUnmet."""
        plan = self._plan("W", request.key, request.w, sloppy=request.sloppy)
        is_fallback = self.node in plan.fallbacks
        latest = self.hints.kept if is_fallback else self._records.latest
        is_plain_delete = request.value is None and request.context is None
        elsewhere = await self._held_by_quorum(request, plan, trace_id) if is_plain_delete else None
        dot, known = await self._next_dot(plan, latest, KV, request.key)
        held = KVS.empty if known is None else KVS.decode(known)
        if elsewhere is not None:
            held = held.merge(KVS.decode(elsewhere))
        if is_fallback:
            dot = self._fallback_dots.next(request.key, held)
        context = request.context
        if context is None:
            context = held.context if request.mode == "replace" else Context()
        if context.covers_dot(dot):
            refuse_future(request.context, dot)
        siblings, version = held.write(
            dot,
            request.value or b"",
            context=self.strip(request.key, context),
            timestamp=round(self._runtime.clock.wall_ms(), 3),
            deleted=request.value is None,
            lww=request.mode == "lww",
        )
        if not siblings.has_taken(version):
            refuse_future(None, dot)
        record = encode_state(siblings)
        refuse_excess(held, siblings, context, known, record)
        seen = siblings.context_for_writer(version)
        known = record if is_fallback else known  # should it own the key by then, it merges
        acknowledged_by, fallbacks = await self._write(
            KV, request.key, record, known, request.w, plan, trace_id, sloppy=request.sloppy
        )
        is_alone = siblings.versions == (version,) and not context.dots
        return PutAnswer(
            key=request.key,
            dot=str(dot),
            node=self.node,
            context=self._contexts.issue(request.key, seen),
            issued_under=context.vector.as_dict(),
            issued_under_dots=[str(dot) for dot in context.dots],
            vector_clock=(seen.vector if is_alone else version.clock).as_dict(),
            timestamp=version.timestamp,
            w=plan.need,
            acknowledged_by=acknowledged_by,
            cause=f"{trace_id:016x}",
            **(sloppy_extra(fallbacks, acknowledged_by) if request.sloppy else {}),
        )

    async def _held_by_quorum(self, request: Put, plan: ReplicaPlan, trace_id: int) -> bytes | None:
        """What a DELETE without a context deletes, as w replicas hold it, since this node may have missed a write.

        So it fails no more often than the write, and covers what the same w > N/2 acknowledged.
        """
        found = await self._read(KV, request.key, plan.need, trace_id, False, sloppy=request.sloppy)
        return found.record

    async def _next_dot(
        self, plan: ReplicaPlan, latest: Callable[[str, str], bytes | None], kind: str, key: str
    ) -> tuple[Dot, bytes | None]:
        """A dot, and what is held of the key, of which this store has forgotten nothing that it wrote there."""
        try:
            while True:
                dot = await self._dots.next()
                known = latest(kind, key)  # may find a damaged row: then the store is another one
                if dot.store == self._dots.store:
                    return dot, known
        except NoDots as error:
            raise out_of_dots(plan, error) from error

    async def get(self, request: Get, trace_id: int) -> GetAnswer:
        """Read one key. Raises NotFound (with the context, if it was deleted), TooBusy, QuorumUnmet."""
        found = await self._read(KV, request.key, request.r, trace_id, request.repair, sloppy=request.sloppy)
        merged, plan, answered_by = found.record, found.plan, found.answered_by
        told: dict[str, Any] = sloppy_extra(plan.fallbacks, answered_by) if request.sloppy else {}
        if found.refilling:
            told["refilling"] = found.refilling
        siblings = KVS.empty if merged is None else KVS.decode(merged)
        shown = siblings.shown
        if shown is None:
            token = self._contexts.issue(request.key, siblings.context)
            told |= {"node": self.node, "r": plan.need, "answered_by": answered_by}
            raise no_value(request.key, siblings, token, told)
        context = siblings.context
        return GetAnswer(
            key=request.key,
            value=msgspec.Raw(shown.value),
            conflict=len(siblings.versions) > 1,
            siblings=[SiblingView.of(version) for version in siblings.versions],
            vector_clock=context.vector.as_dict(),
            context=self._contexts.issue(request.key, context),
            node=self.node,
            r=plan.need,
            answered_by=answered_by,
            cause=f"{trace_id:016x}",
            **told,
        )

    # --- counters -----------------------------------------------------------------------------------------

    async def add(self, request: Add, trace_id: int) -> AddAnswer:
        """Merge an actor's totals into a counter; without an actor, add to this store's own totals."""
        plan = self._plan("W", request.key, request.w)
        if request.actor is None:
            dot, known = await self._next_dot(plan, self._records.latest, COUNTER, request.key)
        else:
            known = self._records.latest(COUNTER, request.key)
        held = COUNTERS.empty if known is None else COUNTERS.decode(known)
        actor, increments, decrements = request.actor, request.increments, request.decrements
        if actor is None:
            actor = dot.store
            before = held.totals(actor)
            increments, decrements = before[0] + increments, before[1] + decrements
        merged = held.merge(PnCounter.of(actor, increments, decrements))
        if max(increments, decrements) > COUNTER_TOTAL_MAX:
            raise Conflict(
                f"the totals of {actor} would exceed {COUNTER_TOTAL_MAX}, the most a counter holds"
            )
        if len(merged.entries) > max(ACTOR_COUNT_MAX, len(held.entries)):
            raise Conflict(
                f"counter has {len(held.entries)} actors, at most {ACTOR_COUNT_MAX} are kept: "
                "an actor is a process, not a person"
            )
        record = encode_state(merged)
        acknowledged_by, _ = await self._write(COUNTER, request.key, record, known, request.w, plan, trace_id)
        increments, decrements = merged.totals(actor)
        return AddAnswer(
            key=request.key,
            value=merged.value,
            actor=actor,
            increments=increments,
            decrements=decrements,
            node=self.node,
            w=plan.need,
            acknowledged_by=acknowledged_by,
            cause=f"{trace_id:016x}",
            idempotent=request.actor is not None,
            note=None if request.actor is not None else "a retry of this request may count twice",
        )

    async def count(self, request: Count, trace_id: int) -> CountAnswer:
        """Read a counter; one that nobody has written is 0."""
        found = await self._read(COUNTER, request.key, request.r, trace_id, request.repair)
        counter = COUNTERS.empty if found.record is None else COUNTERS.decode(found.record)
        return CountAnswer(
            key=request.key,
            value=counter.value,
            actors={
                actor: {"increments": increments, "decrements": decrements}
                for actor, increments, decrements in counter.entries
            },
            node=self.node,
            r=found.plan.need,
            answered_by=found.answered_by,
            cause=f"{trace_id:016x}",
            refilling=found.refilling,
        )

    # --- the two rounds -----------------------------------------------------------------------------------

    def _plan(
        self, letter: str, key: str, asked: int | None, *, begun: bool = False, sloppy: bool = False
    ) -> ReplicaPlan:
        if len(self._rpc) >= REQUESTS_IN_FLIGHT_MAX and not begun:
            raise TooBusy(f"{REQUESTS_IN_FLIGHT_MAX} requests are on their way; try again later")
        return self.plans.find(letter, key, asked, begun=begun, sloppy=sloppy)

    async def _write(
        self,
        kind: str,
        key: str,
        record: bytes,
        known: bytes | None,
        w: int | None,
        plan: ReplicaPlan,
        trace_id: int,
        *,
        sloppy: bool = False,
    ) -> tuple[list[str], dict[str, str]]:
        """Store the record at the owners; again at the new ones whenever the ring turns out to have changed.

        Answers who has acknowledged, and who stands in for whom.
        """
        for attempt in range(RING_CHANGES_MAX):
            if plan.epoch != self._ring.epoch:
                plan = self._plan("W", key, w, begun=attempt > 0, sloppy=sloppy)
            try:
                return await self._write_once(kind, key, record, known, plan, trace_id), plan.fallbacks
            except RingChanged:
                known = record  # it is merged here already
        raise restless("W", plan)

    async def _write_once(
        self, kind: str, key: str, record: bytes, known: bytes | None, plan: ReplicaPlan, trace_id: int
    ) -> list[str]:
        quorum = Quorum(plan.need, plan.n, plan.pending)
        fallbacks = plan.fallbacks
        quorum.fail(len(plan.dead) - len(fallbacks))
        asked = [*plan.live, *(each for each in plan.pending if each != self.node)]
        others = [each for each in fallbacks if each != self.node]
        round_ = WriteRound(self, trace_id, kind, key, record, quorum, [*asked, *others], fallbacks)
        base_checksum = 0
        if plan.here or self.node in plan.pending:
            if record == known:
                self._records.merge_in(kind, key, record, round_.stored_here)
            else:
                base_checksum = self._records.write(kind, key, record, round_.stored_here, known=known)
        elif self.node in fallbacks:
            self.hints.keep(fallbacks[self.node], kind, key, record, round_.stored_here)
        if asked or others:
            id_ = self._rpc.begin(round_)
            question = StoreRecord(id_, trace_id, kind, key, record, plan.epoch, base_checksum)
            for peer in asked:
                self.traces.note(trace_id, "sent the record to", peer)
                self._runtime.network.send(peer, question)
            for peer in others:
                self.traces.note(trace_id, f"sent the record, for {fallbacks[peer]}, to", peer)
                hint = StoreHint(question.id, trace_id, fallbacks[peer], kind, key, record, plan.epoch)
                self._runtime.network.send(peer, hint)
        for peer in plan.dead:
            if peer in fallbacks.values():
                continue
            self.traces.note(trace_id, "kept a hint for", peer)
            self.hints.add(peer, kind, key, record)
        await round_.future
        self.traces.note(trace_id, "answered the client")
        return list(quorum.got)

    async def _read(
        self, kind: str, key: str, r: int | None, trace_id: int, repair: bool, *, sloppy: bool = False
    ) -> Found:
        """What r replicas hold together."""
        for _ in range(RING_CHANGES_MAX):
            plan = self._plan("R", key, r, sloppy=sloppy)
            quorum = plan.read_quorum()
            others = [each for each in plan.fallbacks if each != self.node]
            round_ = ReadRound(self, trace_id, kind, key, quorum, [*plan.live, *others], repair)
            if plan.live or others:
                question = Fetch(self._rpc.begin(round_), trace_id, kind, key, plan.epoch)
                for peer in plan.live:
                    self.traces.note(trace_id, "asked", peer)
                    self._runtime.network.send(peer, question)
                for peer in others:
                    self.traces.note(trace_id, "asked", peer)
                    hinted = FetchHinted(question.id, trace_id, kind, key, plan.epoch)
                    self._runtime.network.send(peer, hinted)
            if plan.here or self.node in plan.pending:
                counts = not self._incomplete or self._ring.partition_of(key) not in self._incomplete
                round_.add(self.node, self._records.durable(kind, key), counts=counts)
            elif self.node in plan.fallbacks:
                kept = self.hints.kept(kind, key)
                await self._runtime.disk.commit([])  # a read sees only what is durable
                round_.add(self.node, kept)
            try:
                await round_.future
            except RingChanged:
                continue
            self.traces.note(trace_id, "answered the client")
            return Found(round_.merged, list(quorum.got), list(round_.refilling), plan)
        raise restless("R", plan)

    def repair(self, kind: str, key: str, merged: bytes | None, records: dict[str, bytes | None]) -> None:
        """Read repair: send the merged state to the replicas that answered with less.

        While a write of the key is on its way here, replicas differ by nature; it will reach them by itself.
        """
        if merged is None or self._records.is_unsynced(kind, key):
            return
        behind = [replica for replica, record in records.items() if record != merged]
        if behind:
            owners = self._ring.preference_list(key)
            behind = [replica for replica in behind if replica in owners]
        for replica in behind:
            self.read_repair_count += 1
            if replica == self.node:
                self._records.merge_in(kind, key, merged, lambda ok: None)
            else:
                self._runtime.network.send(replica, StoreRecord(0, 0, kind, key, merged, self._ring.epoch))

    def oldest_unacknowledged_ms(self, peer: str) -> float:
        """How long the oldest write on its way to `peer` has been waiting for its acknowledgement; 0 if none."""
        for round_ in self._rpc.rounds:
            if isinstance(round_, WriteRound) and peer in round_.waiting_for:
                return self.now_ms() - round_.started_ms
        return 0.0
