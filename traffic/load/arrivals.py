"""When operations fall due: open-loop arrivals from a rate that may change at any moment.

Here: the intended start of every operation.
Must not live here: clocks, waiting and sending (driver.py); what to send.

Open loop means that an arrival never waits for an earlier one to be answered: people who open a timeline
do not know how busy the database is. Only so do slow answers show up as latency instead of as fewer
requests (Schroeder, Wierman, Harchol-Balter: "Open Versus Closed: A Cautionary Tale", NSDI 2006).

How a changing rate keeps its statistics: by the time-rescaling theorem a Poisson process of rate λ(t) is
one of rate 1 run on the clock Λ(t) = ∫λ. So each gap is drawn once, as an amount of *work* (exponential
with mean 1, or exactly 1 for even arrivals), and the integral of the rate eats it up. A change of rate
alters how fast the rest of the work is eaten: no gap is drawn anew, nothing restarts, no arrival is lost
or doubled.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Literal, get_args

from traffic.load.rates import Rate

Pattern = Literal["poisson", "even"]
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)
WAIT_S_MAX = 0.05


class Arrivals:
    """The intended start times of operations, in order, on the caller's clock (seconds)."""

    def __init__(self, rate: Rate, *, random: Random, start_s: float, pattern: Pattern = "poisson") -> None:
        self._rate = rate
        self._random = random
        self._pattern: Pattern = pattern
        self._at_s = start_s
        self._backlog: list[float] = []
        # The first gap of even arrivals is a random part of one, so that generators do not march in step.
        self._work = random.random() if pattern == "even" else self._draw()

    @property
    def rate(self) -> Rate:
        return self._rate

    @property
    def pattern(self) -> Pattern:
        return self._pattern

    def due(self, now_s: float) -> Iterator[float]:
        """Every arrival that fell due up to `now_s` and was not yielded before, oldest first."""
        if self._backlog:
            backlog, self._backlog = self._backlog, []
            yield from backlog
        while self._at_s < now_s:
            ops_per_s, until_s = self._rate.segment(self._at_s)
            end_s = min(until_s, now_s)
            arrival_s = self._at_s + self._work / ops_per_s if ops_per_s > 0 else float("inf")
            if arrival_s <= end_s:
                self._at_s = arrival_s
                self._work = self._draw()
                yield arrival_s
            else:
                self._work -= (end_s - self._at_s) * ops_per_s
                self._at_s = end_s

    def wait_s(self, now_s: float) -> float:
        """How long to sleep until the next arrival, at most WAIT_S_MAX so that a new rate is noticed soon."""
        if self._backlog:
            return 0.0
        ops_per_s, _ = self._rate.segment(self._at_s)
        if ops_per_s <= 0:
            return WAIT_S_MAX
        return min(max(self._at_s + self._work / ops_per_s - now_s, 0.0), WAIT_S_MAX)

    def change(self, *, now_s: float, rate: Rate | None = None, pattern: Pattern | None = None) -> None:
        """From `now_s` on another rate or pattern; what fell due before stays due, the gap under way goes
        on."""
        self._backlog = list(self.due(now_s))
        if rate is not None:
            self._rate = rate
        if pattern is not None:
            self._pattern = pattern

    def skip_to(self, now_s: float) -> None:
        """Forget the time up to `now_s` (the traffic was stopped): nothing falls due for it."""
        self._backlog = []
        self._at_s = max(self._at_s, now_s)

    def _draw(self) -> float:
        return 1.0 if self._pattern == "even" else self._random.expovariate(1.0)
