"""Of which partitions this store may lack what was acknowledged: it replaces a lost one there, and is being refilled.

Whoever asks "what do you hold?" must know. Where a store is incomplete, what it holds is merged and shown, but it
counts neither towards r, nor as a source from which another store is filled. What it is sent and makes durable from now
on it really has: its acknowledgement of a write counts as ever.

A store is incomplete everywhere when it is new and its node is not (a lost disk, a damaged file, a folder put back), or
when it is to take partitions over; and in one partition when a row of it turned out to be damaged. A partition is
complete again when it was refilled (handoff/refill.py) or taken over (handoff/bootstrap.py).
(Cassandra calls such a node a replacement, and lets it serve no reads while it streams; but a node at a time, and not
a partition.)
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Iterable

import msgspec

from kvnode.config import INCOMPLETE_STORE_MS
from kvnode.messages.packing import pack_places, unpack_places
from kvnode.ring import Placement
from kvnode.runtime import ROWS_DROPPED, Row, Runtime

_META, _KEY = "meta", "incomplete"


class Incomplete:
    """The incomplete partitions of one store. refilled_count: how many became complete since the start.

    lost_count: how often something was lost since the start, also where this store was incomplete already: what was
    fetched before may be what is gone.

    Invariant: a partition that is incomplete on disk is so in memory; it becomes complete on disk no earlier than what
    was fetched for it. And the other way round, once anything is written here: where the disk refused to take down what
    is incomplete, that is committed again in front of the next record (settle), so that no crash leaves the one without
    the other.
    """

    def __init__(self, runtime: Runtime, node: str, ring: Placement) -> None:
        self._runtime = runtime
        self._node = node
        self._ring = ring
        self._partitions: set[int] = set()
        self._lost_counts: dict[int, int] = {}
        self._change_count = 0
        self._durable_count = 0  # of the changes, on disk
        self._will_retry = False
        self.lost_count = 0
        self.refilled_count = 0

    def __contains__(self, partition: int) -> bool:
        return partition in self._partitions

    def __bool__(self) -> bool:
        return bool(self._partitions)

    def counts(self, key: str) -> bool:
        """Whether what is held here of a key, or that nothing is, counts: nothing that was acknowledged is missing."""
        return not self or self._ring.partition_of(key) not in self._partitions

    def open(self, *, is_replacement: bool) -> None:
        """Read what is incomplete; is_replacement: this store is new, and others have not forgotten what it lacks."""
        known = self._runtime.disk.get(_META, 0, _KEY)
        if known is not None:
            self._partitions = set(unpack_places(known[0], self._ring.partitions))
        elif is_replacement:
            self.lose_all()
        self._lose_dropped()

    def _lose_dropped(self) -> None:
        """The disk has dropped rows that it could not read: here it is known of which partitions."""
        dropped = self._runtime.disk.get(_META, 0, ROWS_DROPPED)
        if dropped is None:
            return
        partitions = msgspec.json.decode(dropped[0], type=list[int])
        if all(0 <= partition < self._ring.partitions for partition in partitions):
            for partition in partitions:
                self.lose(partition)
        else:
            self.lose_all()
        self._runtime.disk.commit([Row(_META, 0, ROWS_DROPPED, None)])

    def lose_all(self) -> None:
        """This store replaces one that is lost."""
        self._partitions = set(range(self._ring.partitions))
        self.lost_count += 1
        self._store()

    def lose(self, partition: int) -> None:
        """A record of this partition was lost here."""
        self.lost_count += 1
        self._lost_counts[partition] = self.lost_count_in(partition) + 1
        if partition not in self._partitions:
            self._runtime.log("incomplete", level="error", partition=partition)
            self._partitions.add(partition)
            self._store()

    def lost_count_in(self, partition: int) -> int:
        """How often a record of this partition was lost here since the start."""
        return self._lost_counts.get(partition, 0)

    def completed(self, partitions: Iterable[int]) -> None:
        """All that was acknowledged is held here again, durably."""
        done = self._partitions.intersection(partitions)
        if done:
            self._partitions -= done
            self.refilled_count += len(done)
            self._store()

    def among(self, partitions: Iterable[int]) -> list[int]:
        """Those of these partitions that are incomplete, in order."""
        return sorted(self._partitions.intersection(partitions)) if self._partitions else []

    @property
    def owned(self) -> list[int]:
        """The incomplete partitions of which this node is an owner, in order."""
        lists = self._ring.preference_lists
        return [partition for partition in sorted(self._partitions) if self._node in lists[partition]]

    @property
    def held(self) -> list[int]:
        """The same, and those that it takes over."""
        return [
            partition for partition in sorted(self._partitions) if self._node in self._ring.holders(partition)
        ]

    def settle(self) -> None:
        """Whoever writes a record calls this first: what is not known to be on disk goes in front of it."""
        if self._durable_count < self._change_count:
            self._commit()

    def _store(self) -> None:
        self._change_count += 1
        self._commit()

    def _commit(self) -> None:
        count = self._change_count

        def committed(future: Future[None]) -> None:
            if future.cancelled():
                return
            if future.exception() is None:
                self._durable_count = max(self._durable_count, count)
            elif not self._will_retry:
                self._will_retry = True
                self._runtime.clock.call_later_ms(INCOMPLETE_STORE_MS, self._retry)

        row = pack_places(self._partitions, self._ring.partitions)
        self._runtime.disk.commit([Row(_META, 0, _KEY, row)]).add_done_callback(committed)

    def _retry(self) -> None:
        self._will_retry = False
        self.settle()
