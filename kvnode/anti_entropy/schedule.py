"""When a node exchanges next, and with whom: in turn, about once a period, and sooner where there is something to mend.

- Whoever has just mended something goes on to the next peer soon, since that one most likely differs in the same; but
  it rests for as long as the last exchange took, so that a large repair takes no more than half of the time.
- A peer that was dead and is back comes next, soon.
- Whoever is just being mended by a peer lets it finish: what it brings need not be fetched twice.

Must not live here: what an exchange is (exchange.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from kvnode.config import EXCHANGE_PERIOD_MS, EXCHANGE_SOON_MS
from kvnode.runtime import Runtime


class ExchangeSchedule:
    """The turns of one node. Its one user awaits `next`, exchanges, and says what became of it by `mended`."""

    def __init__(self, runtime: Runtime, peers: Callable[[], Sequence[str]]) -> None:
        self._runtime = runtime
        self._peers = peers
        self._turn = 0
        self._rest_ms = EXCHANGE_PERIOD_MS
        self._asked_ms = float("-inf")
        self._back: dict[str, None] = {}  # ordered
        self._wake: asyncio.Future[None] | None = None

    async def next(self) -> str | None:
        """Rest, and then the peer whose turn it is; None if there is none."""
        rest_ms, self._rest_ms = self._rest_ms, EXCHANGE_PERIOD_MS
        wake = self._wake = asyncio.get_running_loop().create_future()
        timer = self._runtime.clock.call_later_ms(self._scattered(rest_ms), self._end_rest)
        await wake
        timer.cancel()
        if self._runtime.clock.now_ms() - self._asked_ms < EXCHANGE_PERIOD_MS:
            await self._runtime.clock.sleep_ms(self._scattered(EXCHANGE_PERIOD_MS))
        peers = self._peers()
        first = next((peer for peer in self._back if peer in peers), None)
        if first is not None:
            del self._back[first]
            return first
        self._turn += 1
        return peers[self._turn % len(peers)] if peers else None

    def mended(self, duration_ms: float) -> None:
        """The last exchange took this long, and moved records."""
        self._rest_ms = min(max(EXCHANGE_SOON_MS, duration_ms), EXCHANGE_PERIOD_MS)

    def asked(self) -> None:
        """A peer asks below a root: it is mending what differs."""
        self._asked_ms = self._runtime.clock.now_ms()

    def is_back(self, peer: str) -> None:
        """A peer that was dead is alive."""
        self._back[peer] = None
        self._runtime.clock.call_later_ms(self._scattered(EXCHANGE_SOON_MS), self._end_rest)

    def _scattered(self, mean_ms: float) -> float:
        return mean_ms * (0.5 + self._runtime.random.random())

    def _end_rest(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
