"""Judges what nodes let go: nothing of which somebody may still lack something, or which keeps something else away.

    a hint         goes when its addressee has what it kept, or has left its place to others that have, or will get it
    a record       goes from a former owner when all owners have what it kept; from an owner, when it is damaged
    a tombstone    goes from an owner when all owners have it, and nothing older is left or on its way anywhere

Must not live here: whether it comes back all the same (freshness.py).
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from kvnode.messages import KV, Message, StoreHint, StoreMany, StoreRecord
from kvnode.node import Node
from kvnode.replication.hints import Hint
from kvnode.runtime import Row
from kvnode.sim.oracle.history import History, totals_in, versions_in
from kvnode.sim.oracle.judge import Judge
from kvnode.sim.oracle.model import Dot, Made
from kvnode.sim.world import World

_CARRIED_MAX = 32
_GRACE_S = 10.0
"""A node that has lost its store so lately may have had it before."""
_hint_of = msgspec.msgpack.Decoder(Hint).decode


class Gone(NamedTuple):
    """One row that is about to be deleted, and what stands in it."""

    row: Row
    record: bytes


class LettingGo(Judge):
    """The judge of deletions."""

    def __init__(self, counts: Counter[str], world: World, history: History) -> None:
        super().__init__(counts)
        self._world = world
        self._history = history
        self._carried: dict[str, deque[tuple[float, str, frozenset[Dot]]]] = defaultdict(
            lambda: deque(maxlen=_CARRIED_MAX)
        )

    def message(self, sender: str, message: Message) -> None:
        """Remember which versions are on their way."""
        match message:
            case (
                StoreRecord(kind=kind, key=key, record=record) | StoreHint(kind=kind, key=key, record=record)
            ):
                self._carries(sender, kind, key, record)
            case StoreMany(records=records):
                for kind, key, record in records:
                    self._carries(sender, kind, key, record)
            case _:
                pass

    def _carries(self, sender: str, kind: str, key: str, record: bytes) -> None:
        if kind == KV:
            dots = frozenset(made.dot for made in versions_in(record))
            self._carried[key].append((self._world.loop.time(), sender, dots))

    # --- before, and after, rows become durable -----------------------------------------------------------

    def before(self, node: str, rows: Sequence[Row]) -> list[Gone]:
        """What these rows delete; tombstones are judged at once, as the disks still hold what they held."""
        gone = []
        for row in rows:
            if row.record is None and row.table in ("records", "hints"):
                record = self._history.row(node, row.table, row.key)
                if record is not None:
                    gone.append(Gone(row, record))
        for row, record in gone:
            life = self._world.lives.get(node)
            if row.table == "records" and life is not None and self._is_owner(life.node, node, row.partition):
                self._judge_owner(node, life.node, row, record)
        return gone

    def after(self, node: str, gone: Sequence[Gone]) -> None:
        """The rest is judged when what became durable with it counts."""
        life = self._world.lives.get(node)
        if life is None or not gone or self._world.counts["former member came back too late"]:
            return  # who comes back too late is told to forget what it has
        if life.node.hints.dropped_count:
            return  # it has just been told so of its hints
        for row, record in gone:
            if row.table == "hints":
                self._judge_hint(node, life.node, _hint_of(record))
            elif node not in life.node.ring.holders(row.partition) and self._history.is_whole(
                node, row, record
            ):
                kind, _, key = row.key.partition("/")
                owners = life.node.ring.preference_lists[row.partition]
                lacking = [owner for owner in owners if not self._has(owner, kind, key, record)]
                broken = f"{node} lets go of {row.key}, and {', '.join(lacking)} never had what it kept"
                self.judge("a former owner lets go of what all owners have", broken if lacking else "")

    def _is_owner(self, one: Node, name: str, partition: int) -> bool:
        return name in one.ring.preference_lists[partition]

    # --- records and hints --------------------------------------------------------------------------------

    def _has(self, node: str, kind: str, key: str, record: bytes) -> bool:
        if self._has_lost_lately(node):
            return True
        if kind == KV:
            return all(self._history.has_taken(node, key, made) for made in versions_in(record))
        return self._history.holds_totals(node, key, totals_in(record))

    def _has_lost_lately(self, node: str) -> bool:
        return self._history.has_lost(node, "", self._world.loop.time() - _GRACE_S)

    def _judge_hint(self, node: str, one: Node, hint: Hint) -> None:
        """The addressee has it; or all who are to have it now have it, or are kept a hint for."""

        def is_cared_for(holder: str) -> bool:
            if self._has(holder, hint.kind, hint.key, hint.record):
                return True
            kept = self._history.hint_at(node, holder, hint.kind, hint.key)
            return kept is not None and self._holds(hint.kind, hint.key, kept, hint.record)

        holders = one.ring.holders(one.ring.partition_of(hint.key))
        lacking = [] if is_cared_for(hint.peer) else [each for each in holders if not is_cared_for(each)]
        broken = f"{node} lets go of a hint for {hint.peer}, {hint.kind}/{hint.key}, that {lacking} never had"
        self.judge("a hint goes when those have it whom it was for", broken if lacking else "")

    def _holds(self, kind: str, key: str, record: bytes, other: bytes) -> bool:
        """Whether one record says all that the other says."""
        if kind == KV:
            dots = {made.dot for made in versions_in(record)}
            return all(self._history.is_answered_for(key, made, dots) for made in versions_in(other))
        held, wanted = totals_in(record), totals_in(other)
        return all(
            actor in held and held[actor][0] >= pair[0] and held[actor][1] >= pair[1]
            for actor, pair in wanted.items()
        )

    # --- tombstones ---------------------------------------------------------------------------------------

    def _judge_owner(self, node: str, one: Node, row: Row, record: bytes) -> None:
        """An owner lets go of a damaged row, or of a tombstone that all owners have."""
        kind, _, key = row.key.partition("/")
        if not self._history.is_whole(node, row, record):
            return
        versions = versions_in(record) if kind == KV else ()
        alive = ", ".join(str(made) for made in versions if not made.deleted) or ("a counter" * (kind != KV))
        broken = f"{node} lets go of {row.key}, which it owns: {alive}"
        self.judge("an owner lets go of nothing but tombstones", broken if alive else "")
        for made in versions:
            if made.deleted and made.dot not in self._history.reaped:
                self._judge_sweep(node, one, key, made)

    def _judge_sweep(self, node: str, one: Node, key: str, tombstone: Made) -> None:
        """The first owner that lets go of it: the others have it still."""
        partition = one.ring.partition_of(key)
        lacking = [
            owner
            for owner in one.ring.preference_lists[partition]
            if not self._has_lost_lately(owner) and not self._history.has_taken(owner, key, tombstone)
        ]
        known = self._history.versions[key]
        older = {dot for dot, made in known.items() if made is not tombstone and tombstone.supersedes(made)}
        hints = {
            f"a hint at {member}"
            for member in one.ring.nodes
            for dots in self._history.dots_hinted_at(member, key)
            if older & dots and tombstone.dot not in dots
        }
        since_s = self._world.loop.time() - self._world.network.message_age_s_max
        for sent_s, sender, dots in self._carried[key]:
            # Who is not a member any more is told that it comes too late (tombstones/reaper.py): nobody waits for it.
            is_waited_for = sent_s > since_s and sender in one.ring.nodes
            if is_waited_for and older & dots and tombstone.dot not in dots:
                hints.add(f"a message sent at {sent_s:.3f} s")
        broken = ""
        if lacking:
            broken = f"{', '.join(lacking)} never had it"
        elif hints:
            broken = f"older versions are in {', '.join(sorted(hints))}"
        told = f"{node} lets go of {tombstone}, tombstone of {key}: {broken}"
        self.judge("a tombstone goes when nothing older is left", broken and told)
