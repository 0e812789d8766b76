"""Refusals of a coordinator that take more than a line to explain."""

from __future__ import annotations

from typing import NoReturn

from kvnode.config import RING_CHANGES_MAX
from kvnode.errors import BadRequest, Conflict, QuorumUnmet
from kvnode.replication.audience import Audience
from kvnode.versions import Context, Dot, Siblings


def restless(letter: str, audience: Audience) -> QuorumUnmet:
    """The ring changed again and again while a request was under way."""
    why = f"the ring changed {RING_CHANGES_MAX} times meanwhile"
    return QuorumUnmet(letter, need=audience.need, got=0, n=audience.n, definite=letter == "R", why=why)


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


def refuse_growth(held: Siblings, siblings: Siblings, bytes_max: int) -> None:
    """Refuse a write that would make the context of its key longer than that, and longer than it was.

    What is held already may be read and replaced, however long its context: only growth is refused.
    """
    before, after = held.context, siblings.context
    if after.entry_count > before.entry_count and after.bytes_about > bytes_max:
        raise Conflict(
            f"the context of this key would have {after.entry_count} entries, about {after.bytes_about} bytes; at most"
            f" {bytes_max} are kept: each restart of a node that had crashed adds one, and in peace, with all members"
            " alive, those that nothing needs any more are taken away (/stats, tombstones); write again then"
        )
