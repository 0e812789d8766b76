"""Judges counters: what an actor was acknowledged is durable, and read again; nothing is counted that was not sent.

An actor's totals never decrease, so of two pairs one holds the other, and a pair that is read was sent as it is.
(Shapiro et al., "A comprehensive study of CRDTs", 2011.) Actors of nodes (`{"increment": 1}` without an actor) are
judged by what they hold and show; how much such a request may count twice nobody promises.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from kvnode.messages import COUNTER
from kvnode.operations import Add, Count
from kvnode.sim.observer import Operation
from kvnode.sim.oracle.history import NOTHING, History, Totals
from kvnode.sim.oracle.judge import Judge, needed, told

Pair = tuple[int, int]
"""Increments and decrements of one actor."""
_Place = tuple[str, str]
"""A key and an actor."""


class _Before(NamedTuple):
    """What there was when a request was sent: at each node, acknowledged by how many owners, and who was to be one."""

    held: dict[str, Totals]
    pending: set[str]
    acknowledged: dict[_Place, dict[int, Pair]]


class Counters(Judge):
    """The judge of counters."""

    def __init__(self, counts: Counter[str], history: History, replicas: int, nodes: list[str]) -> None:
        super().__init__(counts)
        self._history = history
        self._replicas = replicas
        self._nodes = nodes
        self._before: dict[int, _Before] = {}
        self._may_be_there: dict[_Place, Counter[Pair]] = defaultdict(Counter)
        self._acknowledged: dict[str, dict[_Place, dict[int, Pair]]] = defaultdict(dict)

    def sent(self, operation: Operation) -> None:
        """Remember what there was."""
        request = operation.request
        key = request.key
        held = {node: self._history.totals_at(node, key) for node in self._nodes}
        self._before[operation.number] = _Before(
            held, self._history.pending(key), dict(self._acknowledged[key])
        )
        if isinstance(request, Add) and request.actor is not None:
            self._may_be_there[key, request.actor][request.increments, request.decrements] += 1

    def answered(self, operation: Operation) -> None:
        """Judge one answer."""
        before = self._before.pop(operation.number)
        if isinstance(operation.request, Add):
            self._answered_add(operation, operation.request)
        elif isinstance(operation.request, Count) and operation.status == 200:
            self._answered_count(operation, operation.request, before)

    # --- writes -------------------------------------------------------------------------------------------

    def _answered_add(self, operation: Operation, request: Add) -> None:
        body, key, pair = operation.body, request.key, (request.increments, request.decrements)
        if body.get("definite") and request.actor is not None:
            self._may_be_there[key, request.actor][pair] -= 1
            held = [self._history.totals_held(node, key).get(request.actor) for node in self._nodes]
            is_there = pair in held and not self._may_be_there[key, request.actor][pair]
            broken = f"{told(operation)}: {pair} was refused as definite, and is there"
            self.judge("what is refused as definite is nowhere", broken if is_there else "")
        if operation.status != 200:
            return
        by, w, answered = body["acknowledged_by"], needed(request.w, self._replicas), _pair_of(body)
        broken = ""
        if len(set(by)) < len(by) or len(by) < w or body["w"] != w:
            broken = f"{told(operation)}: w={w}, and {by} acknowledged it"
        elif not _holds(answered, pair):
            broken = f"{told(operation)}: {pair} was sent, and {answered} answered"
        for node in by:
            is_gone = self._history.has_lost(node, f"{COUNTER}/{key}", operation.sent_s)
            held_pair = self._history.totals_held(node, key).get(body["actor"], NOTHING)
            if not is_gone and not _holds(held_pair, answered):
                broken = f"{told(operation)}: {node} has acknowledged {answered}, and holds {held_pair}"
        self.judge("who acknowledged a total has made it durable", broken)
        known = self._acknowledged[key].setdefault((key, body["actor"]), {})
        at_least = {
            each: total for each, total in known.items() if each > len(by) or not _holds(answered, total)
        }
        self._acknowledged[key][key, body["actor"]] = {**at_least, len(by): answered}

    # --- reads --------------------------------------------------------------------------------------------

    def _answered_count(self, operation: Operation, request: Count, before: _Before) -> None:
        body, key, r = operation.body, request.key, needed(request.r, self._replicas)
        by = body["answered_by"]
        shown = {actor: _pair_of(totals) for actor, totals in body["actors"].items()}
        value = sum(up - down for up, down in shown.values())
        broken = ""
        if body["value"] != value:
            broken = f"its value is {body['value']}, and that of its actors {value}"
        elif len(set(by)) < len(by) or len(by) < r or body["r"] != r:
            broken = f"r={r}, and {by} answered"
        self.judge("a counter is the sum of its actors", broken and f"{told(operation)}: {broken}")
        self._judge_sent(operation, shown)
        self._judge_durable(operation, shown, before.pending | self._history.pending(key))
        self._judge_whole(operation, shown, before)
        for (_, actor), by_count in before.acknowledged.items():
            for holders, pair in by_count.items():
                if holders + r > self._replicas and 2 * holders >= self._replicas:
                    found = shown.get(actor, NOTHING)
                    broken = f"{told(operation)}: shows {found} of {actor}, and {pair} was acknowledged"
                    is_met = _holds(found, pair)
                    self.judge("a counter read sees what was acknowledged", "" if is_met else broken)

    def _judge_sent(self, operation: Operation, shown: Mapping[str, Pair]) -> None:
        for actor, pair in shown.items():
            place = operation.request.key, actor
            if place in self._may_be_there:
                may_be = self._may_be_there[place][pair] > 0
                broken = f"{told(operation)}: shows {pair} of {actor}, which was never sent, or refused as definite"
                self.judge("a counter shows what was sent", "" if may_be else broken)

    def _judge_durable(self, operation: Operation, shown: Mapping[str, Pair], pending: set[str]) -> None:
        body, key = operation.body, operation.request.key
        by = [*body["answered_by"], *body.get("refilling", ()), *sorted(pending)]
        if any(self._history.has_lost(node, f"{COUNTER}/{key}", operation.sent_s) for node in by):
            return
        for actor, pair in shown.items():
            held = [self._history.totals_held(node, key).get(actor, NOTHING) for node in by]
            broken = f"{told(operation)}: dirty read of {pair} of {actor}; {by} have made {held} durable"
            is_durable = any(_holds(each, pair) for each in held)
            self.judge("a counter shows only what is durable", "" if is_durable else broken)

    def _judge_whole(self, operation: Operation, shown: Mapping[str, Pair], before: _Before) -> None:
        key = operation.request.key
        for node in operation.body["answered_by"]:
            if self._history.has_lost(node, f"{COUNTER}/{key}", operation.sent_s):
                continue
            missed = {
                actor: pair
                for actor, pair in before.held.get(node, {}).items()
                if not _holds(shown.get(actor, NOTHING), pair)
            }
            broken = f"{told(operation)}: shows {dict(shown)}, and {node} held {missed} when it was sent"
            self.judge("a counter read holds all that its replicas held", broken if missed else "")


def _pair_of(totals: Mapping[str, Any]) -> Pair:
    return totals["increments"], totals["decrements"]


def _holds(pair: Pair, other: Pair) -> bool:
    return pair[0] >= other[0] and pair[1] >= other[1]
