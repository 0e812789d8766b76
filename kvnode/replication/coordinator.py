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
from kvnode.replication.fallback import StandInDots
from kvnode.replication.hints import Hints
from kvnode.replication.quorum import Quorum
from kvnode.replication.refusals import no_value, out_of_dots, refuse_excess, refuse_future, restless
from kvnode.replication.replica_plan import Audience, Audiences
from kvnode.replication.rounds import Found, ReadRound, RingChanged, WriteRound
from kvnode.ring import Placement
from kvnode.rpc import Calls
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
        calls: Calls,
        records: Records,
        incomplete: Incomplete,
        dots: DotSource,
        hints: Hints,
        traces: Traces,
        audiences: Audiences,
    ) -> None:
        self._runtime = runtime
        self._contexts = contexts
        self._ring = ring
        self._calls = calls
        self._records = records
        self._incomplete = incomplete
        self._dots = dots
        self._stand_in_dots = StandInDots(runtime, node)
        self._lags: dict[str, Samples] = {}
        self.audiences = audiences
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

    async def put(self, request: Put, cause: int) -> PutAnswer:
        """Write one version. Raises Conflict, TooBusy, QuorumUnmet."""
        audience = self._audience("W", request.key, request.w, sloppy=request.sloppy)
        stands_in = self.node in audience.stand_ins
        latest = self.hints.kept if stands_in else self._records.latest
        is_plain_delete = request.value is None and request.context is None
        elsewhere = await self._held_by_quorum(request, audience, cause) if is_plain_delete else None
        dot, known = await self._next_dot(audience, latest, KV, request.key)
        held = KVS.empty if known is None else KVS.decode(known)
        if elsewhere is not None:
            held = held.merge(KVS.decode(elsewhere))
        if stands_in:
            dot = self._stand_in_dots.next(request.key, held)
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
        known = record if stands_in else known  # should it own the key by then, it merges
        acknowledged_by, stand_ins = await self._write(
            KV, request.key, record, known, request.w, audience, cause, sloppy=request.sloppy
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
            w=audience.need,
            acknowledged_by=acknowledged_by,
            cause=f"{cause:016x}",
            **(sloppy_extra(stand_ins, acknowledged_by) if request.sloppy else {}),
        )

    async def _held_by_quorum(self, request: Put, audience: Audience, cause: int) -> bytes | None:
        """What a DELETE without a context deletes, as w replicas hold it, since this node may have missed a write.

        So it fails no more often than the write, and covers what the same w > N/2 acknowledged.
        """
        found = await self._read(KV, request.key, audience.need, cause, False, sloppy=request.sloppy)
        return found.record

    async def _next_dot(
        self, audience: Audience, latest: Callable[[str, str], bytes | None], kind: str, key: str
    ) -> tuple[Dot, bytes | None]:
        """A dot, and what is held of the key, of which this store has forgotten nothing that it wrote there."""
        try:
            while True:
                dot = await self._dots.next()
                known = latest(kind, key)  # may find a damaged row: then the store is another one
                if dot.store == self._dots.store:
                    return dot, known
        except NoDots as error:
            raise out_of_dots(audience, error) from error

    async def get(self, request: Get, cause: int) -> GetAnswer:
        """Read one key. Raises NotFound (with the context, if it was deleted), TooBusy, QuorumUnmet."""
        found = await self._read(KV, request.key, request.r, cause, request.repair, sloppy=request.sloppy)
        merged, audience, answered_by = found.record, found.audience, found.answered_by
        told: dict[str, Any] = sloppy_extra(audience.stand_ins, answered_by) if request.sloppy else {}
        if found.refilling:
            told["refilling"] = found.refilling
        siblings = KVS.empty if merged is None else KVS.decode(merged)
        shown = siblings.shown
        if shown is None:
            token = self._contexts.issue(request.key, siblings.context)
            told |= {"node": self.node, "r": audience.need, "answered_by": answered_by}
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
            r=audience.need,
            answered_by=answered_by,
            cause=f"{cause:016x}",
            **told,
        )

    # --- counters -----------------------------------------------------------------------------------------

    async def add(self, request: Add, cause: int) -> AddAnswer:
        """Merge an actor's totals into a counter; without an actor, add to this store's own totals."""
        audience = self._audience("W", request.key, request.w)
        if request.actor is None:
            dot, known = await self._next_dot(audience, self._records.latest, COUNTER, request.key)
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
        acknowledged_by, _ = await self._write(
            COUNTER, request.key, record, known, request.w, audience, cause
        )
        increments, decrements = merged.totals(actor)
        return AddAnswer(
            key=request.key,
            value=merged.value,
            actor=actor,
            increments=increments,
            decrements=decrements,
            node=self.node,
            w=audience.need,
            acknowledged_by=acknowledged_by,
            cause=f"{cause:016x}",
            idempotent=request.actor is not None,
            note=None if request.actor is not None else "a retry of this request may count twice",
        )

    async def count(self, request: Count, cause: int) -> CountAnswer:
        """Read a counter; one that nobody has written is 0."""
        found = await self._read(COUNTER, request.key, request.r, cause, request.repair)
        counter = COUNTERS.empty if found.record is None else COUNTERS.decode(found.record)
        return CountAnswer(
            key=request.key,
            value=counter.value,
            actors={
                actor: {"increments": increments, "decrements": decrements}
                for actor, increments, decrements in counter.entries
            },
            node=self.node,
            r=found.audience.need,
            answered_by=found.answered_by,
            cause=f"{cause:016x}",
            refilling=found.refilling,
        )

    # --- the two rounds -----------------------------------------------------------------------------------

    def _audience(
        self, letter: str, key: str, asked: int | None, *, begun: bool = False, sloppy: bool = False
    ) -> Audience:
        if len(self._calls) >= REQUESTS_IN_FLIGHT_MAX and not begun:
            raise TooBusy(f"{REQUESTS_IN_FLIGHT_MAX} requests are on their way; try again later")
        return self.audiences.find(letter, key, asked, begun=begun, sloppy=sloppy)

    async def _write(
        self,
        kind: str,
        key: str,
        record: bytes,
        known: bytes | None,
        w: int | None,
        audience: Audience,
        cause: int,
        *,
        sloppy: bool = False,
    ) -> tuple[list[str], dict[str, str]]:
        """Store the record at the owners; again at the new ones whenever the ring turns out to have changed.

        Answers who has acknowledged, and who stands in for whom.
        """
        for attempt in range(RING_CHANGES_MAX):
            if audience.epoch != self._ring.epoch:
                audience = self._audience("W", key, w, begun=attempt > 0, sloppy=sloppy)
            try:
                return await self._write_once(kind, key, record, known, audience, cause), audience.stand_ins
            except RingChanged:
                known = record  # it is merged here already
        raise restless("W", audience)

    async def _write_once(
        self, kind: str, key: str, record: bytes, known: bytes | None, audience: Audience, cause: int
    ) -> list[str]:
        quorum = Quorum(audience.need, audience.n, audience.pending)
        stand_ins = audience.stand_ins
        quorum.fail(len(audience.dead) - len(stand_ins))
        asked = [*audience.live, *(each for each in audience.pending if each != self.node)]
        others = [each for each in stand_ins if each != self.node]
        round_ = WriteRound(self, cause, kind, key, record, quorum, [*asked, *others], stand_ins)
        made_from = 0
        if audience.here or self.node in audience.pending:
            if record == known:
                self._records.merge_in(kind, key, record, round_.stored_here)
            else:
                made_from = self._records.write(kind, key, record, round_.stored_here, known=known)
        elif self.node in stand_ins:
            self.hints.keep(stand_ins[self.node], kind, key, record, round_.stored_here)
        if asked or others:
            id_ = self._calls.begin(round_)
            question = StoreRecord(id_, cause, kind, key, record, audience.epoch, made_from)
            for peer in asked:
                self.traces.note(cause, "sent the record to", peer)
                self._runtime.network.send(peer, question)
            for peer in others:
                self.traces.note(cause, f"sent the record, for {stand_ins[peer]}, to", peer)
                hint = StoreHint(question.id, cause, stand_ins[peer], kind, key, record, audience.epoch)
                self._runtime.network.send(peer, hint)
        for peer in audience.dead:
            if peer in stand_ins.values():
                continue
            self.traces.note(cause, "kept a hint for", peer)
            self.hints.add(peer, kind, key, record)
        await round_.future
        self.traces.note(cause, "answered the client")
        return list(quorum.got)

    async def _read(
        self, kind: str, key: str, r: int | None, cause: int, repair: bool, *, sloppy: bool = False
    ) -> Found:
        """What r replicas hold together."""
        for _ in range(RING_CHANGES_MAX):
            audience = self._audience("R", key, r, sloppy=sloppy)
            quorum = audience.read_quorum()
            others = [each for each in audience.stand_ins if each != self.node]
            round_ = ReadRound(self, cause, kind, key, quorum, [*audience.live, *others], repair)
            if audience.live or others:
                question = Fetch(self._calls.begin(round_), cause, kind, key, audience.epoch)
                for peer in audience.live:
                    self.traces.note(cause, "asked", peer)
                    self._runtime.network.send(peer, question)
                for peer in others:
                    self.traces.note(cause, "asked", peer)
                    hinted = FetchHinted(question.id, cause, kind, key, audience.epoch)
                    self._runtime.network.send(peer, hinted)
            if audience.here or self.node in audience.pending:
                counts = not self._incomplete or self._ring.partition_of(key) not in self._incomplete
                round_.add(self.node, self._records.durable(kind, key), counts=counts)
            elif self.node in audience.stand_ins:
                kept = self.hints.kept(kind, key)
                await self._runtime.disk.commit([])  # a read sees only what is durable
                round_.add(self.node, kept)
            try:
                await round_.future
            except RingChanged:
                continue
            self.traces.note(cause, "answered the client")
            return Found(round_.merged, list(quorum.got), list(round_.refilling), audience)
        raise restless("R", audience)

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
        for round_ in self._calls.rounds:
            if isinstance(round_, WriteRound) and peer in round_.waiting_for:
                return self.now_ms() - round_.started_ms
        return 0.0
