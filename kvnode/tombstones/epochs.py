"""Whom a node listens to: nobody in an older epoch, and no former member that comes too late.

A node that was not a member when tombstones were dropped may come back with values that are older than they. What it
offers is refused if something was dropped since it left. What was dropped while it was a member went with its consent.
A store that replaces another learns from those that refill it how far that has come; until then it cannot tell.

Must not live here: when a tombstone may go (reaper.py), and how a ring becomes known (handoff/dissemination.py).
"""

from __future__ import annotations

from collections.abc import Callable

from kvnode.messages import NOT_YET, TOO_LATE
from kvnode.records.incomplete import Incomplete
from kvnode.ring import Placement
from kvnode.runtime import Row, Runtime

_META, _KEY = "meta", "swept-epoch"


class Epochs:
    """The guard of one node (context.EpochGuard).

    reaped_epoch: the last in which this store, or one that it was filled from, dropped a tombstone.
    """

    def __init__(
        self,
        runtime: Runtime,
        ring: Placement,
        incomplete: Incomplete,
        refuse_other_epoch: Callable[[str, int, int], bool],
    ) -> None:
        self._disk = runtime.disk
        self._ring = ring
        self._incomplete = incomplete
        self.refuses = refuse_other_epoch
        self.reaped_epoch = 0

    def open(self) -> None:
        """Read in which epoch a tombstone was dropped last."""
        row = self._disk.get(_META, 0, _KEY)
        self.reaped_epoch = 0 if row is None else _epoch_of(row[0])

    def heard_reaped(self, epoch: int) -> None:
        """Tombstones were dropped in this epoch, here or where this store is filled from; durable with what it gave."""
        if epoch > self.reaped_epoch:
            self.reaped_epoch = epoch
            self._disk.commit([Row(_META, 0, _KEY, str(epoch).encode())])

    def why_too_late(self, peer: str) -> str:
        """Why what a node that is not a member offers is refused; empty: it is not."""
        if peer in self._ring.known:
            return ""
        if self._incomplete.held:
            return NOT_YET
        left_in = self._ring.state.left_in(peer)
        is_late = self.reaped_epoch > 0 and (left_in is None or self.reaped_epoch >= left_in)
        return TOO_LATE if is_late else ""


def _epoch_of(row: bytes) -> int:
    """What was remembered; of what cannot be read the safe side: nothing from before is listened to."""
    return int(row) if row.isdigit() and len(row) <= 16 else 2**53
