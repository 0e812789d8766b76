"""Stock by read-modify-write: the known bug "unreserved", kept to be looked at.

Here: what goes wrong when a number is read, changed and written back.
Must not live here: what people do (scenarios.py).

A shelf is a value `/kv stock/{warehouse}/{sku}`, the number of units in decimal. Whoever takes or adds units reads it,
handles the units, and puts what is left without the context of the read, as programs do that were written for one
clerk on one computer. Two who read 10 both write 9: two units are sent, and the shelf shows one that is gone and
will be sold again. Nothing is assumed about how often that happens: movements are booked as they are acknowledged,
and the final reads show what is left of them.

Products get a tag of this process in their sku, so that shelves belong to this process alone: its verdict then
never blames it for the writes of another. The concurrency is that of its own customers.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from traffic.stores.base import GetReply, PutReply, Reply
from traffic.workloads.inventory.flows import Flow, Later, Who
from traffic.workloads.inventory.stock_check import Cause, Found, Shelf, StockBooks
from traffic.workloads.inventory.warehouses import CATALOGUE, Product, shelf_key
from traffic.workloads.reading import Reads, Unread

HANDLING_S = (0.1, 0.5)
"""Between reading a shelf and writing it back. The database is not asked in between, whatever else happens."""


class Unreserved:
    """tag: of this process, for the skus."""

    def __init__(self, random: Random, tag: str) -> None:
        self.books = StockBooks()
        self._random = random
        self._products = tuple(Product(f"{one.sku}-{tag}", one.name) for one in CATALOGUE)
        self._believed: dict[Shelf, int] = {}  # as last read or written here

    @property
    def products(self) -> Sequence[Product]:
        return self._products

    def free(self, warehouse: str, sku: str) -> int:
        return self._believed.get((warehouse, sku), 0)

    def look(self, who: Who, warehouse: str, sku: str) -> Flow[int]:
        reply = yield who.get("look", shelf_key(warehouse, sku))
        return self._seen(warehouse, sku, reply)

    def promise(self, warehouse: str, sku: str, units: int, *, seen: int) -> bool:
        """The bug, first half: what was seen is promised, to as many as see it."""
        return units <= seen

    def release(self, warehouse: str, sku: str, units: int) -> None:
        """Nothing was set aside."""

    def take(self, who: Who, warehouse: str, sku: str, units: int, cause: Cause) -> Flow[bool]:
        seen = yield from self.look(who, warehouse, sku)
        if seen < units:
            return False
        yield from self._write(who, warehouse, sku, seen - units, cause, units)
        return True

    def receive(self, who: Who, warehouse: str, sku: str, units: int, cause: Cause) -> Flow[None]:
        seen = yield from self.look(who, warehouse, sku)
        yield from self._write(who, warehouse, sku, seen + units, cause, units)

    def recount(self, who: Who, warehouse: str, sku: str) -> Flow[int]:
        since = self.books.movements(warehouse, sku)
        reply = yield who.get("stock_take", shelf_key(warehouse, sku))
        return self.books.off(warehouse, sku, self._seen(warehouse, sku, reply), since=since)

    async def found(self, reads: Reads, warehouse: str, sku: str) -> Found | None:
        reply = await reads.value(shelf_key(warehouse, sku))
        if isinstance(reply, Unread):
            return None
        units = _units(reply)
        return Found(units, units)

    def _write(self, who: Who, warehouse: str, sku: str, left: int, cause: Cause, units: int) -> Flow[None]:
        """The bug, second half: others may have written since `left` was computed."""
        yield Later(self._random.uniform(*HANDLING_S))
        self.books.asked(warehouse, sku, cause, units)
        reply = yield who.put(cause, shelf_key(warehouse, sku), str(left))
        w = reply.w if isinstance(reply, PutReply) else None
        self.books.acknowledged(warehouse, sku, cause, units, w=w)
        self._believed[warehouse, sku] = left

    def _seen(self, warehouse: str, sku: str, reply: Reply) -> int:
        assert reply is None or isinstance(reply, GetReply), f"expected a value, got {reply!r}"
        units = _units(reply)
        self.books.seen(warehouse, sku, units)
        self._believed[warehouse, sku] = units
        return units


def _units(reply: GetReply | None) -> int:
    """A shelf that nobody has written is empty."""
    try:
        return 0 if reply is None else int(reply.value)
    except (TypeError, ValueError):
        return 0  # somebody wrote words there
