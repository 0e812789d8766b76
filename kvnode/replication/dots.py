"""Issuing dots: who this store is, and its next counter.

Counters are reserved durably in blocks, before any dot of the block is used. So a dot can go to peers while this
node's own sync is still running, and after a crash no dot is issued twice: the rest of the block is given up.

A store goes on under its name only as long as it holds everything that it has written. A context that covers (S, 7)
covers all that S wrote before; had S forgotten (S, 5) and its peers not, the next write of S would cover a sibling that
nobody was shown. So whoever forgot, or cannot know (a crash before its own sync, a full disk, a damaged row), goes on
under a fresh name. Only a life that ended in order hands its name on to the next; and only if all members confirm that
it was the last one (starts.py): an older folder that was put back ended in order too.
"""

from __future__ import annotations

from collections.abc import Callable

from kvnode.config import DOT_BLOCK
from kvnode.context import NodeContext
from kvnode.errors import KvError
from kvnode.runtime import ROWS_DROPPED, Row
from kvnode.versions import Dot, StoreId

_META = "meta"
_STORE_ID = "store-id"
_RESERVED = "dots-reserved"
_CLOSED = "closed-in-order"


class NoDots(Exception):
    """The reserved dots are used up, and no more can be reserved: the disk takes no writes."""


class DotSource:
    """Issues this store's dots. is_new: the data directory was empty.

    Invariant: every dot issued is within a block that is durably reserved.
    """

    def __init__(self, context: NodeContext) -> None:
        self._runtime = context.runtime
        self._node = context.name
        self.store: StoreId = ""
        self.is_new = False
        self._last = 0
        self._reserved = 0
        self._reserving = True  # whoever wants a dot before this store has its name waits for it
        self._used = False
        self._closed = False
        context.records.on_forgotten(self.renew)

    def look(self) -> bool:
        """Whether the data directory is empty: no store has had a name there."""
        self.is_new = self._runtime.disk.get(_META, 0, _STORE_ID) is None
        return self.is_new

    async def open(self, *, is_confirmed: bool = True) -> None:
        """Take up the name of a life that ended in order, or draw a fresh one; reserve the first block.

        is_confirmed: it is known that no later life has used that name.
        """
        disk = self._runtime.disk
        self.look()
        name = self._name_to_keep() if is_confirmed else None
        reserved = disk.get(_META, 0, _RESERVED)
        self.store = self._fresh_store_id() if name is None else name
        self._last = self._reserved = 0 if name is None or reserved is None else int(reserved[0])
        self._used = name is not None
        await self._reserve()

    def _name_to_keep(self) -> StoreId | None:
        """The name on disk, if it is known that nothing is forgotten that was written under it."""
        disk = self._runtime.disk
        if disk.get(_META, 0, ROWS_DROPPED) is not None:
            return None
        known, closed = disk.get(_META, 0, _STORE_ID), disk.get(_META, 0, _CLOSED)
        return (
            known[0].decode() if known is not None and closed is not None and closed[0] == known[0] else None
        )

    async def close(self) -> None:
        """End in order: what was written is durable here, and nothing more will be. OSError: it is not."""
        self._closed = True
        await self._runtime.disk.commit([Row(_META, 0, _CLOSED, self.store.encode())])

    def _fresh_store_id(self) -> StoreId:
        return f"{self._node}.{self._runtime.random.getrandbits(64):016x}"

    def renew(self) -> None:
        """Go on as another store, at once: this one has forgotten something that it wrote, or how far it had counted.

        Its totals there would begin anew below those that the other replicas hold, and merging keeps the greater.
        """
        if not self._used:
            return  # drawn afresh since, and nothing was counted under it yet
        before, self.store, self._used = self.store, self._fresh_store_id(), False
        self._last = self._reserved = 0
        self._runtime.log("store_renewed", level="error", before=before, after=self.store)
        self._runtime.disk.commit([Row(_META, 0, _STORE_ID, self.store.encode())])
        self._reserving = True
        self._runtime.spawn(self._reserve(), "reserve dots")

    async def next(self) -> Dot:
        """A dot that was never issued before; waits only if a whole block was used up during one sync.

        Raises NoDots if no more can be reserved.
        """
        if self._reserved - self._last < DOT_BLOCK // 2 and not self._reserving:
            self._reserving = True
            self._runtime.spawn(self._reserve(), "reserve dots")
        while self._closed or self._last >= self._reserved:
            if self._closed:
                raise NoDots("this node is ending")
            if not self._reserving:
                raise NoDots(
                    f"all {self._last} dots that were reserved on disk are used, and it takes no writes"
                )
            await self._runtime.clock.sleep_ms(1.0)
        self._last += 1
        self._used = True
        return Dot(self.store, self._last)

    async def next_for(
        self,
        kind: str,
        key: str,
        latest: Callable[[str, str], bytes | None],
        refusal: Callable[[str], KvError],
    ) -> tuple[Dot, bytes | None]:
        """A dot for a write of `key`, and what is held of it, of which this store has forgotten nothing that it wrote.

        latest: what is held of (kind, key). Raises the refusal, given the reason, if there are no dots.
        """
        try:
            while True:
                dot = await self.next()
                base = latest(kind, key)  # may find a damaged row: then the store is another one
                if dot.store == self.store:
                    return dot, base
        except NoDots as error:
            raise refusal(str(error)) from error

    async def _reserve(self) -> None:
        store, bound = self.store, max(self._reserved, self._last) + DOT_BLOCK
        try:
            await self._runtime.disk.commit(
                [  # together: this bound is of no other store, and this life has not ended yet
                    Row(_META, 0, _STORE_ID, store.encode()),
                    Row(_META, 0, _RESERVED, str(bound).encode()),
                    Row(_META, 0, _CLOSED, None),
                ]
            )
        except OSError as error:
            self._runtime.log("dots_not_reserved", error=str(error))
        else:
            if store == self.store:  # else renewed meanwhile: its own reservation comes after this one
                self._reserved = bound
        if store == self.store:
            self._reserving = False
