"""What a client asks of the cluster and what it is answered: typed, the same at every node.

The HTTP API (net/) makes requests and writes answers as JSON; a node that holds no replica of the key forwards the
request as it is. Field names are the API's.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kvnode.versions import Context, Siblings, Version

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


class PutAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A write was acknowledged by w replicas. `context` covers it: pass it to the next PUT.

    stand_ins: of a sloppy request, who acknowledged in place of which owner; note: what that means.
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
    cause: str
    issued_under_dots: list[str] = []
    sloppy: bool = False
    stand_ins: dict[str, str] | None = None
    note: str | None = None


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
    cause: str
    refilling: list[str] = []
    sloppy: bool = False
    stand_ins: dict[str, str] | None = None
    note: str | None = None


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
    cause: str
    idempotent: bool
    note: str | None = None


class CountAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A counter as r replicas know it together."""

    key: str
    value: int
    actors: dict[str, dict[str, int]]
    node: str
    r: int
    answered_by: list[str]
    cause: str
    refilling: list[str] = []


Answer = PutAnswer | GetAnswer | AddAnswer | CountAnswer


SLOPPY_NOTE = "sloppy: stand-ins count for owners, so r + w > N promises nothing until they have handed over"


def sloppy_extra(stand_ins: dict[str, str], counted: list[str]) -> dict[str, Any]:
    """What the answer to a sloppy request says of it: who of those that counted stood in for whom."""
    named = {node: owner for node, owner in stand_ins.items() if node in counted}
    return {"sloppy": True, "stand_ins": named, "note": SLOPPY_NOTE}


def deleted_extra(siblings: Siblings, context: str) -> dict[str, Any]:
    """What a 404 after a DELETE still tells: the tombstones, and the context that supersedes them."""
    return {
        "context": context,
        "vector_clock": siblings.context.vector.as_dict(),
        "siblings": [SiblingView.of(version) for version in siblings.versions],
    }
