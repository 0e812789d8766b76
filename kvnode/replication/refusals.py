"""Refusals of a coordinator that take more than a line to explain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from kvnode.config import CONTEXT_BYTES_MAX, RECORD_BYTES_MAX, RING_CHANGES_MAX, SIBLING_COUNT_MAX
from kvnode.errors import BadRequest, Conflict, NotFound, QuorumUnmet
from kvnode.operations import deleted_extra
from kvnode.replication.dots import NoDots
from kvnode.replication.replica_plan import ReplicaPlan
from kvnode.versions import Context, Dot, Siblings


def restless(letter: str, plan: ReplicaPlan) -> QuorumUnmet:
    """The ring changed again and again while a request was under way."""
    why = f"the ring changed {RING_CHANGES_MAX} times meanwhile"
    return QuorumUnmet(letter, need=plan.need, got=0, n=plan.n, definite=letter == "R", why=why)


def out_of_dots(plan: ReplicaPlan, error: NoDots) -> QuorumUnmet:
    """This node can name no write: nothing was sent."""
    need, n = plan.need, plan.n
    return QuorumUnmet("W", need=need, got=0, n=n, definite=True, why=str(error))


def refuse_future(told: Context | None, dot: Dot) -> NoReturn:
    """What the writer was told, or what is held of the key, claims to have seen a write that is issued only now:
    it would be acknowledged, and be gone."""
    if told is not None:
        raise BadRequest(
            f"context: it covers {dot}, which was not issued yet; pass on only what a GET or PUT answered"
        )
    raise Conflict(
        f"the key was written under a context that covers dots not issued yet, such as {dot}: "
        "resolve it with a PUT through another node"
    )


def no_value(key: str, siblings: Siblings, token: str, told: Mapping[str, Any]) -> NotFound:
    """Nothing is there, or nothing but tombstones: then their context is handed out. told: who says so."""
    extra = deleted_extra(siblings, token) if siblings.versions else {}
    return NotFound(f"no value under {key!r}" + (" (deleted)" if extra else ""), **extra, **told)


def refuse_excess(
    held: Siblings, siblings: Siblings, told: Context, known: bytes | None, record: bytes
) -> None:
    """Refuse a write, under the context `told`, that would have more of a key than is kept, and more than there was.

    What is held already, or was handed out, may be read and replaced, however much it is: only growth is refused.
    """
    if len(siblings.versions) > max(SIBLING_COUNT_MAX, len(held.versions)):
        raise Conflict(
            f"key has {len(held.versions)} siblings, at most {SIBLING_COUNT_MAX} are kept: "
            "resolve them with a PUT under the context of a GET"
        )
    if len(record) > max(RECORD_BYTES_MAX, 0 if known is None else len(known)):
        raise Conflict(
            f"the siblings of this key would have {len(record)} bytes, at most {RECORD_BYTES_MAX} are kept: "
            "resolve them with a PUT under the context of a GET"
        )
    if len(record) > CONTEXT_BYTES_MAX // 2:  # else its context cannot be that long
        _refuse_growth(max(held.context.entry_count, told.entry_count), siblings.context)


def _refuse_growth(count_before: int, after: Context) -> None:
    if after.entry_count > count_before and after.bytes_about > CONTEXT_BYTES_MAX:
        raise Conflict(
            f"the context of this key would have {after.entry_count} entries, about {after.bytes_about} bytes; at most"
            f" {CONTEXT_BYTES_MAX} are kept: each restart of a node that had crashed adds one, and in peace, with all"
            " members alive, those that nothing needs any more are taken away (/stats, tombstones); write again then"
        )
