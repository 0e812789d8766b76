"""Whom a node listens to: nobody in an older epoch, and no former member that comes too late.

A node that was not a member when tombstones were dropped may come back with values that are older than they. What it
offers is refused if something was dropped since it left. What was dropped while it was a member went with its consent.
A store that replaces another learns from those that refill it how far that has come; until then it cannot tell.

Must not live here: when a tombstone may go (reaper.py), and how a ring becomes known (handoff/dissemination.py).
"""

from __future__ import annotations

from collections.abc import Callable

from kvnode.messages import Addressed, Refused
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
        refuse_other_epoch: Callable[[str, Addressed], bool],
    ) -> None:
        self._disk = runtime.disk
        self._ring = ring
        self._incomplete = incomplete
        self.refuses_epoch = refuse_other_epoch
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

    def refusal_if_late(self, peer: str, id_: int) -> Refused | None:
        """What a node that is not a member is answered to what it offers; None: it is taken."""
        if peer in self._ring.known:
            return None
        if self._incomplete.held:
            return Refused(
                id_, "this store is being refilled, and cannot tell yet what was reaped; offer it again"
            )
        left_in = self._ring.state.left_in(peer)
        is_late = self.reaped_epoch > 0 and (left_in is None or self.reaped_epoch >= left_in)
        return Refused(id_, "tombstones were reaped since you were a member", True) if is_late else None


def _epoch_of(row: bytes) -> int:
    """What was remembered; of what cannot be read the safe side: nothing from before is listened to."""
    return int(row) if row.isdigit() and len(row) <= 16 else 2**53
