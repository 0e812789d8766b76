"""The emptiness check: a node that is to join must begin with nothing.

What a former member kept may be older than a tombstone that was dropped since (tombstones/epochs.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kvnode.config import JOINER_ASKED_MAX, JOINER_TIMEOUT_MS
from kvnode.context import NodeContext
from kvnode.errors import Conflict
from kvnode.messages import CheckEmptiness, Emptiness
from kvnode.runtime import Handlers


class EmptinessCheck:
    """Both sides of one node. hint_count: how many hints are here."""

    def __init__(self, context: NodeContext, hint_count: Callable[[], int]) -> None:
        self._runtime = context.runtime
        self._node = context.name
        self._rpc = context.rpc
        self._records = context.records
        self._hint_count = hint_count

    def handlers(self) -> Handlers:
        """Which messages are for it."""
        return {CheckEmptiness: self.on_check_emptiness}

    async def check(self, name: str) -> None:
        """Return if that node holds nothing; Conflict if it does, or does not say."""
        for _ in range(JOINER_ASKED_MAX):
            try:
                answer = await self._rpc.ask(name, CheckEmptiness, JOINER_TIMEOUT_MS)
            except TimeoutError:
                continue
            held = "data"
            if isinstance(answer, Emptiness):
                if not (answer.records or answer.hints):
                    return
                held = f"{answer.records} records and {answer.hints} hints"
            raise Conflict(
                f"{name} cannot join: it still holds {held} of an earlier membership; wait until it has let go of"
                " them (GET /ring there: orphaned), or wipe it"
            )
        raise Conflict(f"{name} cannot join: it does not answer {self._node}")

    def on_check_emptiness(self, peer: str, question: CheckEmptiness) -> None:
        """Say how much is here, once what was let go is gone for good."""
        answer = Emptiness(question.id, self._records.row_count, self._hint_count())

        def durable(future: asyncio.Future[None]) -> None:
            if not future.cancelled() and future.exception() is None:
                self._runtime.network.send(peer, answer)

        self._runtime.disk.commit([]).add_done_callback(durable)
