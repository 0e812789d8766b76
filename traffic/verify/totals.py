"""Running totals: what this process has added to each counter, and what of it is acknowledged.

Here: all counters of the process, bounded.
Must not live here: the arithmetic of one counter (stores/totals.py), sending, waiting.

Decision: several requests for one counter may be in flight at once. Each carries the running totals at its
moment, totals only grow, and replicas keep the maximum per actor; so a request that overtakes another,
arrives twice or arrives late changes nothing, and the acknowledgement of some totals acknowledges all
smaller ones. The alternative, one request at a time per counter, would make a viral tweet a queue: at 5 ms
an answer, 200 likes/s and no more.

An actor has one writer, so a process draws a fresh random actor when it starts. Memory is bounded: when
too many counters are known, the oldest settled ones are forgotten and the actor gets a new *generation*;
a forgotten counter that is used again starts at 0 under the new name, never below an old total under the
old one. `forgetting` is told of each counter that goes, for the last time at which anybody knows what was sent: a
ledger that still waits for its final reads would take what came after it for units out of nowhere.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from traffic.measure.events import Acknowledged, Events
from traffic.stores.totals import CounterTotals

COUNTERS_MAX = 100_000


def fresh_actor() -> str:
    """A name that no other process, before or after, will use."""
    return f"traffic-{secrets.token_hex(8)}"


class RunningTotals:
    """All counters of this process."""

    def __init__(self, actor: str | None = None, *, counters_max: int = COUNTERS_MAX) -> None:
        self._base = actor or fresh_actor()
        self._counters_max = counters_max
        self._generation = 0
        self._counters: dict[str, CounterTotals] = {}  # the least lately used first
        self.forgetting: Callable[[CounterTotals], None] = lambda counter: None

    def listen(self, events: Events) -> None:
        events.subscribe(Acknowledged, self._acknowledged)

    @property
    def actor(self) -> str:
        """The name under which counters that are new from now on are written."""
        return f"{self._base}.{self._generation}" if self._generation else self._base

    def __len__(self) -> int:
        return len(self._counters)

    def of(self, key: str) -> CounterTotals:
        """The totals of `key`; of a new counter: zero."""
        counter = self._counters.pop(key, None)
        if counter is None:
            if len(self._counters) >= self._counters_max:
                self._forget_oldest_settled()
            counter = CounterTotals(key, self.actor)
        self._counters[key] = counter
        return counter

    def known(self, key: str) -> CounterTotals | None:
        """The totals of `key`; None if it is new, or forgotten."""
        return self._counters.get(key)

    def _acknowledged(self, event: Acknowledged) -> None:
        if event.request.counter is not None:
            event.request.counter.acknowledge(event.request.totals)

    def _forget_oldest_settled(self) -> None:
        """Half of what is settled goes, the least lately used first."""
        settled = [key for key, counter in self._counters.items() if counter.settled]
        for key in settled[: max(1, len(settled) // 2)]:
            self.forgetting(self._counters.pop(key))
        self._generation += 1
