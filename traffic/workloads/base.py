"""What the driver asks of a workload.

Here: the protocol alone. The driver asks for one operation an arrival and tells how each one ended, so that a
workload can let one thing follow from another (a like needs a tweet that was really stored).
"""

from __future__ import annotations

from typing import Protocol

from traffic.operations import Operation


class Workload(Protocol):
    name: str
    kinds: tuple[
        str, ...
    ]  # every `Operation.kind` that it yields, in the order in which people want to read them

    def next_operation(self, now_s: float) -> Operation:
        """The operation for an arrival at the wall time `now_s`. Always has one; never waits."""
        ...

    def acknowledged(self, operation: Operation, now_s: float) -> None:
        """The store has acknowledged it (for a read: has found the value)."""
        ...
