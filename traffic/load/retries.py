"""Sends unanswered increments again until they are answered.

Here: the additions that failed, one task for each counter that has any. Not here: first attempts
(driver.py).

The policy, in full. A put or a read that fails definitely is tried through the other nodes, at most three
attempts; an indefinite put is not tried again (it may be there already) and counts as an error. An
increment is idempotent, because it carries its actor's running total: so it is sent again, through any
node, until it is answered, with a pause that doubles from 50 ms to 1 s, each time multiplied by a random
0.5–1 so that counters do not come back in step. Increments of one counter are coalesced: one request
carries the newest totals, and its answer settles every one that waits below it. Latency of such an
operation runs from its intended start to that answer. A refusal of the request itself (4xx, but not 429)
will not change by repeating it: the operation fails and is not sent again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random

from msgspec import Struct

from traffic.clock import Clock
from traffic.measure.recorder import Recorder
from traffic.nodes.table import NodeTable
from traffic.operations import Add
from traffic.stores.base import CounterReply, NotAMember, Store, StoreError
from traffic.verify.totals import CounterTotals, Totals
from traffic.verify.write_ledger import WriteLedger

PAUSE_S_MIN = 0.05
PAUSE_S_MAX = 1.0


class Unanswered(Struct, frozen=True):
    """One increment that waits for an answer."""

    operation: Add
    totals: Totals
    intended_s: float
    sent_s: float


class RetryQueue:
    """Invariant: `_waiting` has a key exactly as long as a task works on it; `count` is the length of all
    queues."""

    def __init__(
        self,
        store: Store,
        nodes: NodeTable,
        write_ledger: WriteLedger,
        recorder: Recorder,
        *,
        random: Random,
        clock: Clock,
        wall: Callable[[], float],
        w: Callable[[], int],
        settled: Callable[[Unanswered, str, CounterReply], None],
        given_up: Callable[[Unanswered, str], None],
    ) -> None:
        """settled: called for each increment, with the node and the answer that settled it. given_up: for
        each one that was refused, with the node that refused it."""
        self._store = store
        self._nodes = nodes
        self._write_ledger = write_ledger
        self._recorder = recorder
        self._random = random
        self._clock = clock
        self._wall = wall
        self._w = w
        self._settled = settled
        self._given_up = given_up
        self._waiting: dict[str, deque[Unanswered]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.count = 0

    def take(self, counter: CounterTotals, unanswered: Unanswered) -> None:
        """From now on this increment is ours."""
        self.count += 1
        queue = self._waiting.get(counter.key)
        if queue is not None:
            queue.append(unanswered)
            return
        self._waiting[counter.key] = deque([unanswered])
        task = asyncio.get_running_loop().create_task(self._retry(counter))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def settle(self, counter: CounterTotals, node: str, reply: CounterReply) -> None:
        """Totals of `counter` were acknowledged: so is everything that waits at or below them."""
        queue = self._waiting.get(counter.key)
        if queue is None:
            return
        settled = [one for one in queue if one.totals <= counter.acknowledged]
        still_waiting = [one for one in queue if one.totals > counter.acknowledged]
        self.count -= len(settled)
        queue.clear()
        queue.extend(still_waiting)
        for one in settled:
            self._settled(one, node, reply)

    async def close(self) -> None:
        """Give up what is still unanswered; the write ledger knows it as sent."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _retry(self, counter: CounterTotals) -> None:
        queue = self._waiting[counter.key]
        pause_s = PAUSE_S_MIN
        try:
            while True:
                await asyncio.sleep(pause_s * self._random.uniform(0.5, 1.0))
                if not queue:
                    return
                pause_s = min(pause_s * 2, PAUSE_S_MAX)
                first = queue[0].operation
                node = self._nodes.choose(region=first.region) or self._store.nodes[0]
                totals, w = counter.sent, self._w()
                self._recorder.resent += 1
                try:
                    reply = await self._store.add(
                        node,
                        counter.key,
                        actor=counter.actor,
                        increments=totals.increments,
                        decrements=totals.decrements,
                        w=w,
                    )
                except StoreError as error:
                    at_ms = int(self._wall() * 1000)
                    self._recorder.attempt_failed(node, error.detail, kind=first.kind, at_ms=at_ms)
                    doubt(self._nodes, node, error, self._clock())
                    if refused(error):
                        for one in queue:
                            self._given_up(one, node)
                        return
                    continue
                self._write_ledger.acknowledged_counter(counter, totals, w=w)
                counter.acknowledge(totals)
                self.settle(counter, node, reply)
        finally:
            self.count -= len(queue)
            del self._waiting[counter.key]


def refused(error: StoreError) -> bool:
    """The request itself was refused: the same request will be refused again, everywhere."""
    return 400 <= error.status < 500 and error.status != 429


def doubt(nodes: NodeTable, node: str, error: StoreError, now_s: float) -> None:
    """What a failure tells about the node, whatever it tells about the operation."""
    if isinstance(error, NotAMember):
        nodes.not_a_member(node, now_s)
    elif not error.status:  # no answer at all
        nodes.no_answer(node, now_s)
