"""Facts that every later read must respect: at a certain moment a version was durable at so many owners.

An acknowledged write is such a fact: those who acknowledged it hold it. So is what a read found at several replicas.
From then on a read of r replicas meets it, or what has replaced it, if r and the holders together are more than N, and
the holders are at least half of N (PROMISES.md: fewer than w stores are lost at a time).

Must not live here: judging (freshness.py, writes.py).
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from kvnode.sim.oracle.history import History
from kvnode.sim.oracle.model import Made

_FACTS_MAX = 24


class Fact(NamedTuple):
    """A version that so many owners held when the answer to this session came. is_write: the session had written it."""

    made: Made
    holders: int
    session: str
    is_write: bool


class Facts:
    """The facts of one run. replicas: N."""

    def __init__(self, history: History, replicas: int) -> None:
        self._history = history
        self.replicas = replicas
        self._of_key: dict[str, tuple[Fact, ...]] = defaultdict(tuple)

    def add(self, key: str, fact: Fact) -> None:
        """From now on this is so. What it makes obsolete need not be met any more, where it must be met itself."""
        kept = [
            known
            for known in self._of_key[key]
            if not (
                fact.holders >= known.holders
                and (
                    fact.made.supersedes(known.made)
                    or (fact.made.dot == known.made.dot and fact.session == known.session)
                )
            )
        ]
        self._of_key[key] = (*kept[-_FACTS_MAX:], fact)

    def now(self, key: str) -> tuple[Fact, ...]:
        """All that is so of a key at this moment."""
        return self._of_key[key]

    def are_met(self, fact: Fact, r: int) -> bool:
        """Whether any r replicas must meet this."""
        return fact.holders + r > self.replicas and 2 * fact.holders >= self.replicas
