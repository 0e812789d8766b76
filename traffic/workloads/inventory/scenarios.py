"""What people do in and around a warehouse, each as a scenario of several steps.

Here: orders, transfers, restocking, stock-takes, the opening, night work, and what of it is counted.
Must not live here: how stock is kept (keeping.py and behind), who begins which scenario when (world.py).

The order of steps is chosen so that a process that dies between two of them leaves stock that is too low in the
books' eyes, never too high: what comes is booked (`restocked/{sku}`) before it is put on a shelf, what goes is taken
from the shelf before it is booked (`sold/{sku}`), a transfer leaves one shelf before it reaches the other. So, with
everything quiet, restocked - sold >= units on all shelves, and the difference is what such deaths left half done. (One
transaction instead of two steps would make it 0.)
"""

from __future__ import annotations

from collections import Counter
from random import Random

import msgspec

from traffic.operations import Put
from traffic.workloads.inventory.flows import Flow, Later, OperationFailed, Who
from traffic.workloads.inventory.keeping import Stockkeeping
from traffic.workloads.inventory.stock_check import Shelf
from traffic.workloads.inventory.warehouses import WAREHOUSES, Product, Warehouse, by_distance, order_key

SHELF_TARGET = 40
"""Units on a shelf at the opening, and up to which it is restocked."""
PICKING_S = (0.2, 2.0)
DRIVING_S = (1.0, 5.0)
TRANSFER_UNITS_MAX = 8
PUT_AGAIN_S = 1.0

COUNTED = (
    "orders", "refused_out_of_stock", "refused_without_rights", "orders_failed", "orders_cancelled", "shipped",
    "transfers", "restocked", "stock_takes", "discrepancies", "repairs", "sweeps", "maintenance_refused",
)  # fmt: skip
"""orders: accepted, each of one to four units. refused_out_of_stock: no warehouse had enough. refused_without_rights:
one had, but the units were promised already, or belong to other processes (what it costs not to ask anybody).
orders_failed: the order itself could not be written. orders_cancelled: accepted, but the shelf was empty when somebody
came to pick. shipped, restocked: units. transfers: that have arrived. discrepancies: stock-takes that found what cannot
be explained. maintenance_refused: night work that no node has done."""


