"""Reads that look at many rows (GET /keys, /merkle): a few at a time, a few more in line, and a refusal beyond.

Each of them rests between its steps, but several together would still leave little of the event loop to others.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from kvnode.config import HEAVY_READS_MAX, HEAVY_READS_WAITING_MAX
from kvnode.errors import TooBusy


class HeavyReads:
    """The gate that they all go through."""

    def __init__(
        self, *, count_max: int = HEAVY_READS_MAX, waiting_count_max: int = HEAVY_READS_WAITING_MAX
    ) -> None:
        self._gate = asyncio.Semaphore(count_max)
        self._count = 0
        self._count_max = count_max + waiting_count_max

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Within it one such read is done. TooBusy: too many are in line already."""
        if self._count >= self._count_max:
            raise TooBusy(f"{self._count_max} reads of many rows are under way here; try again later")
        self._count += 1
        try:
            async with self._gate:
                yield
        finally:
            self._count -= 1
