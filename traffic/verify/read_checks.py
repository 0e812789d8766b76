"""Reads judged while traffic runs: staleness, read your writes, monotonic reads.

Here: from operations as a driver ends them to the facts that the checkers want.
Must not live here: what stale means (kvnode.checkers.staleness, .sessions), and the final reads (write_ledger.py).

A read is judged the moment it is answered, so there is nothing to read at the end, and memory stays bounded. A
session is what its operations say; where they say nothing, a persona is one. Keys that were written with
mode=lww are left out: there the clocks decide what is newer, and no version tells what it replaced. What the
database deletes would be missed as stale; no workload deletes.
"""

from __future__ import annotations

from kvnode.checkers import Acknowledged, Seen, Sessions, Staleness, Verdict, Visibility, Write
from traffic.measure.events import Ended, Events
from traffic.operations import Add, Put
from traffic.stores.base import CounterReply, GetReply, PutReply

LEFT_OUT_MAX = 10_000


class ReadChecks:
    """A listener that judges every read. `replicas` (N) may become known late."""

    def __init__(self, replicas: int) -> None:
        self._acknowledged = Acknowledged(replicas)
        self._staleness = Staleness(self._acknowledged)
        self._sessions = Sessions(self._acknowledged)
        self._left_out: dict[str, None] = {}

    @property
    def replicas(self) -> int:
        return self._acknowledged.n

    @replicas.setter
    def replicas(self, n: int) -> None:
        self._acknowledged.n = n

    def listen(self, events: Events) -> None:
        events.subscribe(Ended, self._operation)

    def _operation(self, ended: Ended) -> None:
        if ended.outcome != "ok":
            return
        operation, reply = ended.operation, ended.reply
        if isinstance(reply, PutReply):
            if isinstance(operation, Put) and operation.mode == "lww":
                self._leave_out(operation.key)
            else:
                self._wrote(ended, _written(reply, ended.done_s))
        elif isinstance(operation, Add):
            if isinstance(reply, CounterReply):
                self._added(ended, reply)
        elif ended.r is not None:
            self._read(ended, ended.r)

    @property
    def curve(self) -> list[Visibility]:
        """t-visibility as measured: the share of fresh reads by the time since the newest acknowledgement."""
        return self._staleness.curve

    def verdicts(self) -> list[Verdict]:
        """The verdicts after the reads so far. A claim that no read has put to the test is left out: a world
        that reads nothing twice is no reason to call a run unknown."""
        found = [self._staleness.verdict(), *self._sessions.verdicts()]
        return [verdict for verdict in found if verdict.facts["reads"]]

    # --- inside -------------------------------------------------------------------------------------------

    def _added(self, ended: Ended, reply: CounterReply) -> None:
        for actor, totals in (reply.actors or {}).items():
            if totals.increments or totals.decrements:
                w = reply.w or self.replicas // 2 + 1
                at_s = ended.done_s
                self._wrote(
                    ended, Write.of_counter(actor, totals.increments, totals.decrements, at_s=at_s, w=w)
                )

    def _wrote(self, ended: Ended, write: Write) -> None:
        self._acknowledged.add(ended.operation.key, write)
        self._sessions.wrote(_session(ended), ended.operation.key, write)

    def _read(self, ended: Ended, r: int) -> None:
        key = ended.operation.key
        if key in self._left_out:
            return
        seen = _seen(ended)
        self._staleness.read(key, seen, started_s=ended.sent_s, r=r)
        self._sessions.read(_session(ended), key, seen, started_s=ended.sent_s, answered_s=ended.done_s, r=r)

    def _leave_out(self, key: str) -> None:
        self._left_out[key] = None
        if len(self._left_out) > LEFT_OUT_MAX:
            del self._left_out[next(iter(self._left_out))]


def _session(ended: Ended) -> str:
    return ended.operation.session or ended.operation.persona


def _written(reply: PutReply, at_s: float) -> Write:
    return Write.of_put(
        reply.dot,
        reply.vector_clock,
        at_s=at_s,
        w=reply.w,
        issued_under=reply.issued_under,
        issued_under_dots=reply.issued_under_dots,
    )


def _seen(ended: Ended) -> Seen:
    reply = ended.reply
    if isinstance(reply, GetReply):
        return Seen.of_siblings(reply.siblings)
    if isinstance(reply, CounterReply):
        actors = reply.actors or {}
        return Seen.of_counter(
            {actor: (totals.increments, totals.decrements) for actor, totals in actors.items()}
        )
    return Seen((), ())
