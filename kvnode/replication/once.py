"""Questions that must be acted on once, though the network may bring them twice.

Most questions may come any number of times: records merge. A client's request that is coordinated twice is another
matter: an increment counts twice, and what one of the two refuses definitely the other may write.

A message arrives no later than a certain time after it was sent (runtime.Network), so ids are remembered for as long.
(They never repeat: each life of a node begins to count at a random number, see rpc.py.)
"""

from __future__ import annotations

from kvnode.config import ONCE_COUNT_MAX
from kvnode.runtime import Clock


class Once:
    """Which questions of which peers have arrived. doubled_count: how many came again.

    Invariant: what arrived within the last age_ms_max is known, unless that were more than ONCE_COUNT_MAX.
    """

    def __init__(self, clock: Clock, *, age_ms_max: float) -> None:
        self._clock = clock
        self._age_ms_max = age_ms_max
        self._recent: set[tuple[str, int]] = set()
        self._older: set[tuple[str, int]] = set()
        self._began_ms = clock.now_ms()
        self.doubled_count = 0

    def __len__(self) -> int:
        return len(self._recent) + len(self._older)

    def is_first(self, peer: str, id_: int) -> bool:
        """Whether this question has not arrived before; from now on it has."""
        now_ms = self._clock.now_ms()
        if now_ms - self._began_ms > self._age_ms_max or len(self._recent) >= ONCE_COUNT_MAX:
            self._older, self._recent, self._began_ms = self._recent, set(), now_ms
        question = (peer, id_)
        if question in self._recent or question in self._older:
            self.doubled_count += 1
            return False
        self._recent.add(question)
        return True
