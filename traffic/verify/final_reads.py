"""Final reads: what the database holds at the end, by quorum, tried through several nodes.

Here: single reads with retries.
Must not live here: reading many keys (workloads/reading.py), what is concluded from them (write_ledger.py, and each
workload's `check`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from traffic.nodes.table import NodeTable
from traffic.stores.base import CounterReply, GetReply, NotFound, Sibling, Store, StoreError
from traffic.workloads.reading import UNREAD, Unread

READ_TRIES_MAX = 8
READ_RETRY_S = 0.25

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
