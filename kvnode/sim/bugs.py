"""Deliberate bugs, planted in one simulated world to show that the checkers find them. Never part of a real node."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

from kvnode.anti_entropy.exchange import Exchange
from kvnode.handoff import acceptor, dissemination, proposer
from kvnode.handoff.changes import Changes
from kvnode.membership import members
from kvnode.messages import BeganAnswer
from kvnode.node import Node
from kvnode.records import records
from kvnode.records.incomplete import Incomplete
from kvnode.replication.dots import DotSource
from kvnode.replication.hints import Hints
from kvnode.replication.starts import Starts
from kvnode.replication.uptime import Uptime
from kvnode.ring import RingState
from kvnode.runtime import Row
from kvnode.sim.world import World
from kvnode.tombstones.pruning import is_tombstone_of, of_others
from kvnode.tombstones.reaper import TombstoneReaper
from kvnode.versions import VersionVector

BUGS = {
    "acknowledge-early": "a write is acknowledged when its sync begins, not when it ends",
    "forget-hints": "a replica that missed a write gets no hint",
    "age-by-date": "hints age by the date, so a clock that is set forward deletes them",
    "merge-clocks-wrongly": "merging two version vectors takes the minimum of each entry",
    "reissue-dots": "a restarted node goes on under its name, and issues dots again that it had not reserved durably",
    "adopt-blindly": "a replica takes what it is sent for the whole truth instead of merging it",
    "sweep-early": "a tombstone is dropped by whoever can be reached, without asking whether anybody holds less",
    "believe-anything": "a node believes every epoch, ring, incarnation and ballot that it is told",
    "prune-unproven": "a context is relieved of past stores without asking whether a write of theirs is left",
    "move-nothing": "a pending owner is taken for ready at once, and a former owner offers nothing before it deletes",
    "count-replaced": "a store that replaces a lost one counts towards r before it is refilled",
    "fill-from-replaced": "a store that replaces a lost one is a source for those that take over, or are refilled",
    "let-go-unoffered": "a former owner deletes what it kept without offering it",
    "forget-generations": "a member confirms every start, also that of a folder that has gone back in time",
}
OF_MOVES = frozenset({"move-nothing"})
"""Bugs of the handoff: they are looked for in runs where nodes come and go."""
OF_LEAVES = frozenset({"fill-from-replaced", "let-go-unoffered"})
"""Bugs that one story shows: the last holder of some writes leaves, and a late one reaches it afterwards."""
HINTS_ALONE = frozenset({"forget-hints", "age-by-date"})
"""Bugs that other repairs would cover up: they are looked for in runs where hints are the only repair."""


def _minimum(self: VersionVector, other: VersionVector) -> VersionVector:
    theirs = dict(other.entries)
    return VersionVector.of({store: min(count, theirs.get(store, 0)) for store, count in self.entries})


def _confirm_all(self: Any, peer: str, question: Any) -> None:
    self._runtime.network.send(peer, BeganAnswer(question.id, False, False))


async def _pretend_to_give(self: Any, peer: str, partitions: tuple[int, ...]) -> set[int]:
    return set(partitions)


async def _sweep_unasked(self: Any, batch: list[Any]) -> int:
    for member in self._ring.nodes:
        owned = tuple(each for each in batch if member in self._ring.preference_lists[each[0]])
        await self._told(member, self._ring.epoch, owned)
    return len(batch)


async def _past_for_all_it_knows(self: Any, overgrown: Any) -> list[Any]:
    return of_others(overgrown, {self._store()})


_reap = TombstoneReaper._reap


async def _prune_unasked(self: Any, batch: list[Any]) -> int:
    return await (_reap if is_tombstone_of(batch[0]) else _sweep_unasked)(self, batch)


def _keep_the_name(self: Any) -> str | None:
    known = self._runtime.disk.get("meta", 0, "store-id")
    return None if known is None else known[0].decode()


async def _reserve_in_memory(self: Any) -> None:
    self._runtime.disk.commit([Row("meta", 0, "store-id", self.store.encode())])
    self._reserved += 10**9
    self._reserving = False


_PATCHES: dict[str, tuple[tuple[Any, str, Any], ...]] = {
    "forget-hints": ((Hints, "add", lambda *_: False),),
    "age-by-date": ((Uptime, "now_ms", property(lambda self: self._runtime.clock.wall_ms())),),
    "merge-clocks-wrongly": (
        (VersionVector, "merge", _minimum),
        (VersionVector, "with_event", lambda self, store, counter: VersionVector(((store, counter),))),
    ),
    "reissue-dots": (
        (DotSource, "_reserve", _reserve_in_memory),
        (DotSource, "_name_to_keep", _keep_the_name),
    ),
    "adopt-blindly": ((records, "merge_records", lambda kind, one, other: other),),
    "sweep-early": ((TombstoneReaper, "_reap", _sweep_unasked),),
    "believe-anything": (
        (RingState, "may_follow", lambda self, known: True),
        *((module, "is_jump", lambda *_: False) for module in (members, dissemination, acceptor, proposer)),
    ),
    "prune-unproven": (
        (TombstoneReaper, "_of_past_stores", _past_for_all_it_knows),
        (TombstoneReaper, "_reap", _prune_unasked),
    ),
    "move-nothing": ((Changes, "_is_ready", lambda *_: True), (Exchange, "give_to", _pretend_to_give)),
    "count-replaced": ((Incomplete, "__bool__", lambda self: False),),
    "fill-from-replaced": ((Incomplete, "among", lambda self, partitions: []),),
    "let-go-unoffered": ((Exchange, "give_to", _pretend_to_give),),
    "forget-generations": ((Starts, "on_began", _confirm_all),),
}
"""What each bug puts in place of what: (of whom, its name, what is there instead)."""


@contextlib.contextmanager
def planted(bug: str | None, world: World) -> Iterator[None]:
    """The world with this bug in it; None for none."""
    if bug is not None and bug not in BUGS:
        raise ValueError(f"unknown bug {bug!r}; known: {', '.join(BUGS)}")
    world.acknowledges_early = bug == "acknowledge-early"
    with contextlib.ExitStack() as patches:
        for target, name, instead in _PATCHES.get(bug or "", ()):
            patches.enter_context(mock.patch.object(target, name, instead))
        yield


def only_hints(node: Node) -> None:
    """Switch the other repairs off in this node: what converges then converges by hints.

    Sweeps too: an owner that misses one gives the tombstone back by an exchange, and there are none.
    """

    async def nothing() -> None:
        return None

    async def none_differed(peer: str) -> int:
        return 0

    async def nothing_found(share: Any) -> tuple[list[Any], list[Any]]:
        return [], []

    node.reaper._find = nothing_found  # type: ignore[method-assign]
    node.exchange.run = nothing  # type: ignore[method-assign]
    node.exchange.with_peer = none_differed  # type: ignore[method-assign]
    node.reader.repair = lambda *_: None  # type: ignore[method-assign]