class Scenarios:
    """All scenarios over one way of keeping stock. tag: of this process, for the names of orders."""

    def __init__(self, stock: Stockkeeping, random: Random, tag: str) -> None:
        self.stock = stock
        self.counted: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
        self.opened: list[Product] = []
        self._random = random
        self._tag = tag
        self._orders_issued = 0
        self._on_the_way: Counter[Shelf] = Counter()  # ordered from suppliers, or in a lorry

    # --- goods come ---------------------------------------------------------------------------------------

    def open(self, who: Who, product: Product) -> Flow[None]:
        """Put a product into the catalogue, and goods of this process on every shelf of it."""
        value = msgspec.json.encode({"sku": product.sku, "name": product.name}).decode()
        while not (yield from self._written(who.put("product", product.key, value))):
            yield Later(PUT_AGAIN_S)
        yield who.add("restocked", product.restocked_key, SHELF_TARGET * len(WAREHOUSES))
        for warehouse in WAREHOUSES:
            yield from self.stock.receive(who, warehouse.name, product.sku, SHELF_TARGET, "opening")
        self.opened.append(product)

    def _written(self, put: Put) -> Flow[bool]:
        try:
            yield put
        except OperationFailed:
            return False
        return True

    def restock(self, who: Who, warehouse: str, product: Product) -> Flow[None]:
        """Order from the supplier what a shelf lacks."""
        shelf = (warehouse, product.sku)
        units = SHELF_TARGET - self.stock.free(*shelf) - self._on_the_way[shelf]
        if units <= 0:
            return
        self._on_the_way[shelf] += units
        try:
            yield who.add("restocked", product.restocked_key, units)
            yield from self.stock.receive(who, warehouse, product.sku, units, "restock")
            self.counted["restocked"] += units
        finally:
            self._on_the_way[shelf] -= units

    def emptiest(self, product: Product) -> str:
        """The warehouse that needs this product most."""
        return min(
            (warehouse.name for warehouse in WAREHOUSES),
            key=lambda name: self.stock.free(name, product.sku) + self._on_the_way[name, product.sku],
        )

    # --- goods go -----------------------------------------------------------------------------------------

    def order(self, who: Who, product: Product, units: int) -> Flow[None]:
        """A customer looks, orders from the nearest warehouse that can promise the units, and is sent them."""
        warehouse = yield from self._promised(who, product, units)
        if warehouse is None:
            return
        self._orders_issued += 1
        order = {"sku": product.sku, "units": units, "warehouse": warehouse, "customer": who.persona}
        key = order_key(f"{self._tag}-{self._orders_issued}")
        if not (yield from self._written(who.put("order", key, msgspec.json.encode(order).decode()))):
            # It may be there all the same; but nothing is sent for it.
            self.counted["orders_failed"] += 1
            self.stock.release(warehouse, product.sku, units)
            return
        self.counted["orders"] += 1
        yield Later(self._random.uniform(*PICKING_S))
        if not (yield from self.stock.take(who, warehouse, product.sku, units, "shipment")):
            self.counted["orders_cancelled"] += 1
            return
        self.counted["shipped"] += units
        yield who.add("sold", product.sold_key, units)

    def _promised(self, who: Who, product: Product, units: int) -> Flow[str | None]:
        """The nearest warehouse that could promise the units; None if there is none."""
        there_were = False
        for warehouse in by_distance(who.region):
            seen = yield from self.stock.look(who, warehouse, product.sku)
            if self.stock.promise(warehouse, product.sku, units, seen=seen):
                return warehouse
            there_were |= seen >= units
        self.counted["refused_without_rights" if there_were else "refused_out_of_stock"] += 1
        return None

    # --- goods move ---------------------------------------------------------------------------------------

    def transfer(self, who: Who, product: Product) -> Flow[None]:
        """Take units from the fullest shelf of a product to the emptiest."""
        target = self.emptiest(product)
        source = max((one.name for one in WAREHOUSES), key=lambda name: self.stock.free(name, product.sku))
        there = self.stock.free(source, product.sku)
        units = min((there - self.stock.free(target, product.sku)) // 2, TRANSFER_UNITS_MAX)
        if units <= 0 or not self.stock.promise(source, product.sku, units, seen=there):
            return
        if not (yield from self.stock.take(who, source, product.sku, units, "departure")):
            return
        self._on_the_way[target, product.sku] += units
        try:
            yield Later(self._random.uniform(*DRIVING_S))
            yield from self.stock.receive(who, target, product.sku, units, "arrival")
            self.counted["transfers"] += 1
        finally:
            self._on_the_way[target, product.sku] -= units

    # --- looking after it ---------------------------------------------------------------------------------

    def take_stock(self, who: Who, warehouse: str, product: Product) -> Flow[None]:
        """Count a shelf and compare with what the books say."""
        off = yield from self.stock.recount(who, warehouse, product.sku)
        self.counted["stock_takes"] += 1
        self.counted["discrepancies"] += off != 0

    def browse(self, who: Who, product: Product) -> Flow[None]:
        """Look at a product, and buy nothing."""
        yield who.get("browse", product.key)

    def night_work(self, who: Who) -> Flow[None]:
        """Ask a node of the region to compare itself with the others, and to sweep. A node that cannot says so."""
        for ask, done in ((who.repair, "repairs"), (who.sweep, "sweeps")):
            try:
                yield ask(done.removesuffix("s"))
            except OperationFailed:
                self.counted["maintenance_refused"] += 1
            else:
                self.counted[done] += 1


def worker_of(warehouse: Warehouse, session: str) -> Who:
    """Somebody who works there."""
    return Who(f"{warehouse.name}_warehouse", warehouse.region, session)
