"""From what the nodes noted of a request to the messages that travelled: from whom, to whom, from when to when.

Pure. Every node notes its own part under the request's trace id; here the parts are joined: a record that one node
sent is the record that another one received. A message without an arrival is one that was lost, cut off, or still on
its way when the nodes were asked.

Times are put on the clock of whoever sent the requests. On one computer all wall clocks agree, unless a node's was set
wrong on purpose: then its notes would lie seconds away from the messages that caused them, so they are moved to where
they must have been: after what caused them, and before what they caused.
Must not live here: colours and lines (space_time.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

CLOCK_TOLERANCE_MS = 20.0
"""Wall clocks of one computer differ by far less; what lies further outside is a clock that was set wrong."""
READING_MS = 1.0


class OperationLike(Protocol):
    """The part of labkit.course.operations.Operation that is drawn."""

    @property
    def who(self) -> str:
        """The person."""

    @property
    def verb(self) -> str:
        """put, get, delete, increment or count."""

    @property
    def key(self) -> str:
        """The key."""

    @property
    def node(self) -> str:
        """The node that was asked."""

    @property
    def sent_ms(self) -> float:
        """Since the scene began."""

    @property
    def answered_ms(self) -> float | None:
        """None: never."""

    @property
    def outcome(self) -> str:
        """ok, refused or unknown."""

    @property
    def trace_id(self) -> str | None:
        """Its name among the nodes' notes."""

    @property
    def value(self) -> Any:
        """What was written or read."""

    @property
    def status(self) -> int | None:
        """The HTTP status."""


@dataclass(frozen=True)
class Note:
    """One thing that a node noted. at_ms: since the scene began."""

    trace_id: str
    node: str
    at_ms: float
    event: str
    peer: str = ""


@dataclass(frozen=True)
class Message:
    """What travelled. sent_ms or arrived_ms is None where nobody noted it."""

    sender: str
    receiver: str
    sent_ms: float
    arrived_ms: float | None
    what: str
    trace_id: str = ""


# What a sender notes -> what the receiver notes of it, and what it was.
_OUTWARD = {
    "sent the record to": ("received the record from", "the record"),
    "asked": ("was asked by", "a question"),
}
# What a receiver notes -> after which note of the sender it left, and what it was.
_BACKWARD = {
    "heard stored from": ("stored", "acknowledgement"),
    "heard the record from": ("was asked by", "what it holds"),
}
_FORWARDED = "forwarded the request to"
_ANSWERS = ("answered the client", "told the client of an error")


def notes_of(
    operations: Sequence[OperationLike],
    traces: Mapping[str, Sequence[Mapping[str, Any]]],
    wall_ms_at_zero: float,
) -> list[Note]:
    """All notes once each, on the operations' clock, in the order of time."""
    notes: list[Note] = []
    for operation in operations:
        told = traces.get(operation.trace_id or "", ())
        seen: set[tuple[Any, ...]] = set()
        found = []
        for event in told:
            note = Note(
                operation.trace_id or "", str(event["node"]), float(event["wall_ms"]) - wall_ms_at_zero,
                str(event["event"]), str(event.get("peer", "")),
            )  # fmt: skip
            mark = (note.node, round(note.at_ms, 2), note.event, note.peer)
            if mark not in seen:
                seen.add(mark)
                found.append(note)
        notes += _on_one_clock(operation, sorted(found, key=lambda note: note.at_ms))
    return sorted(notes, key=lambda note: note.at_ms)


def messages_of(notes: Iterable[Note], operations: Sequence[OperationLike]) -> list[Message]:
    """Every message between nodes, and between people and nodes, that the notes tell of."""
    by_trace: dict[str, list[Note]] = {}
    for note in notes:
        by_trace.setdefault(note.trace_id, []).append(note)
    found: list[Message] = []
    for operation in operations:
        trace = by_trace.get(operation.trace_id or "", [])
        found += _with_client(operation, trace)
        found += _between_nodes(trace)
    return sorted(found, key=lambda message: message.sent_ms)


def _with_client(operation: OperationLike, trace: Sequence[Note]) -> list[Message]:
    """The request, and its answer if there was one."""
    here = [note for note in trace if note.node == operation.node]
    arrived_ms = _not_before(operation.sent_ms, arrived_ms=here[0].at_ms) if here else None
    messages = [
        Message(
            operation.who,
            operation.node,
            operation.sent_ms,
            arrived_ms,
            operation.verb,
            operation.trace_id or "",
        )
    ]
    if operation.answered_ms is not None:
        left_ms = next(
            (note.at_ms for note in here if note.event.startswith(_ANSWERS)), operation.answered_ms
        )
        left_ms = min(left_ms, operation.answered_ms)
        answer = Message(
            operation.node, operation.who, left_ms, operation.answered_ms, "answer", operation.trace_id or ""
        )
        messages.append(answer)
    return messages


