"""Counters: the totals that a request comes to, each actor's own.

Must not live here: quorums (write.py, read.py), and how totals merge (versions/counters.py).
"""

from __future__ import annotations

from collections.abc import Callable

from kvnode.config import ACTOR_COUNT_MAX, COUNTER_TOTAL_MAX
from kvnode.context import NodeContext
from kvnode.errors import Conflict, KvError
from kvnode.messages import COUNTER
from kvnode.operations import Add
from kvnode.records.kinds import COUNTERS, Mutation, encode_state
from kvnode.replication.dots import DotSource
from kvnode.versions import PnCounter


class CounterMutation(Mutation, frozen=True):
    """A counter after the totals of one actor were merged in."""

    counter: PnCounter
    actor: str


class Counters:
    """Makes the totals of one node's requests."""

    def __init__(self, node: NodeContext, dots: DotSource) -> None:
        self._records = node.records
        self._dots = dots

    async def add(self, request: Add, refusal: Callable[[str], KvError]) -> CounterMutation:
        """What is held with the totals of the actor; without an actor, with a step beyond this store's own so far.

        Raises Conflict if that is more than a counter holds, and the refusal if there are no dots to count under. Once
        it has its dot it waits for nothing.
        """
        if request.actor is not None:
            return _mutation(request, request.actor, self._records.latest(COUNTER, request.key))
        dot, base = await self._dots.next_for(COUNTER, request.key, self._records.latest, refusal)
        return _mutation(request, dot.store, base)


def _mutation(request: Add, actor: str, base: bytes | None) -> CounterMutation:
    held = COUNTERS.empty if base is None else COUNTERS.decode(base)
    increments, decrements = request.increments, request.decrements
    if request.actor is None:
        before = held.totals(actor)
        increments, decrements = before[0] + increments, before[1] + decrements
    merged = held.merge(PnCounter.of(actor, increments, decrements))
    if max(increments, decrements) > COUNTER_TOTAL_MAX:
        raise Conflict(f"the totals of {actor} would exceed {COUNTER_TOTAL_MAX}, the most a counter holds")
    if len(merged.entries) > max(ACTOR_COUNT_MAX, len(held.entries)):
        raise Conflict(
            f"counter has {len(held.entries)} actors, at most {ACTOR_COUNT_MAX} are kept: "
            "an actor is a process, not a person"
        )
    return CounterMutation(COUNTER, request.key, encode_state(merged), base, merged, actor)
