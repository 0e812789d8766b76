"""Every acknowledged write goes into a ledger, and `check` reads all of them back.

Here: keeping ledgers while traffic runs, bounded; one verdict.
Must not live here: what "lost" means (kvnode.checkers.ledger), how the final reads are made (final_reads.py).

A put that leaves it to the clocks (mode "lww") is noted as one of unknown outcome. It carries no context,
so by the ledger's rule everything that it follows would be lost, read or not; whoever writes so counts
what was really lost himself (the collaborative editor counts its edits).

Checking while writes go on. A ledger must not change under its check: an increment acknowledged after the
read would look lost. So `check` first *seals* the current ledger (new writes go to a fresh one), reads
all keys that sealed ledgers know, and last tells them what was sent meanwhile, which is the upper bound
for each counter. A counter that is forgotten before that (totals.py) is told to all of them as it goes.

Memory. When the ledgers know KEYS_MAX keys they are read back quietly; a ledger on which there is a
verdict is let go and the verdict is remembered, so that keys may come and go for hours. One that could
not be read is kept, up to LEDGERS_MAX.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from kvnode.checkers import CounterRead, Ledger, SiblingRead, Verdict, merged
from traffic.measure.events import Acknowledged, AttemptFailed, Events
from traffic.nodes.table import NodeTable
from traffic.operations import Put
from traffic.stores.base import CounterReply, PutReply, Sibling, Store
from traffic.stores.totals import CounterTotals, Totals
from traffic.verify.final_reads import QuorumReads
from traffic.verify.totals import RunningTotals
from traffic.workloads.reading import READS_AT_ONCE, Unread, read_all

__all__ = ["WriteLedger", "merged"]

KEYS_MAX = 20_000
LEDGERS_MAX = 4
READS_AT_ONCE_QUIETLY = 4


class WriteLedger:
    """All acknowledged writes of this process."""

    def __init__(
        self,
        store: Store,
        nodes: NodeTable,
        totals: RunningTotals,
        *,
        keys_max: int = KEYS_MAX,
    ) -> None:
        self.reads = QuorumReads(store, nodes)
        self._totals = totals
        self._keys_max = keys_max
        self._current = Ledger(r=self.reads.quorum)
        self._keys = 0
        self._sealed: list[Ledger] = []
        self._past: Verdict | None = None  # of all ledgers that were let go, together
        self._checking = asyncio.Lock()
        totals.forgetting = self._final_total

    @property
    def full(self) -> bool:
        """Whether it is time to verify and let go."""
        return self._keys >= self._keys_max

    # --- what happened ------------------------------------------------------------------------------------

    def listen(self, events: Events) -> None:
        """Before the running totals do: what is acknowledged for the first time counts as one more key."""
        events.subscribe(AttemptFailed, self._failed)
        events.subscribe(Acknowledged, self._acknowledged)

    def _failed(self, event: AttemptFailed) -> None:
        request = event.request
        if request.counter is not None:
            self._current.unanswered_counter(request.counter.key, request.counter.actor, *request.totals)
        elif isinstance(request.operation, Put) and not event.error.definite:
            self._current.indefinite_put(request.operation.key)

    def _acknowledged(self, event: Acknowledged) -> None:
        request, reply = event.request, event.reply
        counter = request.counter
        if counter is not None:
            if counter.acknowledged == Totals():
                self._keys += 1
            self._current.acknowledged_counter(
                counter.key, counter.actor, *request.totals, w=request.w, n=request.n
            )
        elif isinstance(request.operation, Put) and request.operation.mode == "lww":
            self._current.indefinite_put(reply.key)
        elif isinstance(reply, PutReply):
            self._keys += 1
            self._current.acknowledged_put(reply.key, reply, w=request.w, n=request.n)

    # --- the verdict --------------------------------------------------------------------------------------

    async def check(self, *, reads_at_once: int = READS_AT_ONCE) -> Verdict:
        """Read everything back by quorum. Works while traffic runs; one check at a time."""
        async with self._checking:
            self._seal()
            verdicts = await self._verify(self._sealed, reads_at_once)
            if self._past is not None:
                verdicts.append(self._past)
            return merged(verdicts) if verdicts else self._current.check({})

    async def verify_quietly(self) -> None:
        """Seal the current ledger, read back all with little load, and let go those on which there is a
        verdict.

        One that could not be read is kept for the next time; beyond LEDGERS_MAX the oldest goes as
        unknown."""
        async with self._checking:
            self._seal()
            self._keys = 0
            verdicts = await self._verify(self._sealed, READS_AT_ONCE_QUIETLY)
            unread = sum(verdict.status == "unknown" for verdict in verdicts)
            kept: list[Ledger] = []
            for ledger, verdict in zip(self._sealed, verdicts, strict=True):
                if verdict.status == "unknown" and unread <= LEDGERS_MAX:
                    kept.append(ledger)
                else:
                    unread -= verdict.status == "unknown"
                    self._past = merged([self._past, verdict] if self._past else [verdict])
            self._sealed = kept

    def _final_total(self, counter: CounterTotals) -> None:
        """From now on nobody else knows how much was sent. Whichever ledger still judges this counter must."""
        for ledger in (*self._sealed, self._current):
            ledger.sent_meanwhile(counter.key, counter.actor, *counter.sent)

    def _seal(self) -> None:
        if self._current.acknowledged_puts or self._current.acknowledged_counter_updates:
            self._sealed.append(self._current)
            self._current = Ledger(r=self.reads.quorum)

    async def _verify(self, ledgers: Sequence[Ledger], reads_at_once: int) -> list[Verdict]:
        kv_reads, counter_reads = await read_back(ledgers, self.reads, reads_at_once)
        verdicts: list[Verdict] = []
        for ledger in ledgers:
            for key in ledger.counters:
                counter = self._totals.known(key)
                if counter is not None:
                    ledger.sent_meanwhile(key, counter.actor, *counter.sent)
            # In a thread: judging thousands of keys takes long enough to be seen in the latencies.
            verdicts.append(await asyncio.to_thread(ledger.check, kv_reads, counter_reads))
        return verdicts


async def read_back(
    ledgers: Sequence[Ledger], reads: QuorumReads, at_once: int
) -> tuple[dict[str, list[SiblingRead] | None], dict[str, CounterRead | None]]:
    """The final reads of all that these ledgers know, as `Ledger.check` wants them."""
    keys = sorted({key for ledger in ledgers for key in ledger.keys})
    counters = sorted({key for ledger in ledgers for key in ledger.counters})
    values = await read_all(keys, reads.siblings, at_once)
    totals = await read_all(counters, reads.counter, at_once)
    return (
        {key: _siblings(read) for key, read in values.items()},
        {key: _counter(read) for key, read in totals.items()},
    )


def _siblings(read: Sequence[Sibling] | Unread) -> list[SiblingRead] | None:
    if isinstance(read, Unread):
        return None
    return [
        SiblingRead(one.dot, one.vector_clock, one.issued_under, one.deleted, one.issued_under_dots)
        for one in read
    ]


def _counter(read: CounterReply | Unread) -> CounterRead | None:
    if isinstance(read, Unread):
        return None
    actors = read.actors or {}
    return CounterRead(read.value, {name: (one.increments, one.decrements) for name, one in actors.items()})
