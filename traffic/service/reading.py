"""Reads through whichever node answers, for endpoints that show what is in the database.

Here: one read with other nodes as a fallback.
Must not live here: which reads.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from traffic.nodes.table import NodeTable
from traffic.stores.base import NotFound, StoreError

T = TypeVar("T")


async def through_any(nodes: NodeTable, read: Callable[[str], Awaitable[T]]) -> T:
    """What the first node that can answer says. NotFound is an answer; else the last StoreError is raised."""
    tried: list[str] = []
    failure: StoreError | None = None
    while (name := nodes.choose(tried)) is not None:
        tried.append(name)
        try:
            return await read(name)
        except NotFound:
            raise
        except StoreError as error:
            failure = error
    assert failure is not None
    raise failure
