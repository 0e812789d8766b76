"""The seam between what people do in a warehouse and how the database is made to keep stock.

Here: the protocol.
A third way, moving units and booking them in one transaction, is a third implementation of the same protocol; the
scenarios (scenarios.py) stay as they are.
Must not live here: any way of keeping stock: with reservations (reserved.py), without (unreserved.py).

What takes operations is a flow; what does not is a plain call. Every implementation tells its `books` of a movement
before it is sent and when it is acknowledged, and of every total that it reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from traffic.workloads.inventory.flows import Flow, Who
from traffic.workloads.inventory.stock_check import Cause, Found, StockBooks
from traffic.workloads.inventory.warehouses import Product
from traffic.workloads.reading import Reads


class Stockkeeping(Protocol):
    """Units on shelves; a shelf is a product in a warehouse."""

    books: StockBooks

    @property
    def products(self) -> Sequence[Product]:
        """What is kept, the most wanted first."""
        ...

    def free(self, warehouse: str, sku: str) -> int:
        """Units that this process believes it may promise to somebody."""
        ...

    def look(self, who: Who, warehouse: str, sku: str) -> Flow[int]:
        """Read how many units are on a shelf, as a customer does."""
        ...

    def promise(self, warehouse: str, sku: str, units: int, *, seen: int) -> bool:
        """Promise units to somebody who has just `seen` so many; False if they cannot be promised."""
        ...

    def release(self, warehouse: str, sku: str, units: int) -> None:
        """Take back a promise of which nothing came."""
        ...

    def take(self, who: Who, warehouse: str, sku: str, units: int, cause: Cause) -> Flow[bool]:
        """Remove promised units; False if they were not there. OperationFailed: they may or may not be gone."""
        ...

    def receive(self, who: Who, warehouse: str, sku: str, units: int, cause: Cause) -> Flow[None]:
        """Add units. OperationFailed: they may or may not be there."""
        ...

    def recount(self, who: Who, warehouse: str, sku: str) -> Flow[int]:
        """Take stock: how many units the shelf holds more (less: below 0) than can be explained."""
        ...

    async def found(self, reads: Reads, warehouse: str, sku: str) -> Found | None:
        """A final read of one shelf; None if nobody could answer it."""
        ...
