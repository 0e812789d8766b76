"""The active products and their stock in each warehouse, read from the database at the moment somebody asks.

Here: which products, and how one looks to a client.
Must not live here: HTTP, who orders (workloads/inventory).

Units on a shelf are a counter `stock/{warehouse}/{sku}`; those of a product that is kept by read-modify-write (the
known bug) are a value under the same key. Both are read, and `kept_as` says which it is.
"""

from __future__ import annotations

import asyncio
from typing import Any

from traffic.control.generator import Generator
from traffic.service.listing import counter, must_list, reading_quorum, told, value
from traffic.workloads.inventory.warehouses import WAREHOUSES, Product, shelf_key

READS_AT_ONCE = 16
PREFIX = "product/"


async def active_products(
    generator: Generator, limit: int, workload: str = "inventory"
) -> tuple[list[Any], int]:
    """(products by sku; how many there are). StoreError if the database cannot be read."""
    keys = await must_list(generator, PREFIX)
    skus = sorted(key[len(PREFIX) :] for key in keys if key.count("/") == 1)
    r = reading_quorum(generator, workload)
    room = asyncio.Semaphore(READS_AT_ONCE)
    products = await asyncio.gather(*(_product(generator, sku, r, room) for sku in skus[:limit]))
    return [product for product in products if product is not None], len(skus)


async def _product(generator: Generator, sku: str, r: int, room: asyncio.Semaphore) -> dict[str, Any] | None:
    product = Product(sku, sku)
    async with room:
        reply = await value(generator, product.key, r)
        if reply is None:
            return None
        shelves = [await _shelf(generator, shelf_key(one.name, sku), r) for one in WAREHOUSES]
        sold = (await counter(generator, product.sold_key, r)).value
        restocked = (await counter(generator, product.restocked_key, r)).value
    stock = {
        one.name: units for one, (units, _) in zip(WAREHOUSES, shelves, strict=True) if units is not None
    }
    return {
        "sku": sku,
        "name": told(reply.value).get("name") or sku,
        "stock": stock,
        "total": sum(stock.values()),
        "sold": sold,
        "restocked": restocked,
        "kept_as": "values" if any(kept == "values" for _, kept in shelves) else "counters",
        "conflict": reply.conflict,
        "node": reply.node,
        "vector_clock": reply.vector_clock,
    }


async def _shelf(generator: Generator, key: str, r: int) -> tuple[int | None, str]:
    counted = await counter(generator, key, r)
    if counted.actors:
        return counted.value, "counters"
    written = await value(generator, key, r)
    if written is None:
        return None, "counters"
    try:
        return int(str(written.value)), "values"
    except ValueError:
        return None, "values"
