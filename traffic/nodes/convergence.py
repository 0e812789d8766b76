"""Do all replicas hold the same? A running estimate from random samples.

Here: which keys to ask about and what the answers say.
Must not live here: how a store compares replicas (stores/).

A key that is being written cannot agree yet, so only keys unwritten for QUIET_S are sampled, and an
answer counts only if the key was not written while we asked. The share is that of the random sample
alone. A key that disagreed is asked again in each round until it agrees, to tell how old the oldest
disagreement is; those repeats do not enter the share, which they would bias.

At the end of a run, when nobody writes any more, `in_the_end` gives a verdict instead of an estimate.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from random import Random
from typing import Any

from kvnode.checkers import Digests, Verdict, agree, check_convergence, known_to_differ
from traffic.clock import Clock, monotonic
from traffic.measure.events import Acknowledged, AttemptStarted, Events
from traffic.nodes.table import NodeTable
from traffic.operations import WRITES
from traffic.stores.base import Observer, StoreError

QUIET_S = 2.0
REMEMBERED_MAX = 5_000
SAMPLE_COUNT = 20
SUSPECTS_MAX = 50
ASKS_AT_ONCE = 4
ROUND_EVERY_S = 1.0
FINAL_COUNT = 200
FINAL_BOUND_S = 10.0
FINAL_EVERY_S = 0.25
UNREACHABLE_S = 1.0


class Convergence:
    """Remembers what was written lately and asks the replicas about a sample of it."""

    def __init__(
        self, observer: Observer, nodes: NodeTable, *, random: Random, clock: Clock = monotonic
    ) -> None:
        self._clock = clock
        self._observer = observer
        self._nodes = nodes
        self._random = random
        self._written: OrderedDict[tuple[str, bool], float] = OrderedDict()  # oldest write first
        self._disagreeing_since: dict[tuple[str, bool], float] = {}
        self._sampled = 0
        self._agreeing = 0
        self._checked_s: float | None = None

    def listen(self, events: Events) -> None:
        events.subscribe(AttemptStarted, self._touched)
        events.subscribe(Acknowledged, self._touched)

    def _touched(self, event: AttemptStarted | Acknowledged) -> None:
        """A key is being written, or its write was just answered."""
        operation = event.request.operation
        if not isinstance(operation, WRITES):
            return
        written = self._written
        entry = (operation.key, event.request.counter is not None)
        if entry in written:
            written.move_to_end(entry)
        elif len(written) >= REMEMBERED_MAX:
            written.popitem(last=False)
        written[entry] = event.at_s

    async def run(self) -> None:
        """A round a second, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(ROUND_EVERY_S)

    async def look(self) -> None:
        """One round: a fresh sample, and the keys that disagreed before."""
        now_s = self._clock()
        quiet: list[tuple[str, bool]] = []
        for entry, written_s in self._written.items():
            if now_s - written_s < QUIET_S:
                break  # the rest was written later
            quiet.append(entry)
        sample = self._random.sample(quiet, min(SAMPLE_COUNT, len(quiet)))
        suspects = [entry for entry in self._disagreeing_since if entry not in sample]
        room = asyncio.Semaphore(ASKS_AT_ONCE)
        answers = await asyncio.gather(*(self._agree(entry, now_s, room) for entry in [*sample, *suspects]))
        counted = [answer for answer in answers[: len(sample)] if answer is not None]
        self._sampled = len(counted)
        self._agreeing = sum(counted)
        self._checked_s = self._clock()

    def summary(self, now_s: float, now_wall_ms: int) -> dict[str, Any]:
        age_s = None if self._checked_s is None else now_s - self._checked_s
        oldest_s = min(self._disagreeing_since.values(), default=None)
        return {
            "sampled_keys": self._sampled,
            "agreeing_keys": self._agreeing,
            "share": self._agreeing / self._sampled if self._sampled else None,
            "checked_at": None if age_s is None else now_wall_ms - int(age_s * 1000),
            "oldest_disagreement_s": None if oldest_s is None else round(now_s - oldest_s, 3),
        }

    async def in_the_end(self, *, bound_s: float = FINAL_BOUND_S) -> Verdict:
        """Ask about what was written last until all replicas agree, or `bound_s` have passed: as a run ends, when
        nothing is written any more and faults are over. Replicas that differ are waited for; a node that does not
        answer is not, beyond a moment."""
        began_s = self._clock()
        final: dict[str, Digests | None] = dict.fromkeys(_named(entry) for entry in self._final_entries())
        room = asyncio.Semaphore(ASKS_AT_ONCE)
        left = self._final_entries()
        while True:
            seen = await asyncio.gather(*(self._digests(entry, room) for entry in left))
            final |= zip(map(_named, left), seen, strict=True)
            left = [entry for entry, found in zip(left, seen, strict=True) if not found or not agree(found)]
            waited_s = self._clock() - began_s
            hopeless = waited_s >= UNREACHABLE_S and not any(
                known_to_differ(final[_named(one)]) for one in left
            )
            if not left or waited_s >= bound_s or hopeless:
                return check_convergence(final, waited_s=waited_s, bound_s=bound_s)
            await asyncio.sleep(FINAL_EVERY_S)

    def _final_entries(self) -> list[tuple[str, bool]]:
        entries = [*self._disagreeing_since, *reversed(self._written)]
        return list(dict.fromkeys(entries))[:FINAL_COUNT]

    async def _digests(self, entry: tuple[str, bool], room: asyncio.Semaphore) -> Digests | None:
        key, counter = entry
        async with room:
            node = self._nodes.choose()
            if node is None:
                return None
            try:
                return await self._observer.digests(node, key, counter=counter)
            except StoreError:
                return None

    async def _agree(self, entry: tuple[str, bool], asked_s: float, room: asyncio.Semaphore) -> bool | None:
        """Whether the replicas agree; None if that cannot be said (no answer, or written meanwhile)."""
        key, counter = entry
        async with room:
            node = self._nodes.choose()
            if node is None:
                return None
            try:
                agree = await self._observer.replicas_agree(node, key, counter=counter)
            except StoreError:
                return None
        if self._written.get(entry, 0.0) > asked_s:
            self._disagreeing_since.pop(entry, None)
            return None
        if agree:
            self._disagreeing_since.pop(entry, None)
        elif entry in self._disagreeing_since or len(self._disagreeing_since) < SUSPECTS_MAX:
            self._disagreeing_since.setdefault(entry, asked_s)
        return agree


def _named(entry: tuple[str, bool]) -> str:
    key, counter = entry
    return f"counter {key}" if counter else key
