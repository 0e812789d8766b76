"""Plays a recorded run again: the same operations, in the same order, at the same times, against other settings.

Here: the recorded operations as a workload, and their times as a schedule.
Must not live here: the file (recording.py), the run (run.py).

What stays and what does not. Keys, values, personas, regions and intervals are those of the recording. The
database's own words cannot be: a *context* that was read then means nothing to another cluster, so each put that
had one gets the context that its session (or, without one, its persona) has read for that key in the replay. If
nothing was read yet, it is put as a sibling, as by somebody who has seen nothing; `counts` says how often.
Faults are repeated if asked for (faults.py). Two replays at once would share keys: play into an
empty cluster to compare.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from traffic.load.arrivals import WAIT_S_MAX, Pattern
from traffic.load.rates import Rate
from traffic.operations import Get, Operation, Put
from traffic.runs.recording import Done
from traffic.stores.base import GetReply, PutReply, Reply
from traffic.workloads.base import Workload

CONTEXTS_MAX = 50_000


class Replay(Workload):
    """The operations of one recorded workload, in the order in which they were due."""

    def __init__(self, name: str, done: Sequence[Done]) -> None:
        self.name = name
        self.kinds = tuple(sorted({one.operation.kind for one in done}))
        self._left = deque(one.operation for one in done)
        self._contexts: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._counts = {"contexts_found": 0, "contexts_missing": 0}

    @property
    def left(self) -> int:
        """Operations that were not played yet."""
        return len(self._left)

    def next_operation(self, now_s: float) -> Operation:
        operation = self._left.popleft()
        if isinstance(operation, Put) and operation.context is not None:
            return self._with_context(operation)
        return operation

    def answered(self, operation: Operation, reply: Reply, now_s: float) -> None:
        if isinstance(operation, Get | Put) and isinstance(reply, GetReply | PutReply) and reply.context:
            seen = _reader(operation)
            self._contexts[seen] = reply.context
            self._contexts.move_to_end(seen)
            if len(self._contexts) > CONTEXTS_MAX:
                self._contexts.popitem(last=False)

    def counts(self) -> Mapping[str, int]:
        return dict(self._counts)

    def _with_context(self, put: Put) -> Put:
        context = self._contexts.get(_reader(put))
        if context is None:
            self._counts["contexts_missing"] += 1
            return replace(put, context=None, mode="siblings")
        self._counts["contexts_found"] += 1
        return replace(put, context=context)


def _reader(operation: Get | Put) -> tuple[str, str]:
    return operation.session or operation.persona, operation.key


class RecordedTimes:
    """When each recorded operation is due, `speed` times as fast as it was. A driver takes it as its schedule.

    What falls into a time in which the driver stood still is not lost: it is due that much later."""

    def __init__(self, due_s: Sequence[float], *, speed: float = 1.0) -> None:
        """due_s: in order, from the beginning of the run."""
        self._left = deque(at_s / speed for at_s in due_s)
        self._origin_s: float | None = None
        self._until_s = 0.0  # up to which moment of the run everything was yielded

    @property
    def left(self) -> int:
        return len(self._left)

    def due(self, now_s: float) -> Iterator[float]:
        origin_s = self._origin(now_s)
        self._until_s = max(self._until_s, now_s - origin_s)
        while self._left and self._left[0] <= self._until_s:
            yield origin_s + self._left.popleft()

    def wait_s(self, now_s: float) -> float:
        if not self._left:
            return WAIT_S_MAX
        return min(max(self._origin(now_s) + self._left[0] - now_s, 0.0), WAIT_S_MAX)

    def change(self, *, now_s: float, rate: Rate | None = None, pattern: Pattern | None = None) -> None:
        """A recording has no rate: it keeps its times."""

    def skip_to(self, now_s: float) -> None:
        """The driver starts, or has stood still until now."""
        self._origin_s = now_s - self._until_s

    def _origin(self, now_s: float) -> float:
        if self._origin_s is None:
            self._origin_s = now_s
        return self._origin_s
