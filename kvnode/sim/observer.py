"""What can be watched of a run, from one place: clients' requests and answers, messages, and what disks make durable.

The world tells its observers; they look, and change nothing: they draw no chance and put nothing into the trace, so a
run is the same with and without them.

Must not live here: what is right and what is wrong (oracle/).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from kvnode.messages import Message
from kvnode.operations import Request
from kvnode.runtime import Row


@dataclass(slots=True, kw_only=True)
class Operation:
    """One request of a client, sent once through one node, and what became of it.

    number: from 1, in the order of sending. session: whose it is; an operation that is sent again, here or elsewhere,
    is another Operation of the same session with the same request. status and body: as HTTP has them; status None: no
    answer came.
    Invariant: sent_s <= answered_s.
    """

    number: int
    session: str
    node: str
    request: Request
    sent_s: float
    answered_s: float = 0.0
    status: int | None = None
    body: dict[str, Any] = field(default_factory=dict)


class Observer(Protocol):
    """Who watches a run. violations: the broken promises that it has found, in words."""

    violations: list[str]

    def sent(self, operation: Operation) -> None:
        """A client is about to send this."""

    def answered(self, operation: Operation) -> None:
        """It was answered, or its client has given up."""

    def durable(self, node: str, rows: Sequence[Row]) -> None:
        """At this moment these rows become what a crash of the node leaves; its platter holds what was before."""

    def message(self, sender: str, receiver: str, message: Message) -> None:
        """A node sends this; whether it arrives is another matter."""

    def lost(self, node: str) -> None:
        """At this moment what the node had made durable is gone, or replaced by something older."""

    def ended(self) -> None:
        """The run is over, and everything was read back."""
