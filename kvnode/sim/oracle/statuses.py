"""Judges how a request may end at all, whoever asks for something that makes sense.

Clients of the simulation send nothing that is wrong in itself. So no node may find a fault in what it is sent, or in
itself: least of all in a context that the cluster has handed out, whatever happened to it since.
"""

from __future__ import annotations

from collections import Counter

from kvnode.config import ACTOR_COUNT_MAX, RECORD_BYTES_MAX, SIBLING_COUNT_MAX
from kvnode.operations import Add, Put
from kvnode.sim.observer import Operation
from kvnode.sim.oracle.history import History
from kvnode.sim.oracle.judge import Judge, told


class Statuses(Judge):
    """The judge of statuses."""

    def __init__(self, counts: Counter[str], history: History) -> None:
        super().__init__(counts)
        self._history = history

    def answered(self, operation: Operation, nodes: list[str]) -> None:
        """Judge how one request has ended. nodes: whose disks say whether there is too much of a key."""
        status, body, request = operation.status, operation.body, operation.request
        if status is None:
            return
        broken = ""
        if status in (400, 500):
            broken = f"{told(operation)}: {status}, {body.get('detail')}"
        elif status >= 400 and not isinstance(body.get("definite"), bool):
            broken = f"{told(operation)}: {status} does not say whether it is definite"
        elif status == 409 and not any(self._is_full(node, request) for node in nodes):
            broken = f"{told(operation)}: 409, {body.get('detail')}, and no disk holds so much"
        self.judge("no fault is found in what makes sense", broken)
        if isinstance(request, Put) and request.context is not None:
            self.judge("a context that was handed out is taken back", broken if status == 400 else "")

    def _is_full(self, node: str, request: object) -> bool:
        """Whether this node may hold nearly as much of the key as is kept (more is on its way, perhaps)."""
        if isinstance(request, Add):
            return len(self._history.totals_at(node, request.key)) > ACTOR_COUNT_MAX // 2
        if not isinstance(request, Put):
            return False
        versions = self._history.versions[request.key]
        held = [versions[dot] for dot in self._history.dots_at(node, request.key)]
        size = sum(len(made.value) for made in held) + len(request.value or b"")
        return len(held) > SIBLING_COUNT_MAX // 2 or size > RECORD_BYTES_MAX // 2
