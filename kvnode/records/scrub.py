"""Looking for rows that are not what was written, before somebody needs them.

A damaged row keeps its checksum, so its leaf in the Merkle tree still equals the other replicas': anti-entropy alone
would never find it. So every row is read and verified once after the start, and from time to time (maintenance.py); a
row that fails is dropped, which the next exchange notices. It goes slowly (throttle.py).
"""

from __future__ import annotations

import msgspec

from kvnode.config import SCRUB_ROWS
from kvnode.records.records import Records
from kvnode.runtime import Runtime
from kvnode.throttle import Share, Throttle, background_share


class ScrubStats(msgspec.Struct, frozen=True):
    """What was verified since the start."""

    rounds_total: int
    rows_checked_total: int


class Scrub:
    """Verifies all rows of this replica."""

    def __init__(self, runtime: Runtime, records: Records, partitions: int) -> None:
        self._runtime = runtime
        self._records = records
        self._partitions = partitions
        self.checked_count = 0
        self.round_count = 0

    async def once(self, share: Share = background_share) -> dict[str, int]:
        """One round over all rows; how many were looked at and how many were dropped."""
        checked_before = self.checked_count
        corrupt_before = self._records.corrupt_count
        throttle = Throttle(self._runtime.clock, SCRUB_ROWS, share)
        for partition in range(self._partitions):
            after: str | None = ""
            while after is not None:
                await throttle.rest()
                count, after = self._records.verify(partition, after, throttle.budget)
                self.checked_count += count
                throttle.budget -= count
        self.round_count += 1
        corrupt = self._records.corrupt_count - corrupt_before
        self._runtime.log("scrubbed", level="error" if corrupt else "info", corrupt=corrupt)
        return {"checked": self.checked_count - checked_before, "corrupt": corrupt}

    def describe(self) -> ScrubStats:
        """For /stats."""
        return ScrubStats(rounds_total=self.round_count, rows_checked_total=self.checked_count)
