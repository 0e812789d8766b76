"""Judges each read against what was answered before it was sent: to its own session, and to others.

Real time decides what "before" is: there is one clock here, that of the simulation.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from kvnode.operations import Get
from kvnode.sim.observer import Operation
from kvnode.sim.oracle.facts import Fact, Facts
from kvnode.sim.oracle.history import History
from kvnode.sim.oracle.judge import Judge, needed, told
from kvnode.sim.oracle.model import Made, dot_of
from kvnode.sim.oracle.reads import Emptiness


class Freshness(Judge):
    """The judge of stale reads, and of those that go back in time."""

    def __init__(self, counts: Counter[str], history: History, facts: Facts) -> None:
        super().__init__(counts)
        self._history = history
        self._facts = facts
        self._before: dict[int, tuple[tuple[Fact, ...], int]] = {}
        self._replacing: dict[str, list[Fact]] = defaultdict(list)

    def sent(self, operation: Operation) -> None:
        """Remember what is known by now."""
        key = operation.request.key
        self._before[operation.number] = self._facts.now(key), len(self._replacing[key])

    def written(self, key: str, fact: Fact) -> None:
        """A write was acknowledged: what it has seen may not come back."""
        self._replacing[key].append(fact)

    def answered(self, operation: Operation, held: Emptiness | None) -> None:
        """Judge one read. held: what those who answered held when it was sent."""
        facts, replacing_count = self._before.pop(operation.number)
        request = operation.request
        assert isinstance(request, Get)
        if held is None or request.sloppy:
            return
        key, r = request.key, needed(request.r, self._facts.replicas)
        known = self._history.versions[key]
        dots = {dot_of(sibling["dot"]) for sibling in operation.body.get("siblings", ())}
        versions = [known[dot] for dot in dots if dot in known]
        for fact in facts:
            if self._facts.are_met(fact, r):
                self._judge_fact(operation, fact, {made.dot for made in versions})
        self._judge_revenants(operation, versions, self._replacing[key][:replacing_count], r)
        for made in versions:
            holders = sum(
                self._history.is_answered_for(key, made, dots_there) for dots_there in held.values()
            )
            self._facts.add(key, Fact(made, holders, operation.session, False))

    def _judge_fact(self, operation: Operation, fact: Fact, shown: set[tuple[str, int]]) -> None:
        key = operation.request.key
        if fact.session != operation.session:
            what = "what others were answered before"
        else:
            what = "the session's own writes" if fact.is_write else "the session's earlier reads"
        broken = (
            f"{told(operation)}: shows {self._history.named(key, shown)}, and not {fact.made}: stale by"
            f" {what}; {fact.holders} replicas held it"
        )
        is_met = self._history.is_answered_for(key, fact.made, shown)
        self.judge(f"a read sees {what}", "" if is_met else broken)

    def _judge_revenants(
        self, operation: Operation, versions: list[Made], replacing: list[Fact], r: int
    ) -> None:
        """Nothing is shown that an acknowledged write has replaced which this read meets, or which was reaped.

        Not so by its stamp alone (mode=lww) where a tombstone was reaped: the key has begun anew since.
        """
        known = self._history.versions[operation.request.key]
        known_anew = any(made.deleted and made.dot in self._history.reaped for made in known.values())
        for old in versions:
            for fact in replacing:
                if not fact.made.supersedes(old) or (known_anew and not fact.made.past.covers(old.dot)):
                    continue
                if fact.made.dot in self._history.reaped or self._facts.are_met(fact, r):
                    what = "deleted" if fact.made.deleted else "replaced"
                    self.judge(
                        "what was replaced stays away",
                        f"{told(operation)}: {old} is back, which {fact.made} had {what}",
                    )
            self.judge("what was replaced stays away")
