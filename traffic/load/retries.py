"""Sends unanswered increments again until they are answered.

Here: the additions that failed, one task for each counter that has any.
Must not live here: first attempts (executor.py).

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

from traffic.clock import Runtime
from traffic.load.executor import Executor
from traffic.measure.events import Acknowledged, Events, Unanswered
from traffic.nodes.table import NodeTable
from traffic.stores.base import StoreError
from traffic.stores.totals import CounterTotals

PAUSE_S_MIN = 0.05
PAUSE_S_MAX = 1.0


class RetryQueue:
    """Invariant: `_waiting` has a key exactly as long as a task works on it; `count` is the length of all
    queues."""

    def __init__(self, executor: Executor, nodes: NodeTable, runtime: Runtime) -> None:
        self._executor = executor
        self._nodes = nodes
        self._random = runtime.random
        self._clock = runtime.clock
        self._waiting: dict[str, deque[Unanswered]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.count = 0

    def listen(self, events: Events) -> None:
        events.subscribe(Unanswered, self._take)
        events.subscribe(Acknowledged, self._settle)

    async def close(self) -> None:
        """Give up what is still unanswered; the write ledger knows it as sent."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _take(self, unanswered: Unanswered) -> None:
        """From now on this increment is ours."""
        counter = unanswered.request.counter
        assert counter is not None
        self.count += 1
        queue = self._waiting.get(counter.key)
        if queue is not None:
            queue.append(unanswered)
            return
        self._waiting[counter.key] = deque([unanswered])
        task = asyncio.get_running_loop().create_task(self._retry(counter))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _settle(self, event: Acknowledged) -> None:
        """Totals of a counter were acknowledged: so is everything that waits at or below them."""
        counter = event.request.counter
        if not self.count or counter is None or (queue := self._waiting.get(counter.key)) is None:
            return
        upto = max(counter.acknowledged, event.request.totals)
        settled = [one for one in queue if one.request.totals <= upto]
        still_waiting = [one for one in queue if one.request.totals > upto]
        self.count -= len(settled)
        queue.clear()
        queue.extend(still_waiting)
        for one in settled:
            self._executor.end(
                one.request, event.node, "ok", event.reply, sent_s=one.sent_s, done_s=event.at_s
            )

    async def _retry(self, counter: CounterTotals) -> None:
        queue = self._waiting[counter.key]
        pause_s = PAUSE_S_MIN
        try:
            while True:
                await asyncio.sleep(pause_s * self._random.uniform(0.5, 1.0))
                if not queue:
                    return
                pause_s = min(pause_s * 2, PAUSE_S_MAX)
                request = self._executor.newest(queue[0].request)
                node = self._nodes.choose(region=request.operation.region)
                if node is None:
                    continue
                try:
                    await self._executor.attempt(request, node, self._clock(), is_again=True)
                except StoreError as error:
                    if error.refused:
                        # Indefinite: an earlier attempt, of which nobody knows, may have been applied.
                        for one in queue:
                            self._executor.end(one.request, node, "indefinite", None, sent_s=one.sent_s)
                        return
        finally:
            self.count -= len(queue)
            del self._waiting[counter.key]
