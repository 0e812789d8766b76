"""Refusals of a coordinator that take more than a line to explain."""

from __future__ import annotations

from typing import NoReturn

from kvnode.config import RING_CHANGES_MAX
from kvnode.errors import BadRequest, Conflict, QuorumUnmet
from kvnode.replication.audience import Audience
from kvnode.requests import Put
from kvnode.versions import Dot


def restless(letter: str, audience: Audience) -> QuorumUnmet:
    """The ring changed again and again while a request was under way."""
    why = f"the ring changed {RING_CHANGES_MAX} times meanwhile"
    return QuorumUnmet(letter, need=audience.need, got=0, n=audience.n, definite=letter == "R", why=why)


def refuse_future(request: Put, dot: Dot) -> NoReturn:
    """A context claims to have seen writes that this store has not issued: somebody made it up."""
    if request.context is not None:
        raise BadRequest(
            f"context: it covers {dot}, which was not issued yet; pass on only what a GET or PUT answered"
        )
    raise Conflict(
        f"the key was written under a context that covers dots not issued yet, such as {dot}: "
        "resolve it with a PUT through another node"
    )
