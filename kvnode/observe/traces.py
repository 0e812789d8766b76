"""Traces of single requests: which node did what, and when; kept for the last few thousand of them.

Each node notes its own part under the request's trace id; GET /trace/{id} puts the parts together. Times are wall
clocks: on one computer they agree to well below a millisecond, unless a fault skews one (then the trace shows it).

A write is noted a dozen times and hardly ever asked for, so a note is one append to a line; whoever asks files the
line under the requests first. A question costs what was noted since the last one, and not a look at all that is kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from kvnode.config import TRACE_COUNT_MAX, TRACE_EVENTS_MAX, TRACES_KEPT_MAX

Event = tuple[float, str, str]
"""(wall ms, what happened, the peer it concerns or "")."""


class Traces:
    """Notes by trace id. Invariant: at most TRACE_COUNT_MAX events in the line, and TRACE_STORIES_MAX stories filed.

    The newest are kept, and of each story its first TRACE_EVENTS_MAX events.
    """

    __slots__ = ("_events", "_stories", "_wall_ms")

    def __init__(self, wall_ms: Callable[[], float]) -> None:
        self._wall_ms = wall_ms
        self._events: deque[tuple[int, float, str, str]] = deque(maxlen=TRACE_COUNT_MAX)
        self._stories: dict[int, list[Event]] = {}

    def note(self, trace_id: int, what: str, peer: str = "") -> None:
        """One event of the request `cause`; 0 is no request and is not noted."""
        if trace_id:
            self._events.append((trace_id, self._wall_ms(), what, peer))

    def events(self, trace_id: int) -> tuple[Event, ...]:
        """This node's part of a story; empty if it had none, or it is too long ago."""
        self._file()
        return tuple(self._stories.get(trace_id, ()))

    def _file(self) -> None:
        stories = self._stories
        for trace_id, time_ms, what, peer in self._events:
            events = stories.setdefault(trace_id, [])
            if len(events) < TRACE_EVENTS_MAX:
                events.append((time_ms, what, peer))
        self._events.clear()
        for oldest in list(stories)[: max(0, len(stories) - TRACES_KEPT_MAX)]:
            del stories[oldest]
