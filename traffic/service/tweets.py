"""A tweet that somebody posts by hand, and how it comes to each replica.

Here: one real quorum write, and what every replica says it holds of it.
Must not live here: HTTP (cluster_api.py).

Arrival times are the database's own: each replica remembers when it had made a record durable, and the coordinator when
it took the write. On one machine all nodes share one clock, so that the difference is a time that has passed. A replica
that was down tells how much later it got the tweet, by a hint or a repair. Where somebody has set the clock of one of
the two wrong, no time is told: the difference would be that of the clocks.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import msgspec

from traffic.clock import monotonic
from traffic.control.generator import Generator
from traffic.operations import Put
from traffic.service.listing import reading_quorum
from traffic.service.reading import through_any
from traffic.stores.base import NotFound, PutReply, ReplicaSeen, Sibling, StoreError

TEXT_MAX = 280
AUTHOR_MAX = 40
ATTEMPTS_MAX = 3


async def post(generator: Generator, text: str, author: str) -> dict[str, Any]:
    """Written by the quorum of the Twitter world, and noted like every other write. StoreError: it failed."""
    now_s = time.time()
    tweet_id = f"{int(now_s * 1000)}-{secrets.token_hex(3)}"
    tweet = {
        "tweet_id": tweet_id,
        "author": author,
        "persona": "you",
        "text": text,
        "created_at": datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds"),
    }
    began_s = monotonic()
    reply = await _written(generator, f"tweet/{tweet_id}", msgspec.json.encode(tweet).decode())
    return {
        "success": True,
        "tweet_id": tweet_id,
        "key": reply.key,
        "node": reply.node,
        "dot": reply.dot,
        "vector_clock": reply.vector_clock,
        "w": reply.w,
        "acknowledged_by": reply.acknowledged_by,
        "latency_ms": round((monotonic() - began_s) * 1000, 3),
    }


async def _written(generator: Generator, key: str, value: str) -> PutReply:
    """Through another node after a definite failure; an indefinite one may be there already, so that ends it."""
    put = Put(kind="tweet", persona="you", key=key, value=value)
    request = generator.by_hand.request(put, monotonic())
    tried: list[str] = []
    while True:
        node = generator.nodes.choose(tried)
        if node is None:
            raise StoreError("every node", "no node is known", definite=True)
        tried.append(node)
        try:
            reply = await generator.by_hand.attempt(request, node, monotonic())
        except StoreError as error:
            if not error.definite or len(tried) == min(ATTEMPTS_MAX, len(generator.store.nodes)):
                raise
        else:
            assert isinstance(reply, PutReply)
            return reply


async def follow(generator: Generator, tweet_id: str) -> dict[str, Any]:
    """What each replica holds of it now. NotFound: those that answer have no such tweet. StoreError: nobody answers."""
    key = f"tweet/{tweet_id}"
    replicas = await through_any(generator.nodes, lambda node: generator.store.seen_by_replicas(node, key))
    seen = [_seen(replica, _wrong_clocks(generator)) for replica in replicas]
    if not any(one["has_it"] for one in seen) and all(one["reachable"] for one in seen):
        raise NotFound("every node", f"there is no tweet {tweet_id!r}")
    return {
        "success": True,
        "tweet_id": tweet_id,
        "key": key,
        "r": reading_quorum(generator, "twitter"),
        "arrived": sum(one["has_it"] for one in seen),
        "replicas": seen,
    }


def _wrong_clocks(generator: Generator) -> set[str]:
    """The nodes whose clocks are set wrong on purpose, as far as a supervisor tells."""
    state = generator.supervisor.state()
    return {node.name for node in state.nodes if node.clock_skew_ms} if state else set()


def _seen(replica: ReplicaSeen, wrong_clocks: Collection[str]) -> dict[str, Any]:
    version: Sibling | None = next((one for one in replica.siblings if not one.deleted), None)
    arrived_ms = None
    if version is not None and replica.stored_at is not None:
        is_told = not {replica.node, version.node} & set(wrong_clocks)
        arrived_ms = round(replica.stored_at - version.timestamp, 3) if is_told else None
    return {
        "node": replica.node,
        "reachable": replica.reachable,
        "has_it": version is not None,
        "arrived_ms": arrived_ms,
        "coordinator": version.node if version else None,
        "dot": version.dot if version else None,
        "vector_clock": version.vector_clock if version else {},
        "versions": len(replica.siblings),
    }
