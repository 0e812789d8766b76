"""Stock on PN-counters with reservations: never oversells, whatever fails.

Here: how rights (rights.py) and counters work together.
Must not live here: what people do (scenarios.py).

One counter a shelf, `stock/{warehouse}/{sku}`: an addition is an increment, a removal a decrement. Each generator
process is one actor of its own in it. It begins with goods of its own (the *opening*, an increment: the durable claim
from which its rights follow), and takes only what it has itself added and seen acknowledged. So processes need not
know of each other. After kill -9 the units that the dead process held stay on the shelf, unsold; the next process
is another actor, with an opening of its own. A transfer between warehouses ends this actor's rights in one and, when
the arrival is acknowledged, begins them in the other.

Why stock is never negative, and in which reads. A request carries its actor's running totals of both directions as
one pair, (increments, decrements); the pairs that an actor sends grow, and in each of them increments >= decrements,
since a removal is sent only against units whose addition was acknowledged before. A replica keeps, of each actor, the
greatest in each part of the pairs that reached it; of pairs that grow in both parts that is one of these pairs. So in
every state of every replica each actor's share is >= 0, and so is their sum: in *every* read, at any r, stale, during
a partition, sloppy, of a single replica, in the middle of a run or at its end, and whichever replicas have lost
their disks. No quorum is needed for it. What needs a quorum (r + w > N) is that an acknowledged unit is *seen*, that
is, conservation.

It rests on one thing: an actor's pairs come from one writer that never forgets its totals. The running totals
(verify/totals.py) do forget settled counters, but only when a process knows COUNTERS_MAX of them, and then go on under
a new actor name: increments stand under the old name, decrements under the new one, and the sum is >= 0 in every read
with r + w > N, no longer in every read.

Which share of a counter is this process's own is learnt from the answers to its additions, which name their actor.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from traffic.stores.base import CounterReply, Reply
from traffic.workloads.inventory.flows import Flow, Who
from traffic.workloads.inventory.rights import Rights
from traffic.workloads.inventory.stock_check import Cause, Found, Shelf, StockBooks
from traffic.workloads.inventory.warehouses import CATALOGUE, Product, shelf_key
from traffic.workloads.reading import Reads, Unread


class Reserved:
    """The units of one process, on shelves that it shares with others."""

    def __init__(self) -> None:
        self.books = StockBooks()
        self._own: set[str] = set()  # the names of this process as an actor
        self._rights: defaultdict[Shelf, Rights] = defaultdict(Rights)

    @property
    def products(self) -> Sequence[Product]:
        return CATALOGUE

    def free(self, warehouse: str, sku: str) -> int:
        return self._rights[warehouse, sku].free

    def look(self, who: Who, warehouse: str, sku: str) -> Flow[int]:
        reply = yield who.count("look", shelf_key(warehouse, sku))
        return self._seen(warehouse, sku, reply).value

    def promise(self, warehouse: str, sku: str, units: int, *, seen: int) -> bool:
        """By rights alone: what a customer has seen may belong to another process, and may be old."""
        return self._rights[warehouse, sku].reserve(units)

    def release(self, warehouse: str, sku: str, units: int) -> None:
        self._rights[warehouse, sku].release(units)

    def take(self, who: Who, warehouse: str, sku: str, units: int, cause: Cause) -> Flow[bool]:
        self._rights[warehouse, sku].spend(units)
        self.books.asked(warehouse, sku, cause, units)
        reply = yield who.add(cause, shelf_key(warehouse, sku), -units)
        self._acknowledged(warehouse, sku, cause, units, reply)
        return True

    def receive(self, who: Who, warehouse: str, sku: str, units: int, cause: Cause) -> Flow[None]:
        self.books.asked(warehouse, sku, cause, units)
        reply = yield who.add(cause, shelf_key(warehouse, sku), units)
        self._acknowledged(warehouse, sku, cause, units, reply)
        self._rights[warehouse, sku].receive(units)

    def recount(self, who: Who, warehouse: str, sku: str) -> Flow[int]:
        since = self.books.movements(warehouse, sku)
        reply = yield who.count("stock_take", shelf_key(warehouse, sku))
        found = self._read(self._seen(warehouse, sku, reply))
        return self.books.off(warehouse, sku, found.units, since=since)

    async def found(self, reads: Reads, warehouse: str, sku: str) -> Found | None:
        reply = await reads.counter(shelf_key(warehouse, sku))
        return None if isinstance(reply, Unread) else self._read(reply)

    def _acknowledged(self, warehouse: str, sku: str, cause: Cause, units: int, reply: Reply) -> None:
        counter = self._seen(warehouse, sku, reply)
        self.books.acknowledged(warehouse, sku, cause, units, w=counter.w)
        self._own.update(counter.actors or ())

    def _seen(self, warehouse: str, sku: str, reply: Reply) -> CounterReply:
        assert isinstance(reply, CounterReply), f"expected a counter's answer, got {reply!r}"
        self.books.seen(warehouse, sku, reply.value)
        return reply

    def _read(self, reply: CounterReply) -> Found:
        actors = reply.actors or {}
        own = [actors[name] for name in self._own if name in actors]
        return Found(sum(totals.increments - totals.decrements for totals in own), reply.value)
