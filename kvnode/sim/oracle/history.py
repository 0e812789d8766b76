"""What every disk has ever made durable: which versions there were, and who had which of them when.

Invariant: `versions` only grows; what a node has held is forgotten when its store is lost, not when a row is deleted.
Must not live here: promises.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from functools import lru_cache

import msgspec

from kvnode.messages import COUNTER, KV
from kvnode.records.kinds import COUNTERS, KVS, is_whole
from kvnode.replication.hints import Hint
from kvnode.runtime import Row
from kvnode.sim.oracle.model import Dot, Made, name_of
from kvnode.sim.world import World
from kvnode.versions import Version

Totals = dict[str, tuple[int, int]]
"""Of each actor: increments and decrements."""
NOTHING = (0, 0)
_NEVER_S = float("-inf")
_is_whole = lru_cache(maxsize=4096)(is_whole)
_hint_of = msgspec.msgpack.Decoder(Hint).decode


class History:
    """The disks of one world, as they were at every moment. violations: dots that name two writes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._partitions: dict[str, int] = {}
        self._held: dict[str, set[Dot]] = defaultdict(set)
        self._hinted: dict[str, set[Dot]] = defaultdict(set)
        self._hints: dict[str, dict[str, bytes]] = defaultdict(dict)
        self._totals: dict[tuple[str, str], Totals] = defaultdict(dict)
        self._lost_s: dict[str, float] = {}
        self._dropped_s: dict[tuple[str, str], float] = {}
        self._keys: dict[Dot, str] = {}
        self.versions: dict[str, dict[Dot, Made]] = defaultdict(dict)
        self.reaped: set[Dot] = set()
        self.violations: list[str] = []

    # --- what happens -------------------------------------------------------------------------------------

    def durable(self, node: str, rows: Sequence[Row]) -> list[tuple[str, Made]]:
        """These rows are durable at this node from now on; answers the versions, with their keys, that are new."""
        new: list[tuple[str, Made]] = []
        for row in rows:
            if row.table == "records":
                self._partitions[row.key] = row.partition
                if row.record is None:
                    self._deleted(node, row)
                elif row.key.startswith(f"{KV}/"):
                    new += self._holds(self._held[node], row.key[len(KV) + 1 :], row.record)
                else:
                    self._counts(node, row.key[len(COUNTER) + 1 :], row.record)
            elif row.table == "hints":
                self._partitions[row.key] = row.partition
                hint = self._hint(node, row)
                if hint is not None and hint.kind == KV:
                    new += self._holds(self._hinted[node], hint.key, hint.record)
        return new

    def _holds(self, held: set[Dot], key: str, record: bytes) -> list[tuple[str, Made]]:
        new = []
        for made in versions_in(record):
            held.add(made.dot)
            if self.learn(key, made):
                new.append((key, made))
        return new

    def _hint(self, node: str, row: Row) -> Hint | None:
        """The hint in a row that becomes durable; None if the row is deleted."""
        if row.record is None:
            self._hints[node].pop(row.key, None)
            return None
        hint = _hint_of(row.record)
        self._hints[node][row.key] = hint.record
        return hint

    def _counts(self, node: str, key: str, record: bytes) -> None:
        held = self._totals[node, key]
        for actor, totals in totals_in(record).items():
            known = held.get(actor, NOTHING)
            held[actor] = (max(known[0], totals[0]), max(known[1], totals[1]))

    def _deleted(self, node: str, row: Row) -> None:
        self._dropped_s[node, row.key] = self._world.loop.time()
        if row.key.startswith(f"{KV}/"):
            self.reaped.update(made.dot for made in self._whole(node, row.key) if made.deleted)

    def lost(self, node: str) -> None:
        """All that this node held is gone."""
        self._lost_s[node] = self._world.loop.time()
        self._held[node], self._hinted[node], self._hints[node] = set(), set(), {}
        for place in [place for place in self._totals if place[0] == node]:
            del self._totals[place]

    def learn(self, key: str, made: Made) -> bool:
        """There is this version; whether it was not known. The fullest past that it was ever seen with is kept."""
        known = self.versions[key].get(made.dot)
        if known is not None:
            if known.same_write(made):
                if made.past != known.past:
                    self._learn_past(key, known, made)
                return False
            self.violations.append(f"{made} names two writes of {key}: {known.value!r} and {made.value!r}")
            return False
        other = self._keys.setdefault(made.dot, key)
        if other != key:
            self.violations.append(f"{made} names two writes, of {other} and of {key}")
        self.versions[key][made.dot] = made
        return True

    def _learn_past(self, key: str, known: Made, made: Made) -> None:
        if known.past.says_no_more_than(made.past):
            self.versions[key][made.dot] = made
        elif not made.past.says_no_more_than(known.past) and not (
            made.past.forgotten or known.past.forgotten
        ):
            self.violations.append(f"{key}: {made} has two pasts, {known.past} and {made.past}")

    # --- what there is ------------------------------------------------------------------------------------

    def dots_at(self, node: str, key: str) -> tuple[Dot, ...]:
        """The versions of a key that this node holds, durably, now."""
        return tuple(made.dot for made in self._whole(node, f"{KV}/{key}"))

    def _whole(self, node: str, disk_key: str) -> tuple[Made, ...]:
        row = self._row(node, disk_key)
        return () if row is None else versions_in(row)

    def _row(self, node: str, disk_key: str) -> bytes | None:
        """A record that this node holds, durably, now; None if it is damaged."""
        partition = self._partitions.get(disk_key)
        row = (
            None
            if partition is None
            else self._world.durable_states[node].tables.get("records", partition, disk_key)
        )
        return None if row is None or not _is_whole(disk_key, *row) else row[0]

    def row(self, node: str, table: str, disk_key: str) -> bytes | None:
        """What stands in any row on the disk of this node now."""
        partition = self._partitions.get(disk_key, 0)
        row = self._world.durable_states[node].tables.get(table, partition, disk_key)
        return None if row is None else row[0]

    def totals_at(self, node: str, key: str) -> Totals:
        """The totals of a counter that this node holds, durably, now."""
        row = self._row(node, f"{COUNTER}/{key}")
        return {} if row is None else totals_in(row)

    def totals_held(self, node: str, key: str) -> Totals:
        """The greatest totals that this node has ever held since its store was lost."""
        return {**self.totals_at(node, key), **self._totals.get((node, key), {})}

    def holds_totals(self, node: str, key: str, totals: Totals) -> bool:
        """Whether this node has ever held at least these."""
        held = self.totals_held(node, key)
        return all(
            held.get(actor, NOTHING)[0] >= up and held.get(actor, NOTHING)[1] >= down
            for actor, (up, down) in totals.items()
        )

    def has_lost(self, node: str, disk_key: str, since_s: float) -> bool:
        """Whether since then the node's store was lost, or the row deleted there."""
        lost_s = self._lost_s.get(node, _NEVER_S)
        return lost_s >= since_s or self._dropped_s.get((node, disk_key), _NEVER_S) >= since_s

    def has_held(self, node: str, key: str, dot: Dot, *, as_hint: bool = False) -> bool:
        """Whether this version was ever durable there (or, as_hint, among the hints there)."""
        if dot in self._held[node] or (as_hint and dot in self._hinted[node]):
            return True
        if dot in self.dots_at(node, key):
            return True
        return as_hint and any(dot in dots for dots in self.dots_hinted_at(node, key))

    def hint_at(self, node: str, peer: str, kind: str, key: str) -> bytes | None:
        """The record that this node keeps for a peer, durably, by what was told of its disk so far."""
        return self._hints[node].get(f"{peer}/{kind}/{key}")

    def dots_hinted_at(self, node: str, key: str) -> list[set[Dot]]:
        """The versions in each hint of this key that stands on the disk of this node now."""
        hints = (self.row(node, "hints", f"{peer}/{KV}/{key}") for peer in self._world.names)
        return [{made.dot for made in versions_in(_hint_of(hint).record)} for hint in hints if hint]

    def is_whole(self, node: str, row: Row, record: bytes) -> bool:
        """Whether what is on disk of a row that is to be deleted is what was written there."""
        found = self._row(node, row.key)
        return found == record

    def has_taken(self, node: str, key: str, made: Made, *, as_hint: bool = False) -> bool:
        """Whether this version, or one that makes it obsolete, was ever durable there."""
        if self.has_held(node, key, made.dot, as_hint=as_hint):
            return True
        dots = [dot for dot in self.versions[key] if self.has_held(node, key, dot, as_hint=as_hint)]
        return self.is_answered_for(key, made, dots)

    def is_answered_for(self, key: str, made: Made, by: Collection[Dot]) -> bool:
        """Whether one of these versions is this one, or makes it obsolete: itself, or one in between has.

        A tombstone that was reaped answers for what it had seen, though it is not there any more.
        """
        if made.dot in by or made.dot in self.reaped:
            return True
        known, seen = self.versions[key], {made.dot}
        if any(known[dot].supersedes(made) for dot in by if dot in known):
            return True
        waiting = [made]
        while waiting:
            old = waiting.pop()
            for dot, version in known.items():
                if dot not in seen and version.supersedes(old):
                    if dot in by or dot in self.reaped:
                        return True
                    seen.add(dot)
                    waiting.append(version)
        return False

    def pending(self, key: str) -> set[str]:
        """Who takes the key over, in the ring of any running node: a read hears them, and does not count them."""
        lives = self._world.lives.values()
        return {name for life in lives for name in life.node.ring.pending(key)}

    def named(self, key: str, dots: Collection[Dot]) -> str:
        """These versions in words."""
        return ", ".join(sorted(map(name_of, dots))) or "nothing"


@lru_cache(maxsize=4096)
def versions_in(record: bytes) -> tuple[Made, ...]:
    """What a record of a key holds; nothing if it is none."""
    try:
        versions: tuple[Version, ...] = KVS.decode(record).versions
    except msgspec.MsgspecError:
        return ()
    return tuple(map(Made.of, versions))


@lru_cache(maxsize=4096)
def totals_in(record: bytes) -> Totals:
    """What a record of a counter holds."""
    return {
        actor: (increments, decrements) for actor, increments, decrements in COUNTERS.decode(record).entries
    }
