"""Keys that the nodes hold now, and values as people wrote them: what the lists of the three worlds share.

Here: asking every node that answers for its keys, reading a key or a counter through whichever node can.
Must not live here: what the keys mean (feed.py, documents.py, products.py).
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from traffic.clock import monotonic
from traffic.control.generator import Generator
from traffic.service.reading import through_any
from traffic.stores.base import CounterReply, GetReply, NotFound, StoreError

KEYS_PER_LIST = 1000
PAGES_MAX = 8


async def held_keys(generator: Generator, prefix: str, *, after: str, pages_max: int = 1) -> set[str] | None:
    """Keys beyond `after` that begin so, on any node, at most so many pages of each; None if no node says."""
    nodes = generator.store.nodes
    listed = await asyncio.gather(*(_of_node(generator, node, prefix, after, pages_max) for node in nodes))
    if all(keys is None for keys in listed):
        return None
    return {key for keys in listed for key in keys or ()}


async def must_list(generator: Generator, prefix: str) -> set[str]:
    """All keys that begin so (within PAGES_MAX pages); StoreError if no node says."""
    keys = await held_keys(generator, prefix, after=prefix, pages_max=PAGES_MAX)
    if keys is None:
        raise nobody_lists()
    return keys


def nobody_lists() -> StoreError:
    return StoreError("every node", "no node could list its keys", definite=True)


def reading_quorum(generator: Generator, workload: str) -> int:
    """The r of a workload; without that workload, of the first one."""
    driver = generator.drivers.get(workload) or next(iter(generator.drivers.values()))
    return driver.settings.r


async def value(generator: Generator, key: str, r: int) -> GetReply | None:
    """What a quorum holds; None if there is nothing."""
    try:
        return await through_any(generator.nodes, lambda node: generator.store.get(node, key, r=r))
    except NotFound:
        return None


async def counter(generator: Generator, key: str, r: int) -> CounterReply:
    return await through_any(generator.nodes, lambda node: generator.store.counter(node, key, r=r))


def told(value: Any) -> dict[str, Any]:
    """A value as its writer meant it: a JSON text of an object, or an object, or whatever somebody put there."""
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except (ValueError, RecursionError):  # UnicodeError, MsgspecError: what no answer could repeat
            return {"text": value.encode(errors="replace").decode()}
    return value if isinstance(value, dict) else {"text": str(value)}


async def _of_node(
    generator: Generator, node: str, prefix: str, after: str, pages_max: int
) -> list[str] | None:
    known = generator.nodes.nodes.get(node)
    if known is None or not known.believed(monotonic()):
        return None
    found: list[str] = []
    for _ in range(pages_max):
        try:
            page = await generator.store.keys(node, prefix=prefix, after=after, limit=KEYS_PER_LIST)
        except StoreError:
            return found or None
        found += page
        if len(page) < KEYS_PER_LIST:
            break
        after = page[-1]
    return found
