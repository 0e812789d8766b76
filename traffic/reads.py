"""Final reads: what the database holds at the end, by quorum, tried through several nodes.

Here: single reads with retries, and reading many keys without hanging on a dead cluster. Not here: what is
concluded from them (books.py, and each workload's `check`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from traffic.nodes import NodeTable
from traffic.stores.base import CounterReply, GetReply, NotFound, Sibling, Store, StoreError
from traffic.workloads.base import UNREAD, Unread

READS_AT_ONCE = 32
READ_TRIES_MAX = 8
READ_RETRY_S = 0.25
UNREAD_MAX = 100

T = TypeVar("T")


class QuorumReads:
    """The `Reads` that workloads are given."""

    def __init__(self, store: Store, nodes: NodeTable) -> None:
        self._store = store
        self._nodes = nodes

    @property
    def replicas(self) -> int:
        return self._store.replicas

    @property
    def quorum(self) -> int:
        """A majority, so that every write with w at a majority must be seen."""
        return self._store.replicas // 2 + 1

    async def value(self, key: str) -> GetReply | Unread | None:
        return await self._tried(lambda node: self._value(node, key))

    async def siblings(self, key: str) -> Sequence[Sibling] | Unread:
        """All versions of a key, tombstones too."""
        return await self._tried(lambda node: self._siblings(node, key))

    async def counter(self, key: str) -> CounterReply | Unread:
        return await self._tried(lambda node: self._store.counter(node, key, r=self.quorum))

    async def _value(self, node: str, key: str) -> GetReply | None:
        try:
            return await self._store.get(node, key, r=self.quorum)
        except NotFound:
            return None

    async def _siblings(self, node: str, key: str) -> Sequence[Sibling]:
        try:
            return (await self._store.get(node, key, r=self.quorum)).siblings
        except NotFound as error:  # nothing there, or tombstones: somebody has deleted it
            return error.siblings

    async def _tried(self, read: Callable[[str], Awaitable[T]]) -> T | Unread:
        for _ in range(READ_TRIES_MAX):
            node = self._nodes.choose() or self._store.nodes[0]
            try:
                return await read(node)
            except StoreError:
                await asyncio.sleep(READ_RETRY_S)
        return UNREAD


async def read_all(
    keys: Iterable[str], read: Callable[[str], Awaitable[T | Unread]], at_once: int = READS_AT_ONCE
) -> dict[str, T | Unread]:
    """Every key read once, `at_once` at a time. After UNREAD_MAX unreadable ones the rest is given up as
    unread, so that a check of a dead cluster ends."""
    found: dict[str, T | Unread] = dict.fromkeys(keys, UNREAD)
    left = iter(list(found))
    unread = 0

    async def reader() -> None:
        nonlocal unread
        for key in left:  # all readers share one iterator
            if unread >= UNREAD_MAX:
                return
            found[key] = await read(key)
            unread += isinstance(found[key], Unread)

    await asyncio.gather(*(reader() for _ in range(min(at_once, len(found)))))
    return found
