"""Judges what an answer to GET says: against itself, against the versions as they were written, and against the disks.

Must not live here: what earlier answers have promised (freshness.py).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kvnode.messages import KV
from kvnode.operations import Get
from kvnode.sim.observer import Operation
from kvnode.sim.oracle.history import History
from kvnode.sim.oracle.judge import Judge, needed, told
from kvnode.sim.oracle.model import Dot, Made, Past, dot_of, past_in, reader_has_seen

Emptiness = dict[str, tuple[Dot, ...]]
"""What each node held of a key at one moment."""


class Reads(Judge):
    """The judge of what a read shows. handed_out: told of each context that a client is given, says what it means."""

    def __init__(
        self,
        counts: Counter[str],
        history: History,
        replicas: int,
        nodes: list[str],
        handed_out: Callable[[str, str], Past],
    ) -> None:
        super().__init__(counts)
        self._history = history
        self._replicas = replicas
        self._nodes = nodes
        self._handed_out = handed_out
        self._before: dict[int, Emptiness] = {}
        self._pending: dict[int, set[str]] = {}

    def sent(self, operation: Operation) -> None:
        """Remember what the disks held."""
        key = operation.request.key
        self._before[operation.number] = {node: self._history.dots_at(node, key) for node in self._nodes}
        self._pending[operation.number] = self._history.pending(key)

    def answered(self, operation: Operation) -> Emptiness | None:
        """Judge one answer; what those that count held when it was sent, None if it is no answer."""
        before = self._before.pop(operation.number)
        pending = self._pending.pop(operation.number) | self._history.pending(operation.request.key)
        request, body = operation.request, operation.body
        assert isinstance(request, Get)
        if operation.status not in (200, 404):
            return None
        siblings = body.get("siblings", ())
        versions = self._judge_versions(operation, siblings)
        self._judge_form(operation, request, siblings, versions)
        if "context" in body:
            self._judge_context(operation, siblings, versions)
        self._judge_durable(operation, versions, pending)
        self._judge_whole(operation, versions, before)
        fallbacks = body.get("fallbacks") or ()
        return {node: before.get(node, ()) for node in body["answered_by"] if node not in fallbacks}

    # --- what it says of itself ---------------------------------------------------------------------------

    def _judge_form(
        self, operation: Operation, request: Get, siblings: Sequence[Mapping[str, Any]], versions: list[Made]
    ) -> None:
        body, r = operation.body, needed(request.r, self._replicas)
        by, values = body["answered_by"], [made for made in versions if not made.deleted]
        shown = max(values, key=lambda made: made.stamp, default=None)
        broken = ""
        if (
            len(set(by)) < len(by)
            or len(by) < r
            or body["r"] != r
            or set(by) & set(body.get("refilling", ()))
        ):
            broken = f"r={r}, and {by} answered, of whom {body.get('refilling', [])} are being refilled"
        elif (operation.status == 200) != bool(values):
            broken = f"status {operation.status} for {len(values)} values"
        elif shown is not None and body["value"] != json.loads(shown.value):
            broken = f"shows {body['value']!r}, and not {shown.value!r}, whose stamp is the greatest"
        elif operation.status == 200 and body["conflict"] != (len(siblings) > 1):
            broken = f"conflict is {body['conflict']} for {len(siblings)} siblings"
        for old in versions:
            for new in versions:
                if new is not old and new.supersedes(old):
                    broken = f"shows {old} beside {new}, which makes it obsolete"
        self.judge("a read shows no more and no less than it may", broken and f"{told(operation)}: {broken}")

    def _judge_versions(self, operation: Operation, siblings: Sequence[Mapping[str, Any]]) -> list[Made]:
        """Each version is what was written under its dot; answers them as they were made."""
        versions = []
        for sibling in siblings:
            dot = dot_of(sibling["dot"])
            known = self._history.versions[operation.request.key].get(dot)
            if known is None:
                self.judge(
                    "a read shows versions as they were written",
                    f"{told(operation)}: shows {sibling['dot']}, which no disk has ever held",
                )
                continue
            versions.append(known)
            value = None if known.deleted else json.loads(known.value)
            facts = (value, known.timestamp, known.deleted)
            shown = (sibling.get("value"), sibling["timestamp"], sibling.get("deleted", False))
            past, broken = past_in(sibling, known.past.floor), ""
            if facts != shown:
                broken = f"{told(operation)}: {known} is {facts}, and was shown as {shown}"
            elif not past.says_no_more_than(known.past):
                broken = f"{told(operation)}: {known} was made under {known.past}, and shown with {past}"
            self.judge("a read shows versions as they were written", broken)
        return versions

    def _judge_context(
        self, operation: Operation, siblings: Sequence[Mapping[str, Any]], versions: list[Made]
    ) -> None:
        """The context is what somebody has seen who was shown these siblings: no more, no less."""
        past = self._handed_out(operation.request.key, operation.body["context"])
        floors = {made.dot: made.floor for made in versions}
        shown = [
            (dot, past_in(sibling), floors.get(dot))
            for sibling in siblings
            for dot in (dot_of(sibling["dot"]),)
        ]
        wanted = reader_has_seen(shown)
        broken = ""
        if past != wanted:
            broken = f"{told(operation)}: its context says {past}; its siblings say {wanted}"
        self.judge("a read's context is what its siblings say", broken)

    # --- what the disks say -------------------------------------------------------------------------------

    def _judge_durable(self, operation: Operation, versions: list[Made], pending: set[str]) -> None:
        """No dirty read: each version was durable, before the answer came, at a replica that has answered."""
        body, key = operation.body, operation.request.key
        fallbacks = body.get("fallbacks") or ()
        by = [*body["answered_by"], *body.get("refilling", ()), *pending]
        for made in versions:
            is_durable = any(
                self._history.has_held(node, key, made.dot, as_hint=node in fallbacks)
                or self._history.has_lost(node, f"{KV}/{key}", operation.sent_s)
                for node in by
            )
            broken = f"{told(operation)}: dirty read of {made}, which none of {by} had made durable"
            self.judge("a read shows only what is durable", "" if is_durable else broken)

    def _judge_whole(self, operation: Operation, versions: list[Made], before: Emptiness) -> None:
        """All that a replica held when the read was sent is in the answer that it counts for, or has given way."""
        body, key = operation.body, operation.request.key
        shown = {made.dot for made in versions}
        known = self._history.versions[key]
        for node in body["answered_by"]:
            if node in (body.get("fallbacks") or ()):
                continue
            if self._history.has_lost(node, f"{KV}/{key}", operation.sent_s):
                continue
            missed = [
                dot
                for dot in before.get(node, ())
                if dot not in shown and not self._history.is_answered_for(key, known[dot], shown)
            ]
            broken = (
                f"{told(operation)}: shows {self._history.named(key, shown)}, and not"
                f" {self._history.named(key, missed)}, which {node} held when it was sent"
            )
            self.judge("a read holds all that its replicas held", broken if missed else "")
