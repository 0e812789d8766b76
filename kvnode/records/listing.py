"""Listing keys in order: a merge of all partitions, a few rows at a time between other requests.

Keys are spread over partitions by their hash, so the next key may stand in any of them: the listing keeps one cursor a
partition and takes the least. Deleted keys are not shown, but their tombstones have to be looked at, and there may be
any number of them in a row. So the listing rests (throttle.py) after every few rows: no reader holds the event loop.

A listing is no snapshot: what is written or deleted while it goes on may be in it or not.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heapreplace

from kvnode.records.records import Records
from kvnode.throttle import Throttle

_ROWS_MIN, _ROWS_MAX = 16, 128  # of one partition, read at once; more and more while none is shown


class _Cursor:
    """The keys of one partition that are still to come. keys: those that were read and not taken yet."""

    def __init__(self, partition: int, after: str, *, is_inclusive: bool, rows: int) -> None:
        self.partition = partition
        self.keys: deque[str] = deque()
        self._after = after
        self._is_inclusive = is_inclusive
        self._rows = rows
        self._has_more = True

    async def fill(self, records: Records, kind: str, prefix: str, throttle: Throttle) -> bool:
        """Read on until there is a key; False if there is none any more."""
        while self._has_more and not self.keys:
            await throttle.rest()
            found, read, self._has_more = records.keys_in(
                self.partition, kind, prefix, self._after, self._rows, is_inclusive=self._is_inclusive
            )
            self._is_inclusive = False
            self.keys.extend(key for key, is_shown in found if is_shown)
            if found:
                self._after = found[-1][0]
            throttle.budget -= read
            self._rows = min(2 * self._rows, _ROWS_MAX)
        return bool(self.keys)


async def list_keys(
    records: Records, kind: str, *, prefix: str, after: str, limit: int, throttle: Throttle
) -> list[str]:
    """The first `limit` keys beyond `after` that start with `prefix`, sorted; deleted ones left out."""
    is_inclusive = after < prefix
    start = prefix if is_inclusive else after
    rows = max(_ROWS_MIN, min(2 * limit // records.partition_count, _ROWS_MAX))
    cursors = [
        _Cursor(partition, start, is_inclusive=is_inclusive, rows=rows)
        for partition in range(records.partition_count)
    ]
    heads = [
        (cursor.keys[0], cursor.partition)
        for cursor in cursors
        if await cursor.fill(records, kind, prefix, throttle)
    ]
    heapify(heads)
    listed: list[str] = []
    while heads and len(listed) < limit:
        key, partition = heads[0]
        listed.append(key)
        cursor = cursors[partition]
        cursor.keys.popleft()
        if await cursor.fill(records, kind, prefix, throttle):
            heapreplace(heads, (cursor.keys[0], partition))
        else:
            heappop(heads)
    return listed
