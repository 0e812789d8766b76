"""What a client asks of the cluster and what it is answered: typed, the same at every node.

The HTTP API (net/) makes requests and writes answers as JSON; a node that holds no replica of the key forwards the
request as it is. Field names are the API's.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kvnode.errors import NotFound
from kvnode.versions import Context, PnCounter, Siblings, Version, VersionVector

MODES = ("replace", "siblings", "lww")


class Put(msgspec.Struct, frozen=True, array_like=True, tag="put"):
    """Write `value` (JSON text; None deletes) under `context`, or as `mode` says if there is none.

    sloppy: others may stand in for owners that cannot be reached (replication/fallback.py).
    """

    key: str
    value: bytes | None
    context: Context | None = None
    mode: str = "replace"
    w: int | None = None
    sloppy: bool = False


class Get(msgspec.Struct, frozen=True, array_like=True, tag="get"):
    """Read a key from r replicas. repair: whether replicas that are found behind are sent what they lack."""

    key: str
    r: int | None = None
    sloppy: bool = False
    repair: bool = True


class Add(msgspec.Struct, frozen=True, array_like=True, tag="add"):
    """Raise an actor's running totals of a counter; without an actor, add to the coordinator's own."""

    key: str
    actor: str | None
    increments: int
    decrements: int
    w: int | None = None


class Count(msgspec.Struct, frozen=True, array_like=True, tag="count"):
    """Read a counter from r replicas. repair: as for Get."""

    key: str
    r: int | None = None
    repair: bool = True


Request = Put | Get | Add | Count
encode_request = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(Request).decode


class SiblingView(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version as a client sees it."""

    value: msgspec.Raw | None
    dot: str
    vector_clock: dict[str, int]
    issued_under: dict[str, int]
    node: str
    timestamp: float
    deleted: bool = False
    issued_under_dots: list[str] = []

    @classmethod
    def of(cls, version: Version) -> SiblingView:
        """The view of one version."""
        return cls(
            value=None if version.deleted else msgspec.Raw(version.value),
            dot=f"{version.store}:{version.counter}",
            vector_clock=version.clock.as_dict(),
            issued_under=version.past.vector.as_dict(),
            issued_under_dots=[str(dot) for dot in version.past.dots],
            node=version.node,
            timestamp=version.timestamp,
            deleted=version.deleted,
        )


SLOPPY_NOTE = "sloppy: fallbacks count for owners, so r + w > N promises nothing until they have handed over"


class Outcome(msgspec.Struct, frozen=True):
    """How a request came to its answer, which tells so.

    node: who coordinated it. need: its w or r; counted: whose answers counted. fallbacks: of a sloppy request alone,
    {who stood in: for which owner}. refilling: who answered too and did not count, as it may lack something.
    """

    node: str
    trace_id: int
    need: int
    counted: list[str]
    fallbacks: dict[str, str] | None = None
    refilling: list[str] = []

    @property
    def trace(self) -> str:
        """The trace id as clients know it, 16 hex digits."""
        return f"{self.trace_id:016x}"

    @property
    def counted_fallbacks(self) -> dict[str, str] | None:
        """Of a sloppy request, who of those that counted stood in for whom."""
        if self.fallbacks is None:
            return None
        return {node: owner for node, owner in self.fallbacks.items() if node in self.counted}

    @property
    def note(self) -> str | None:
        """What a client should know of a sloppy request."""
        return None if self.fallbacks is None else SLOPPY_NOTE


class PutAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A write was acknowledged by w replicas. `context` covers it: pass it to the next PUT.

    trace_id: for GET /trace; cause: the same under its earlier name. fallbacks: of a sloppy request, who acknowledged
    in place of which owner; note: what that means.
    """

    key: str
    dot: str
    node: str
    context: str
    issued_under: dict[str, int]
    vector_clock: dict[str, int]
    timestamp: float
    w: int
    acknowledged_by: list[str]
    trace_id: str
    cause: str
    issued_under_dots: list[str] = []
    sloppy: bool = False
    fallbacks: dict[str, str] | None = None
    note: str | None = None

    @classmethod
    def of(
        cls,
        key: str,
        version: Version,
        issued_under: Context,
        clock: VersionVector,
        context: str,
        outcome: Outcome,
    ) -> PutAnswer:
        """The answer to the write of `version`. context: the token of what its writer has seen now."""
        return cls(
            key=key,
            dot=str(version.dot),
            node=outcome.node,
            context=context,
            issued_under=issued_under.vector.as_dict(),
            issued_under_dots=[str(dot) for dot in issued_under.dots],
            vector_clock=clock.as_dict(),
            timestamp=version.timestamp,
            w=outcome.need,
            acknowledged_by=outcome.counted,
            trace_id=outcome.trace,
            cause=outcome.trace,
            sloppy=outcome.fallbacks is not None,
            fallbacks=outcome.counted_fallbacks,
            note=outcome.note,
        )


class GetAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What r replicas hold together. `value` is the sibling with the greatest stamp, for display only."""

    key: str
    value: msgspec.Raw
    conflict: bool
    siblings: list[SiblingView]
    vector_clock: dict[str, int]
    context: str
    node: str
    r: int
    answered_by: list[str]
    trace_id: str
    cause: str
    refilling: list[str] = []
    sloppy: bool = False
    fallbacks: dict[str, str] | None = None
    note: str | None = None

    @classmethod
    def of(
        cls, key: str, siblings: Siblings, shown: Version, seen: Context, context: str, outcome: Outcome
    ) -> GetAnswer:
        """The answer that shows all siblings. seen: their context; context: its token."""
        return cls(
            key=key,
            value=msgspec.Raw(shown.value),
            conflict=len(siblings.versions) > 1,
            siblings=[SiblingView.of(version) for version in siblings.versions],
            vector_clock=seen.vector.as_dict(),
            context=context,
            node=outcome.node,
            r=outcome.need,
            answered_by=outcome.counted,
            trace_id=outcome.trace,
            cause=outcome.trace,
            refilling=outcome.refilling,
            sloppy=outcome.fallbacks is not None,
            fallbacks=outcome.counted_fallbacks,
            note=outcome.note,
        )


class AddAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A counter's totals were acknowledged by w replicas. `value` is what the coordinator knows."""

    key: str
    value: int
    actor: str
    increments: int
    decrements: int
    node: str
    w: int
    acknowledged_by: list[str]
    trace_id: str
    cause: str
    idempotent: bool
    note: str | None = None

    @classmethod
    def of(cls, request: Add, actor: str, counter: PnCounter, outcome: Outcome) -> AddAnswer:
        """The answer to a request after which `counter` holds these totals of `actor`."""
        increments, decrements = counter.totals(actor)
        is_idempotent = request.actor is not None
        return cls(
            key=request.key,
            value=counter.value,
            actor=actor,
            increments=increments,
            decrements=decrements,
            node=outcome.node,
            w=outcome.need,
            acknowledged_by=outcome.counted,
            trace_id=outcome.trace,
            cause=outcome.trace,
            idempotent=is_idempotent,
            note=None if is_idempotent else "a retry of this request may count twice",
        )


class CountAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A counter as r replicas know it together."""

    key: str
    value: int
    actors: dict[str, dict[str, int]]
    node: str
    r: int
    answered_by: list[str]
    trace_id: str
    cause: str
    refilling: list[str] = []

    @classmethod
    def of(cls, key: str, counter: PnCounter, outcome: Outcome) -> CountAnswer:
        """The answer that shows every actor's totals."""
        return cls(
            key=key,
            value=counter.value,
            actors={
                actor: {"increments": increments, "decrements": decrements}
                for actor, increments, decrements in counter.entries
            },
            node=outcome.node,
            r=outcome.need,
            answered_by=outcome.counted,
            trace_id=outcome.trace,
            cause=outcome.trace,
            refilling=outcome.refilling,
        )


Answer = PutAnswer | GetAnswer | AddAnswer | CountAnswer


def no_value(key: str, siblings: Siblings, context: str, outcome: Outcome) -> NotFound:
    """The answer to a GET that finds nothing, or nothing but tombstones: then their context is handed out."""
    told: dict[str, Any] = {}
    if siblings.versions:
        told = {
            "context": context,
            "vector_clock": siblings.context.vector.as_dict(),
            "siblings": [SiblingView.of(version) for version in siblings.versions],
        }
    if outcome.fallbacks is not None:
        told |= {"sloppy": True, "fallbacks": outcome.counted_fallbacks, "note": outcome.note}
    if outcome.refilling:
        told["refilling"] = outcome.refilling
    told |= {"node": outcome.node, "r": outcome.need, "answered_by": outcome.counted}
    return NotFound(f"no value under {key!r}" + (" (deleted)" if siblings.versions else ""), **told)
