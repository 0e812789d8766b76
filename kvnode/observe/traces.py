"""The story of single requests: who did what, when; kept for the last few thousand of them.

Each node notes its own part under the request's cause id; GET /trace/{id} puts the parts together. Times are wall
clocks: on one computer they agree to well below a millisecond, unless a fault skews one (then the story shows it).

Noting happens a dozen times a write and asking hardly ever, so all events stand in one line in the order of time: a
note is one append, and a story is picked out of the line when somebody asks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice

from kvnode.config import TRACE_COUNT_MAX, TRACE_EVENTS_MAX

Event = tuple[float, str, str]
"""(wall ms, what happened, the peer it concerns or "")."""


class Traces:
    """Notes by cause id. Invariant: at most TRACE_COUNT_MAX events are kept, the newest."""

    __slots__ = ("_events", "_wall_ms")

    def __init__(self, wall_ms: Callable[[], float]) -> None:
        self._wall_ms = wall_ms
        self._events: deque[tuple[int, float, str, str]] = deque(maxlen=TRACE_COUNT_MAX)

    def note(self, cause: int, what: str, peer: str = "") -> None:
        """One event of the request `cause`; 0 is no request and is not noted."""
        if cause:
            self._events.append((cause, self._wall_ms(), what, peer))

    def story(self, cause: int) -> tuple[Event, ...]:
        """This node's part of a story: TRACE_EVENTS_MAX events at most, none if it is too long ago."""
        events = (event[1:] for event in self._events if event[0] == cause)
        return tuple(islice(events, TRACE_EVENTS_MAX))
