"""What happens to operations, as events, and who hears of it.

Here: the events, and the one place from which listeners are called (`Events.emit`).
Must not live here: what is made of them; each listener says in its `listen` what it hears.

The way of an operation. Each attempt through a node is an AttemptStarted, then an AttemptFailed or, of a write that was
stored, an Acknowledged. An addition to which nobody answered is Unanswered: it is sent again. Each operation has one
Ended.

Listeners are called on the event loop, in the order in which they subscribed: be quick.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeVar, get_args

from msgspec import Struct

from traffic.operations import Operation
from traffic.stores.base import CounterReply, PutReply, Reply, StoreError
from traffic.stores.totals import CounterTotals, Totals

Outcome = Literal["ok", "definite", "indefinite"]
"""ok: acknowledged, or a read was answered. definite: it failed, and no replica can have applied it.
indefinite: it failed, and may or may not have happened."""


class Request(Struct, frozen=True, gc=False):
    """One operation as every attempt sends it. Times are seconds on the driver's monotonic clock.

    r, w, n: the quorums and replicas of the moment at which it began. counter, totals: of an addition, whose running
    totals they are.
    """

    operation: Operation
    intended_s: float
    r: int
    w: int
    n: int
    counter: CounterTotals | None = None
    totals: Totals = Totals()


class AttemptStarted(Struct, frozen=True, gc=False):
    """A request goes out now. is_again: an earlier attempt at the same operation has failed."""

    request: Request
    node: str
    at_s: float
    is_again: bool


class AttemptFailed(Struct, frozen=True):
    """One attempt failed; the operation may still succeed. wall_ms: wall clock."""

    request: Request
    node: str
    error: StoreError
    at_s: float
    wall_ms: int


class Acknowledged(Struct, frozen=True, gc=False):
    """A write was stored by w replicas. It acknowledges these totals of the counter, and all below them."""

    request: Request
    node: str
    reply: PutReply | CounterReply
    at_s: float


class Unanswered(Struct, frozen=True):
    """An addition that may or may not have been applied. sent_s: the start of the first attempt."""

    request: Request
    sent_s: float


class Ended(Struct, frozen=True, kw_only=True):
    """One operation from its intended start to its end.

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


Event = AttemptStarted | AttemptFailed | Acknowledged | Unanswered | Ended
E = TypeVar("E", AttemptStarted, AttemptFailed, Acknowledged, Unanswered, Ended)


class Events:
    """The events of one driver."""

    def __init__(self, *listeners: Listener) -> None:
        self._called: dict[type, tuple[Callable[[Any], None], ...]] = dict.fromkeys(get_args(Event), ())
        for listener in listeners:
            listener.listen(self)

    def subscribe(self, kind: type[E], listener: Callable[[E], None]) -> None:
        """From now on, call it for each event of this kind, after those who subscribed earlier."""
        self._called[kind] = (*self._called[kind], listener)

    def unsubscribe(self, kind: type[E], listener: Callable[[E], None]) -> None:
        self._called[kind] = tuple(one for one in self._called[kind] if one != listener)

    def emit(self, event: Event) -> None:
        for listener in self._called[type(event)]:
            listener(event)


class Listener(Protocol):
    """Whoever wants to know what happens to operations."""

    def listen(self, events: Events) -> None:
        """Subscribe to what it wants to hear."""
        ...
