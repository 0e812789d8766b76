"""The observer of clients' requests: each step that a node takes for one is told here, and nowhere else.

Components say what has happened; here it becomes a line of the request's trace (GET /trace), a sample of how long
acknowledgements take, or a count. What is told with trace 0 belongs to no request and leaves no line.

Must not live here: anything that the outcome of a request depends on.
"""

from __future__ import annotations

from collections.abc import Callable

from kvnode.observe.samples import Samples
from kvnode.observe.traces import Traces


class RequestObserver:
    """What one node does for clients' requests. read_repair_count: records that reads sent to who was behind."""

    __slots__ = ("_lags", "_note", "_now_ms", "read_repair_count", "traces")

    def __init__(self, *, now_ms: Callable[[], float], wall_ms: Callable[[], float]) -> None:
        self._now_ms = now_ms
        self._lags: dict[str, Samples] = {}
        self.traces = Traces(wall_ms)
        self._note = self.traces.note
        self.read_repair_count = 0

    # --- the node that a client asks ----------------------------------------------------------------------

    def coordinates(self, trace_id: int, what: str) -> None:
        """A request is coordinated here."""
        self._note(trace_id, f"coordinates a {what}")

    def forwarded(self, trace_id: int, peer: str) -> None:
        """It was passed on to a node that may coordinate it."""
        self._note(trace_id, "forwarded the request to", peer)

    def answered(self, trace_id: int) -> None:
        """Enough replicas have answered."""
        self._note(trace_id, "answered the client")

    def failed(self, trace_id: int, status: int) -> None:
        """The client is told of an error."""
        self._note(trace_id, f"told the client of an error {status}")

    # --- the coordinator ----------------------------------------------------------------------------------

    def sent(self, trace_id: int, peer: str, owner: str | None = None) -> None:
        """A record is on its way to a replica, or to a fallback in place of its owner."""
        self._note(
            trace_id, "sent the record to" if owner is None else f"sent the record, for {owner}, to", peer
        )

    def acknowledged(self, trace_id: int, peer: str, sent_ms: float) -> None:
        """A replica has it on disk. sent_ms: when it was sent."""
        now_ms = self._now_ms()
        self.lag_of(peer).add(now_ms - sent_ms, now_ms=now_ms)
        self._note(trace_id, "heard stored from", peer)

    def too_late(self, trace_id: int, peer: str) -> None:
        """A replica has refused a record, for it obeys a newer ring."""
        self._note(trace_id, "heard of a newer ring from", peer)

    def hinted(self, trace_id: int, peer: str) -> None:
        """A replica missed the record, and a hint is kept for it."""
        self._note(trace_id, "kept a hint for", peer)

    def asked(self, trace_id: int, peer: str) -> None:
        """A replica is asked what it holds."""
        self._note(trace_id, "asked", peer)

    def heard(self, trace_id: int, peer: str) -> None:
        """It has said what it holds."""
        self._note(trace_id, "heard the record from", peer)

    def repaired(self) -> None:
        """A replica that was behind is sent what a read has found."""
        self.read_repair_count += 1

    # --- a replica ----------------------------------------------------------------------------------------

    def received(self, trace_id: int, peer: str) -> None:
        """A record has arrived."""
        self._note(trace_id, "received the record from", peer)

    def durable(self, trace_id: int, ok: bool = True) -> None:
        """The record is on disk here; not `ok`: the disk has refused it."""
        self._note(trace_id, "stored" if ok else "could not store")

    def read(self, trace_id: int, peer: str) -> None:
        """A coordinator asks what is held here."""
        self._note(trace_id, "was asked by", peer)

    def stood_in(self, trace_id: int, owner: str, ok: bool) -> None:
        """A record is kept for an owner that cannot be reached; not `ok`: there is no room for it."""
        self._note(trace_id, f"kept a hint as a fallback for {owner}" if ok else "no room")

    # --- figures ------------------------------------------------------------------------------------------

    def lag_of(self, peer: str) -> Samples:
        """How long acknowledgements of this replica took, from the sending of the write."""
        lag = self._lags.get(peer)
        if lag is None:
            lag = self._lags[peer] = Samples()
        return lag
