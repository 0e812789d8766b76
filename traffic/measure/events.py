"""What is told of every operation that has ended, and who may listen: such as the writer of a recording.

Here: what is told. Not here: what is made of it (recorders and checkers that want every single operation).
"""

from __future__ import annotations

from typing import Literal, Protocol

from msgspec import Struct

from traffic.operations import Operation
from traffic.stores.base import Reply

Outcome = Literal["ok", "definite", "indefinite"]
"""ok: acknowledged, or a read was answered. definite: it failed, and no replica can have applied it.
indefinite: it failed, and may or may not have happened."""


class Ended(Struct, frozen=True, kw_only=True):
    """One operation from its intended start to its end. Times are seconds on the driver's monotonic clock.

    node: through which the last attempt went; None if it was never sent. reply: None unless the outcome is ok;
    None also for a read of a key that does not exist. sent_s: the start of the first attempt for an addition
    that was sent again, else that of the last attempt. intended_s <= sent_s <= done_s. r: how many replicas a
    read asked for; None for what is no read.
    """

    workload: str
    operation: Operation
    node: str | None
    outcome: Outcome
    reply: Reply
    intended_s: float
    sent_s: float
    done_s: float
    r: int | None = None


class Listener(Protocol):
    def operation(self, ended: Ended) -> None:
        """Called once for each operation, on the event loop: be quick."""
        ...


class Together:
    """Several listeners in place of one, told in this order."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def operation(self, ended: Ended) -> None:
        for listener in self._listeners:
            listener.operation(ended)