def _between_nodes(trace: Sequence[Note]) -> list[Message]:
    messages = []
    for note in trace:
        if note.event in _OUTWARD or note.event.startswith("sent the record, for"):
            arrival, what = _OUTWARD.get(note.event, ("kept a hint as a fallback for", "a hint"))
            arrived_ms = _first(trace, note.peer, arrival, note.node, after_ms=note.at_ms)
            messages.append(Message(note.node, note.peer, note.at_ms, arrived_ms, what, note.trace_id))
        elif note.event == _FORWARDED:
            arrived_ms = _first(trace, note.peer, "coordinates a", "", after_ms=note.at_ms)
            messages.append(
                Message(note.node, note.peer, note.at_ms, arrived_ms, "the request", note.trace_id)
            )
        elif note.event in _BACKWARD:
            departure, what = _BACKWARD[note.event]
            left_ms = _last(trace, note.peer, departure, before_ms=note.at_ms)
            if left_ms is not None:
                arrived_ms = _not_before(left_ms, arrived_ms=note.at_ms)
                messages.append(Message(note.peer, note.node, left_ms, arrived_ms, what, note.trace_id))
    return messages + _unheard(trace, messages)


def _unheard(trace: Sequence[Note], known: Sequence[Message]) -> list[Message]:
    """Acknowledgements that left and were never noted: their arrival is nobody's note, so they are lost or late."""
    heard = {(message.sender, message.receiver) for message in known if message.what == "acknowledgement"}
    found = []
    for note in trace:
        if note.event != "received the record from" or (note.node, note.peer) in heard:
            continue
        stored_ms = _first(trace, note.node, "stored", "", after_ms=note.at_ms)
        if stored_ms is not None:
            found.append(Message(note.node, note.peer, stored_ms, None, "acknowledgement", note.trace_id))
    return found


def _first(trace: Sequence[Note], node: str, event: str, peer: str, *, after_ms: float) -> float | None:
    for note in trace:
        fits = note.node == node and note.event.startswith(event) and peer in ("", note.peer or peer)
        if fits and note.at_ms >= after_ms - READING_MS:
            return _not_before(after_ms, arrived_ms=note.at_ms)
    return None


def _last(trace: Sequence[Note], node: str, event: str, *, before_ms: float) -> float | None:
    found = [note.at_ms for note in trace if note.node == node and note.event == event]
    return max((at_ms for at_ms in found if at_ms <= before_ms + READING_MS), default=None)


def _not_before(sent_ms: float, *, arrived_ms: float) -> float:
    """Two clocks are read a moment apart: what seems to arrive a hair before it was sent arrived at once."""
    return sent_ms if sent_ms - READING_MS <= arrived_ms < sent_ms else arrived_ms


# --- clocks ------------------------------------------------------------------------------------------------------


def _on_one_clock(operation: OperationLike, notes: list[Note]) -> list[Note]:
    """Move the notes of each node whose clock is wrong to where the messages say that they were."""
    shifts: dict[str, float] = {operation.node: 0.0}
    here = [note.at_ms for note in notes if note.node == operation.node]
    if here:
        latest_ms = operation.answered_ms
        answers = [n.at_ms for n in notes if n.node == operation.node and n.event.startswith(_ANSWERS)]
        bounds = [(operation.sent_ms - here[0], 1)]
        if latest_ms is not None:
            bounds.append((latest_ms - (answers[0] if answers else here[-1]), -1))
        shifts[operation.node] = _shift(bounds)
    for _ in range(2):  # whoever is asked by somebody who is known is known in the next round
        for node in {note.node for note in notes} - shifts.keys():
            bounds = _bounds(notes, node, shifts)
            if bounds:
                shifts[node] = _shift(bounds)
    return [replace(note, at_ms=note.at_ms + shifts.get(note.node, 0.0)) for note in notes]


def _bounds(notes: Sequence[Note], node: str, shifts: Mapping[str, float]) -> list[tuple[float, int]]:
    """By how much at least (1) and at most (-1) this node's notes must be moved, from its messages with known nodes."""
    bounds = []
    for note in notes:
        if note.node not in shifts or note.peer != node:
            continue
        at_ms = note.at_ms + shifts[note.node]
        arrival = _OUTWARD.get(note.event, ("coordinates a", "") if note.event == _FORWARDED else None)
        departure = _BACKWARD.get(note.event)
        theirs = [n.at_ms for n in notes if n.node == node]
        if arrival is not None:
            named = [n.at_ms for n in notes if n.node == node and n.event.startswith(arrival[0])]
            if named or theirs:
                bounds.append((at_ms - (named or theirs)[0], 1))
        if departure is not None:
            named = [n.at_ms for n in notes if n.node == node and n.event == departure[0]]
            if named:
                bounds.append((at_ms - named[0], -1))
    return bounds


def _shift(bounds: Sequence[tuple[float, int]]) -> float:
    least = max((bound for bound, side in bounds if side > 0), default=0.0)
    most = min((bound for bound, side in bounds if side < 0), default=max(least, 0.0))
    if least - CLOCK_TOLERANCE_MS <= 0.0 <= most + CLOCK_TOLERANCE_MS:
        return 0.0
    return (least + most) / 2.0
