"""Judges what nodes tell each other: it must be on their disks when they say it, and one epoch has one ring.

A client hears of it only now and then: a replica that shows what a crash would still take is dirty also when another
replica has it, and a promise of Paxos that was told too early breaks a decision once in a thousand runs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import msgspec

from kvnode.handoff.acceptor import Ballots
from kvnode.messages import (
    COUNTER,
    KV,
    Accepted,
    Fetch,
    Fetched,
    FetchHinted,
    Message,
    Promise,
    Stored,
    StoreHint,
    StoreMany,
    StoreRecord,
)
from kvnode.ring import RingState
from kvnode.runtime import Row
from kvnode.sim.oracle.history import History, totals_in, versions_in
from kvnode.sim.oracle.judge import Judge

_Record = tuple[str, str, bytes]
"""Kind, key and record."""
_Asked = tuple[tuple[_Record, ...], bool]
"""The records that a node was sent to store, and whether as hints."""
_ring_of = msgspec.msgpack.Decoder(RingState).decode
_ballots_of = msgspec.msgpack.Decoder(Ballots).decode


class Messages(Judge):
    """The judge of messages."""

    def __init__(self, counts: Counter[str], history: History) -> None:
        super().__init__(counts)
        self._history = history
        self._asked: dict[tuple[str, int], _Asked] = {}
        self._asked_for: dict[tuple[str, int], tuple[str, str, bool]] = {}
        self._ballots: dict[str, set[object]] = defaultdict(set)
        self._rings: dict[int, tuple[str, RingState]] = {}

    # --- disks --------------------------------------------------------------------------------------------

    def durable(self, node: str, rows: Sequence[Row]) -> None:
        """Remember the ballots and the rings that became durable."""
        for row in rows:
            if row.table != "meta" or row.record is None:
                continue
            if row.key == "ring-votes":
                self._ballots[node].add(_ballots_in(row.record))
            elif row.key == "ring":
                self._judge_ring(node, _ring_of(row.record))

    def lost(self, node: str) -> None:
        """What this node had promised is gone."""
        self._ballots.pop(node, None)

    def _judge_ring(self, node: str, state: RingState) -> None:
        first, known = self._rings.setdefault(state.epoch, (node, state))
        broken = ""
        if known != state:
            broken = f"epoch {state.epoch} is {known} at {first}, and {state} at {node}"
        self.judge("one epoch has one ring", broken)

    # --- messages -----------------------------------------------------------------------------------------

    def sent(self, sender: str, receiver: str, message: Message) -> None:
        """A node sends this."""
        match message:
            case StoreRecord(id=id_, kind=kind, key=key, record=record) if id_:
                self._asked[sender, id_] = (((kind, key, record),), False)
            case StoreHint(id=id_, kind=kind, key=key, record=record):
                self._asked[sender, id_] = (((kind, key, record),), True)
            case StoreMany(id=id_, records=records) if id_:
                self._asked[sender, id_] = (records, False)
            case Stored():
                self._judge_stored(sender, receiver, message)
            case Fetch(id=id_, kind=kind, key=key):
                self._asked_for[sender, id_] = (kind, key, False)
            case FetchHinted(id=id_, kind=kind, key=key):
                self._asked_for[sender, id_] = (kind, key, True)
            case Fetched():
                self._judge_fetched(sender, receiver, message)
            case Promise() | Accepted():
                is_durable = self._has_promised(sender, message)
                broken = f"{sender} tells a promise that is not on its disk: {message}"
                self.judge("a promise is durable before it is told", "" if is_durable else broken)
            case _:
                pass

    def _judge_stored(self, sender: str, receiver: str, message: Stored) -> None:
        asked = self._asked.get((receiver, message.id))
        if asked is None:
            return  # an answer to another question
        records, as_hint = asked
        lacking = [
            f"{kind}/{key}"
            for kind, key, record in records
            if not self._has(sender, kind, key, record, as_hint)
        ]
        broken = f"{sender} says that it has stored {', '.join(lacking)}, and a crash would take it"
        self.judge("a replica acknowledges what is durable", broken if lacking else "")

    def _has(self, node: str, kind: str, key: str, record: bytes, as_hint: bool) -> bool:
        if kind == KV:
            versions = versions_in(record)
            return all(self._history.has_taken(node, key, made, as_hint=as_hint) for made in versions)
        return kind != COUNTER or self._history.holds_totals(node, key, totals_in(record))

    def _has_promised(self, node: str, promise: Promise | Accepted) -> bool:
        told = (promise.promised, promise.accepted)
        if told in self._ballots[node]:
            return True
        row = self._history.row(node, "meta", "ring-votes")  # a folder that was put back
        return row is not None and told == _ballots_in(row)

    def _judge_fetched(self, sender: str, receiver: str, message: Fetched) -> None:
        """A replica shows what it has made durable; a fallback, what it keeps as a hint."""
        asked = self._asked_for.get((receiver, message.id))
        if asked is None or message.record is None:
            return
        kind, key, as_hint = asked
        if kind == KV:
            dirty = [
                str(made)
                for made in versions_in(message.record)
                if not self._history.has_held(sender, key, made.dot, as_hint=as_hint)
            ]
        else:
            totals = totals_in(message.record)
            dirty = [] if self._history.holds_totals(sender, key, totals) else [str(totals)]
        broken = f"{sender} shows {', '.join(dirty)} of {kind}/{key}, and a crash would take it"
        self.judge("a replica shows what is durable", broken if dirty else "")


def _ballots_in(row: bytes) -> tuple[object, object]:
    acceptor = _ballots_of(row).acceptor
    return acceptor.promised, acceptor.accepted
