"""Taking away from contexts what they need not say any more: so that a key's context does not grow with every crash.

Each crash of a node gives it a fresh store id (replication/dots.py), and what is written then has seen the stores
before it. An entry of a version's past matters only as long as an older write of that store, of this key, can still
turn up: then it says that the write is obsolete. That none can is what the reaper proves before it drops a tombstone
(reaper.py). For a store it is this: every owner holds what makes each of its writes obsolete, and no hint, no former
owner, no request and no message under way has any. So they are extinct, and for good: none is written any more.

Entries of the stores that the members have now stay: they are few, and say most to a reader. The rest goes only when
there is much of it. A version then counts what was taken away, under a name that no store has (versions.FORGOTTEN).

Who read a context before may still write under it: that brings the entries back, until the next time, and does no harm.
So that a key that is always written this way shrinks too, what went last is remembered, and left out (`strip`).

Paper: Almeida et al. 2018, "Scalable and accurate causality tracking for eventually consistent stores", section 5,
strips what all replicas have seen. (Riak prunes a vector's oldest entries at a bound, and says that this can bring
siblings back.)
Must not live here: the proof (reaper.py).
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import TypeGuard

from kvnode.config import PAST_STORES_KEPT, PRUNED_KEYS_MAX, PRUNED_STORES_MAX
from kvnode.messages import KV
from kvnode.messages.tombstones import Events, Prunable, Reapable, Tombstone
from kvnode.records.kinds import KVS, Mutation, encode_state, is_whole
from kvnode.records.records import Records
from kvnode.runtime import Row
from kvnode.versions import Context, StoreId

_PAIR = b"\x92"  # in msgpack: a list of two, as each entry of a vector is one


class Pruning:
    """What may be taken away at this replica, and doing it.

    kept_max: of so many past stores a key's context may speak before anything is taken away.
    pruned_count: entries taken away here.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self._went: dict[str, dict[StoreId, int]] = {}
        self.kept_max = PAST_STORES_KEPT
        self.pruned_count = 0

    def past_events(self, row: Row) -> dict[StoreId, int]:
        """The past stores of which a row's context speaks, and how many writes of each, if they are too many."""
        record = row.record
        if record is None or record.count(_PAIR) <= self.kept_max:
            return {}
        if not is_whole(row.key, record, row.checksum):
            return {}
        events = KVS.decode(record).past_events
        return events if len(events) > self.kept_max else {}

    def may_go(self, disk_key: str, events: Events) -> bool:
        """Whether no version of these stores is held here, and what is held, durably, makes each that comes obsolete.

        That stays so: whatever replaces a version covers what that one covered. But not so with mode=lww, where a stamp
        decides; so a version of that mode does not count.
        """
        _, _, key = disk_key.partition("/")
        record = self._records.durable(KV, key)
        versions = () if record is None else KVS.decode(record).versions
        vectors = [version.past.vector for version in versions if not version.lww]
        present = {version.store for version in versions}
        return all(
            store not in present and any(vector.covers_event(store, counter) for vector in vectors)
            for store, counter in events
        )

    async def prune(self, prunable: tuple[Prunable, ...]) -> None:
        """Take away what was proven to be of no more use; returns once that is durable. OSError: it is not."""
        for _, disk_key, events in prunable:
            kind, _, key = disk_key.partition("/")
            if kind != KV:
                continue
            self._remember(key, dict(events))
            latest = self._records.latest(KV, key)
            held = KVS.empty if latest is None else KVS.decode(latest)
            pruned = held.without(dict(events))
            if pruned != held:
                self.pruned_count += held.context.entry_count - pruned.context.entry_count
                self._records.write(Mutation(KV, key, encode_state(pruned), latest), lambda ok: None)
        await self._records.synced()

    def strip(self, key: str, context: Context) -> Context:
        """A context as a client holds it, without what went from this key meanwhile."""
        went = self._went.get(key)
        return context if went is None else context.without(went)

    def _remember(self, key: str, events: dict[StoreId, int]) -> None:
        """Of the keys from which something went last, what it was; the oldest are forgotten first."""
        went = {**self._went.pop(key, {}), **events}
        while len(went) > PRUNED_STORES_MAX:
            del went[next(iter(went))]
        self._went[key] = went
        while len(self._went) > PRUNED_KEYS_MAX:
            del self._went[next(iter(self._went))]


def is_tombstone_of(each: Reapable) -> TypeGuard[Tombstone]:
    """Whether this is about a tombstone."""
    return isinstance(each[2], int)


def is_prunable(each: Reapable) -> TypeGuard[Prunable]:
    """Whether this is about entries of a context."""
    return not is_tombstone_of(each)


def parted(batch: Sequence[Reapable]) -> tuple[tuple[Tombstone, ...], tuple[Prunable, ...]]:
    """The two kinds of what can be reaped, as messages carry them."""
    return tuple(filter(is_tombstone_of, batch)), tuple(filter(is_prunable, batch))


def of_others(overgrown: Sequence[Prunable], present: Container[StoreId]) -> list[Reapable]:
    """Of these the events of stores that are not among the present ones."""
    others: list[Reapable] = []
    for partition, key, events in overgrown:
        past = tuple(each for each in events if each[0] not in present)
        if past:
            others.append((partition, key, past))
    return others
