"""Rounds of a quorum: what an answer, a refusal and the end of time mean for a write and for a read.

Not here: who is asked, and what the client is told (coordinator.py); counting (quorum.py).
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Protocol

from kvnode.config import REQUEST_TIMEOUT_MS
from kvnode.errors import QuorumUnmet
from kvnode.messages import Answer, Fetched, Stale, Stored
from kvnode.observe import Samples, Traces
from kvnode.records.records import merge_records
from kvnode.replication.hints import Hints
from kvnode.replication.quorum import Quorum
from kvnode.replication.replica_plan import ReplicaPlan
from kvnode.rpc import Round


class RoundOwner(Protocol):
    """What a round needs of the coordinator that began it."""

    node: str
    hints: Hints
    traces: Traces

    def now_ms(self) -> float: ...

    def lag_of(self, peer: str) -> Samples: ...

    def repair(self, kind: str, key: str, merged: bytes | None, records: dict[str, bytes | None]) -> None: ...


class Found(NamedTuple):
    """What a read came to. refilling: who answered too and did not count, as it may lack what was acknowledged."""

    record: bytes | None
    answered_by: list[str]
    refilling: list[str]
    plan: ReplicaPlan


class RingChanged(Exception):
    """A replica knows a newer ring (and this node does by now): the request goes to its owners instead."""


class QuorumRound(Round):
    """A round of which a client waits for the first `need` answers.

    `future` resolves, or raises QuorumUnmet, or RingChanged. refilling: replicas that answered and do not count.
    """

    __slots__ = ("future", "letter", "quorum", "refilling")

    def __init__(self, letter: str, quorum: Quorum, peers: list[str], started_ms: float) -> None:
        super().__init__(peers, started_ms)
        self.letter = letter
        self.quorum = quorum
        self.refilling: list[str] = []
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def count(self, replica: str) -> None:
        self.quorum.add(replica)
        if self.quorum.met and not self.future.done():
            self.future.set_result(None)

    def ring_changed(self) -> None:
        """Stop here: whoever waits begins again with the new ring."""
        if not self.future.done():
            self.future.set_exception(RingChanged())

    def fail(self, why: str, peers: list[str]) -> None:
        """These will not answer as hoped. (An asked peer is an owner or a pending one.)"""
        self.quorum.miss(peers)
        if any(peer in self.quorum.pending for peer in peers):
            must = "must have it too" if self.letter == "W" else "counts too, while the ring changes"
            why += f"; a node that takes the partition over {must}"
        if self.quorum.lost and not self.future.done():
            quorum = self.quorum
            if others := [each for each in self.refilling if each not in why]:
                why += f"; {', '.join(others)} being refilled"
            self.future.set_exception(
                QuorumUnmet(
                    self.letter,
                    need=quorum.need,
                    got=len(quorum.got),
                    n=quorum.n,
                    definite=self.letter == "R",
                    why=why,
                )
            )


class WriteRound(QuorumRound):
    """stand_ins: {who stands in: for which owner}, of a sloppy write."""

    __slots__ = ("coordinator", "fallbacks", "key", "kind", "record", "trace_id")

    def __init__(
        self,
        coordinator: RoundOwner,
        trace_id: int,
        kind: str,
        key: str,
        record: bytes,
        quorum: Quorum,
        peers: list[str],
        fallbacks: dict[str, str],
    ) -> None:
        super().__init__("W", quorum, peers, coordinator.now_ms())
        self.fallbacks = fallbacks
        self.trace_id = trace_id
        self.coordinator = coordinator
        self.kind = kind
        self.key = key
        self.record = record

    def answered(self, peer: str, answer: Answer) -> None:
        if isinstance(answer, Stored):
            now_ms = self.coordinator.now_ms()
            self.coordinator.lag_of(peer).add(now_ms - self.started_ms, now_ms=now_ms)
            self.coordinator.traces.note(self.trace_id, "heard stored from", peer)
            self.count(peer)
        elif isinstance(answer, Stale):
            self.coordinator.traces.note(self.trace_id, "heard of a newer ring from", peer)
            if self.future.done():
                self._keep_hint(peer)  # nobody begins again: what it refused, it or its successor still needs
            self.ring_changed()
        else:
            self._keep_hint(peer)
            self.fail(f"{peer} refused", [peer])

    def _keep_hint(self, peer: str) -> None:
        self.coordinator.hints.add(self.fallbacks.get(peer, peer), self.kind, self.key, self.record)

    def stored_here(self, ok: bool) -> None:
        if ok:
            self.coordinator.traces.note(self.trace_id, "stored")
            self.count(self.coordinator.node)
        else:
            self.fail("this node could not store it", [self.coordinator.node])

    def ended(self, missing: list[str]) -> None:
        for peer in missing:
            self.coordinator.traces.note(self.trace_id, "kept a hint for", peer)
            self._keep_hint(peer)
        if missing:
            self.fail(f"no answer from {', '.join(missing)} within {REQUEST_TIMEOUT_MS:.0f} ms", missing)


class ReadRound(QuorumRound):
    __slots__ = ("coordinator", "key", "kind", "merged", "records", "repair", "trace_id")

    def __init__(
        self,
        coordinator: RoundOwner,
        trace_id: int,
        kind: str,
        key: str,
        quorum: Quorum,
        peers: list[str],
        repair: bool,
    ) -> None:
        super().__init__("R", quorum, peers, coordinator.now_ms())
        self.trace_id = trace_id
        self.repair = repair
        self.coordinator = coordinator
        self.kind = kind
        self.key = key
        self.merged: bytes | None = None
        self.records: dict[str, bytes | None] = {}

    def add(self, replica: str, record: bytes | None, *, counts: bool = True) -> None:
        """What a replica holds. counts: False if it may lack what was acknowledged: it is merged, and not counted."""
        self.records[replica] = record
        if record is not None and record != self.merged:
            self.merged = record if self.merged is None else merge_records(self.kind, self.merged, record)
        if counts or replica in self.quorum.pending:
            self.count(replica)
        else:
            self.refilling.append(replica)
            self.fail(f"{replica} being refilled", [replica])

    def answered(self, peer: str, answer: Answer) -> None:
        if isinstance(answer, Fetched):
            self.coordinator.traces.note(self.trace_id, "heard the record from", peer)
            self.add(peer, answer.record, counts=answer.counts)
        elif isinstance(answer, Stale):
            self.ring_changed()
        else:
            self.fail(f"{peer} refused", [peer])

    def ended(self, missing: list[str]) -> None:
        if missing:
            self.fail(f"no answer from {', '.join(missing)} within {REQUEST_TIMEOUT_MS:.0f} ms", missing)
        if self.repair:
            self.coordinator.repair(self.kind, self.key, self.merged, self.records)
