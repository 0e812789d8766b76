"""Where stock is kept and what is sold: three warehouses, a catalogue, and the keys under which both are stored.

Here: names and keys.
Must not live here: how much there is, who may take it, when anybody does.

Keys: `/kv product/{sku}` (a JSON string: sku, name), `/kv order/{id}`; counters `stock/{warehouse}/{sku}` (units on
a shelf), `restocked/{sku}` and `sold/{sku}` (units that ever came from suppliers and went to customers, over all
warehouses: the product's books, for anybody with curl).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A building in a region of the world; regions are those of the cluster's topologies."""

    name: str
    region: str


@dataclass(frozen=True, slots=True)
class Product:
    sku: str
    name: str

    @property
    def key(self) -> str:
        return f"product/{self.sku}"

    @property
    def restocked_key(self) -> str:
        return f"restocked/{self.sku}"

    @property
    def sold_key(self) -> str:
        return f"sold/{self.sku}"


WAREHOUSES: tuple[Warehouse, ...] = (
    Warehouse("washington", "Washington DC"),
    Warehouse("london", "London"),
    Warehouse("tokyo", "Tokyo"),
)

_NEAREST_FIRST: dict[str, tuple[str, ...]] = {
    "Washington DC": ("washington", "london", "tokyo"),
    "London": ("london", "washington", "tokyo"),
    "Tokyo": ("tokyo", "washington", "london"),
    "Sydney": ("tokyo", "washington", "london"),
    "Sao Paulo": ("washington", "london", "tokyo"),
}
"""By the round trips between the regions where people live (workloads/personas.py)."""

CATALOGUE: tuple[Product, ...] = tuple(
    Product(sku, name)
    for sku, name in (
        ("mug", "Mug, slightly concurrent"),
        ("lamp", "Desk lamp"),
        ("kettle", "Kettle"),
        ("atlas", "Atlas of the world"),
        ("chess", "Chess set"),
        ("radio", "Radio"),
        ("scarf", "Scarf"),
        ("globe", "Globe"),
        ("clock", "Clock, loosely synchronized"),
        ("kite", "Kite"),
        ("drum", "Drum"),
        ("bike", "Bicycle"),
    )
)


def shelf_key(warehouse: str, sku: str) -> str:
    """The key of one product in one warehouse."""
    return f"stock/{warehouse}/{sku}"


def order_key(order_id: str) -> str:
    return f"order/{order_id}"


def by_distance(region: str) -> tuple[str, ...]:
    """The names of all warehouses, nearest to a customer in `region` first."""
    return _NEAREST_FIRST[region]
