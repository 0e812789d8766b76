"""Judges the answers to PUT and DELETE: that they are durable where they say so, and what their dots and contexts say.

Must not live here: what a later read shows (freshness.py), and refusals (refusals.py).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple

from kvnode.messages import KV
from kvnode.operations import Put
from kvnode.replication.context_tokens import ContextTokens
from kvnode.sim.observer import Operation
from kvnode.sim.oracle.facts import Fact, Facts
from kvnode.sim.oracle.history import History
from kvnode.sim.oracle.judge import Judge, needed, told
from kvnode.sim.oracle.model import Dot, Made, Past, dot_of, past_in


class _Before(NamedTuple):
    """What there was when a write was sent: at each node, in facts, and the greatest dots in contexts handed out."""

    held: dict[str, tuple[Dot, ...]]
    facts: tuple[Fact, ...]
    handed_out: dict[str, int]


class Writes(Judge):
    """The judge of writes."""

    def __init__(
        self, counts: Counter[str], history: History, facts: Facts, contexts: ContextTokens, nodes: list[str]
    ) -> None:
        super().__init__(counts)
        self._history = history
        self._facts = facts
        self._contexts = contexts
        self._nodes = nodes
        self._before: dict[int, _Before] = {}
        self._answered: dict[Dot, str] = {}
        self._handed_out: dict[str, dict[str, int]] = defaultdict(dict)

    # --- what happens -------------------------------------------------------------------------------------

    def sent(self, operation: Operation) -> None:
        """Remember what there was."""
        key = operation.request.key
        self._before[operation.number] = _Before(
            {node: self._history.dots_at(node, key) for node in self._nodes},
            self._facts.now(key),
            dict(self._handed_out[key]),
        )

    def handed_out(self, key: str, token: str) -> Past:
        """A client was given this context."""
        past = Past.of(self._contexts.read(key, token))
        known = self._handed_out[key]
        for store, counter in (*past.vector.items(), *past.dots):
            known[store] = max(counter, known.get(store, 0))
        return past

    def answered(self, operation: Operation) -> Fact | None:
        """Judge one answer; the fact that it states, None if it is no strict acknowledgement."""
        before = self._before.pop(operation.number)
        request, body = operation.request, operation.body
        assert isinstance(request, Put)
        if operation.status != 200:
            return None
        known = self._history.versions[request.key].get(dot_of(body["dot"]))
        made = _made(operation, request, known)
        self._judge_dot(operation, made, before)
        if known is not None:
            self._judge_version(operation, made, known)
        self._history.learn(request.key, made)
        self._judge_past(operation, request, made, before)
        self._judge_context(operation, made)
        self._judge_durable(operation, request, made)
        if request.sloppy:
            return None
        fact = Fact(made, len(set(body["acknowledged_by"])), operation.session, True)
        self._facts.add(request.key, fact)
        return fact

    # --- promises -----------------------------------------------------------------------------------------

    def _judge_dot(self, operation: Operation, made: Made, before: _Before) -> None:
        broken = ""
        if made.dot in self._answered:
            broken = f"{told(operation)}: dot {made} was answered before, {self._answered[made.dot]}"
        elif before.handed_out.get(made.dot[0], 0) >= made.dot[1]:
            broken = f"{told(operation)}: a context that was handed out before covers the new dot {made}"
        elif made.dot[0].rpartition(".")[0] != operation.body["node"]:
            broken = f"{told(operation)}: {operation.body['node']} answered a dot of another node, {made}"
        self._answered[made.dot] = told(operation)
        self.judge("the dot of a write is new", broken)

    def _judge_version(self, operation: Operation, made: Made, known: Made) -> None:
        """What the disks hold under this dot is what was sent, made with the knowledge that was answered."""
        broken = ""
        if not known.same_write(made):
            broken = f"{told(operation)}: {made} was answered for {made.value!r}, and holds {known.value!r}"
        elif not _is_pruned(known.past, made.past):
            broken = f"{told(operation)}: {made} was made under {known.past}, and {made.past} was answered"
        self.judge("an acknowledged write is what was sent", broken)

    def _judge_past(self, operation: Operation, request: Put, made: Made, before: _Before) -> None:
        """Under which context it was issued: the one that was passed on; else, as its mode says, what was there."""
        if request.context is not None:
            given = Past.of(request.context)
            broken = ""
            if made.past != given:
                broken = f"{told(operation)}: was passed on {given}, and issued {made} under {made.past}"
            self.judge("a write is issued under the context that was passed on", broken)
        elif request.mode != "replace":
            is_blind = not (made.past.vector or made.past.dots or made.past.floor)
            broken = "" if is_blind else f"{told(operation)}: {made} was to be blind, and has {made.past}"
            self.judge("a blind write has seen nothing", broken)
        else:
            self._judge_replaced(operation, request, made, before)

    def _judge_replaced(self, operation: Operation, request: Put, made: Made, before: _Before) -> None:
        node, key = operation.body["node"], request.key
        if node in (operation.body.get("fallbacks") or ()):
            return
        wanted = before.held.get(node, ())
        if not self._history.has_lost(node, f"{KV}/{key}", operation.sent_s):
            missed = [dot for dot in wanted if not self._replaces(key, made, dot)]
            broken = (
                f"{told(operation)}: {made} does not replace {self._history.named(key, missed)},"
                f" which {node} held when it was sent"
            )
            self.judge("a plain write replaces what its coordinator held", broken if missed else "")
        if made.deleted and not request.sloppy:
            w = needed(request.w, self._facts.replicas)
            known = [fact.made.dot for fact in before.facts if self._facts.are_met(fact, w)]
            missed = [dot for dot in known if not self._replaces(key, made, dot)]
            broken = f"{told(operation)}: {made} does not delete {self._history.named(key, missed)}"
            self.judge("a plain DELETE deletes what was acknowledged", broken if missed else "")

    def _replaces(self, key: str, made: Made, dot: Dot) -> bool:
        known = self._history.versions[key].get(dot)
        return known is None or self._history.is_answered_for(key, known, (made.dot,))

    def _judge_context(self, operation: Operation, made: Made) -> None:
        """Its context covers what its writer has seen, itself, and nothing that its writer was never shown."""
        body = operation.body
        past = self.handed_out(body["key"], body["context"])
        store, counter = made.dot
        vector = {**made.past.vector, store: max(counter, made.past.vector.get(store, 0))}
        alone = Past(vector, made.past.dots, made.floor, made.past.forgotten)
        beside = Past(made.past.vector, made.past.dots | {made.dot}, made.floor, made.past.forgotten)
        broken = ""
        if not past.covers(made.dot) or not (_is_pruned(past, alone) or _is_pruned(past, beside)):
            broken = f"{told(operation)}: the context of {made}, issued under {made.past}, says {past}"
        self.judge("a write's context covers it and what it had seen", broken)
        key = body["key"]
        unseen = [
            other.dot
            for other in self._history.versions[key].values()
            if past.covers(other.dot) and not self._history.is_answered_for(key, other, (made.dot,))
        ]
        broken = f"{told(operation)}: the context of {made} covers {self._history.named(key, unseen)}, unseen"
        self.judge("a write's context covers nothing that its writer has not seen", broken if unseen else "")

    def _judge_durable(self, operation: Operation, request: Put, made: Made) -> None:
        body, key = operation.body, request.key
        by, w = body["acknowledged_by"], needed(request.w, self._facts.replicas)
        fallbacks = body.get("fallbacks") or {}
        broken = ""
        if len(set(by)) < len(by) or len(by) < w or body["w"] != w:
            broken = f"{told(operation)}: w={w}, and {by} acknowledged {made}"
        for node in by:
            is_gone = self._history.has_lost(node, f"{KV}/{key}", operation.sent_s)
            if not is_gone and not self._history.has_taken(node, key, made, as_hint=node in fallbacks):
                broken = f"{told(operation)}: {node} has acknowledged {made}, and has never made it durable"
        self.judge("who acknowledged a write has made it durable", broken)


def _made(operation: Operation, request: Put, known: Made | None) -> Made:
    """The write as its answer tells it. Of the floor the answer says nothing: it is that of what is `known`."""
    body, context = operation.body, request.context
    floor = None if context is None else context.floor
    if known is not None:
        floor = known.past.floor
    return Made(
        dot_of(body["dot"]),
        past_in(body, floor),
        request.value or b"",
        body["timestamp"],
        request.value is None,
        request.mode == "lww",
    )


def _is_pruned(past: Past, of: Past) -> bool:
    """Whether this is that past, or what pruning has left of it."""
    return past.says_no_more_than(of) and (past.vector == of.vector or past.forgotten > of.forgotten)
