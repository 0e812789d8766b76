"""How a tweet goes viral: a self-exciting burst of attention.

Here: who is drawn to a viral tweet, and when.
Must not live here: tweets, people, operations.

The model is the Hawkes process (Hawkes, "Spectra of some self-exciting and mutually exciting point
processes", Biometrika 58(1), 1971), in the form in which it is easiest to simulate, a branching process
(Hawkes and Oakes, "A cluster process representation of a self-exciting process", 1974): some first people
come by themselves; everybody who comes draws a Poisson number of others, BRANCHING on average, each after an
exponential delay. With BRANCHING < 1 a cascade of n first people ends with n / (1 - BRANCHING) on average.
That retweets arrive so is the starting point of SEISMIC (Zhao et al., KDD 2015).

How many come first is in proportion to the traffic of that moment, so that a burst can be seen at any rate:
it brings no more operations, but draws those that there are to one key.
"""

from __future__ import annotations

from math import exp
from random import Random

from traffic.workloads.follow_ups import FollowUps

BRANCHING = 0.85
DELAY_S_MEAN = 1.2
FIRST_S_MEAN = 2.0
PENDING_MAX = 20_000


class Cascades:
    """All bursts that are under way; a visitor is the key of the tweet that draws somebody."""

    def __init__(self, random: Random, *, branching: float = BRANCHING) -> None:
        assert 0 <= branching < 1, f"a cascade of branching ratio {branching} may never end"
        self._random = random
        self._branching = branching
        self._visits: FollowUps[str] = FollowUps(PENDING_MAX)
        self.ignited = 0
        self.visits = 0

    @property
    def pending(self) -> int:
        """How many are on their way."""
        return len(self._visits)

    def ignite(self, tweet: str, now_s: float, *, first: int) -> None:
        """`first` people come by themselves, one after another."""
        self.ignited += 1
        for _ in range(first):
            self._visits.add(tweet, now_s + self._random.expovariate(1 / FIRST_S_MEAN))

    def visit(self, now_s: float) -> str | None:
        """The tweet that the next visitor has come for, if one is due; each draws others."""
        tweet = self._visits.due(now_s)
        if tweet is not None:
            self.visits += 1
            for _ in range(poisson(self._random, self._branching)):
                self._visits.add(tweet, now_s + self._random.expovariate(1 / DELAY_S_MEAN))
        return tweet


def poisson(random: Random, mean: float) -> int:
    """A Poisson number (Knuth, The Art of Computer Programming 2, section 3.4.1): fine for small means."""
    limit, product, count = exp(-mean), random.random(), 0
    while product > limit:
        product *= random.random()
        count += 1
    return count
