"""The story of single requests: who did what, when; kept for the last few thousand of them.

Each node notes its own part under the request's cause id; GET /trace/{id} puts the parts together. Times are wall
clocks: on one computer they agree to well below a millisecond, unless a fault skews one (then the story shows it).
"""

from __future__ import annotations

from collections.abc import Callable

from kvnode.config import TRACE_COUNT_MAX, TRACE_EVENTS_MAX

Event = tuple[float, str, str]
"""(wall ms, what happened, the peer it concerns or "")."""


class Traces:
    """Notes by cause id. Invariant: at most TRACE_COUNT_MAX stories of at most TRACE_EVENTS_MAX events each."""

    __slots__ = ("_stories", "_wall_ms")

    def __init__(self, wall_ms: Callable[[], float]) -> None:
        self._wall_ms = wall_ms
        self._stories: dict[int, list[Event]] = {}

    def note(self, cause: int, what: str, peer: str = "") -> None:
        """One event of the request `cause`; 0 is no request and is not noted."""
        if not cause:
            return
        story = self._stories.get(cause)
        if story is None:
            story = self._stories[cause] = []
            if len(self._stories) > TRACE_COUNT_MAX:
                del self._stories[next(iter(self._stories))]
        if len(story) < TRACE_EVENTS_MAX:
            story.append((self._wall_ms(), what, peer))

    def story(self, cause: int) -> tuple[Event, ...]:
        """This node's part of a story; empty if it had none, or it is too long ago."""
        return tuple(self._stories.get(cause, ()))
