"""What a check may ask at the end of a run: final quorum reads, single or many.

Here: the protocol, the answer of a read that found nobody, and reading many keys without hanging on a dead cluster.
Must not live here: through which nodes a read is tried (verify/final_reads.py), what is concluded from it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol, TypeVar

from traffic.stores.base import CounterReply, GetReply

READS_AT_ONCE = 32
UNREAD_MAX = 100

T = TypeVar("T")


class Unread:
    """What a final read answers that found nobody to answer it: nothing is known about the key."""


UNREAD = Unread()


class Reads(Protocol):
    """Final quorum reads, each tried several times through several nodes."""

    @property
    def replicas(self) -> int:
        """N."""
        ...

    @property
    def quorum(self) -> int:
        """How many replicas answer each of these reads: a majority."""
        ...

    async def value(self, key: str) -> GetReply | Unread | None:
        """What is stored under `key`; None if there is nothing (or only tombstones)."""
        ...

    async def counter(self, key: str) -> CounterReply | Unread:
        """A counter; one that nobody has written is 0."""
        ...


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
