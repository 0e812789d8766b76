"""The active tweets, read from the database at the moment somebody asks.

Here: which tweets, and how one looks to a client. Not here: HTTP.

Which: the live ones of this process, and those that the nodes' key lists show (written by anybody: an
earlier process, or a person who posts a tweet of their own). Ids begin with the time, so the newest keys
are listed by asking from a moment ago, then from longer ago, until there are enough.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, Literal, get_args

from traffic.clock import monotonic
from traffic.generator import Generator
from traffic.service.reading import through_any
from traffic.stores.base import GetReply, NotFound, StoreError

Order = Literal["newest", "popular"]
ORDERS: tuple[Order, ...] = get_args(Order)
WINDOWS_S = (60, 3600, None)  # None: since ever
KEYS_PER_LIST = 1000
READS_AT_ONCE = 16
COUNTERS = ("likes", "retweets", "comments", "views")


async def active_tweets(generator: Generator, limit: int, order: Order = "newest") -> list[dict[str, Any]]:
    """Newest first, or most liked first among the live ones of this process. StoreError if the database
    cannot be read."""
    popular = order == "popular" and generator.twitter.active > 0
    hottest = [tweet.tweet_id for tweet in generator.twitter.timeline.hottest(limit)]
    ids = hottest if popular else await _ids(generator, limit)
    room = asyncio.Semaphore(READS_AT_ONCE)
    tweets = await asyncio.gather(*(_tweet(generator, tweet_id, room) for tweet_id in ids))
    found = [tweet for tweet in tweets if tweet is not None]
    if popular:
        return sorted(found, key=lambda tweet: int(tweet["likes"]), reverse=True)
    return sorted(found, key=lambda tweet: str(tweet["created_at"]), reverse=True)


async def _ids(generator: Generator, limit: int) -> list[str]:
    ids = {tweet.tweet_id for tweet in generator.twitter.timeline.newest(limit)}
    for window_s in WINDOWS_S:
        after = "tweet/" if window_s is None else f"tweet/{int((time.time() - window_s) * 1000)}"
        listed = await asyncio.gather(*(_listed(generator, node, after) for node in generator.store.nodes))
        if all(keys is None for keys in listed) and not ids:
            raise StoreError("every node", "no node could list its keys", definite=True)
        ids |= {key.split("/")[1] for keys in listed for key in keys or [] if key.count("/") == 1}
        if len(ids) >= limit:
            break
    return sorted(ids, reverse=True)[:limit]


async def _listed(generator: Generator, node: str, after: str) -> list[str] | None:
    """Tweet and comment keys that this node holds; None if it does not say."""
    if not generator.nodes.nodes[node].believed(monotonic()):
        return None
    try:
        return await generator.store.keys(node, prefix="tweet/", after=after, limit=KEYS_PER_LIST)
    except StoreError:
        return None


async def _tweet(generator: Generator, tweet_id: str, room: asyncio.Semaphore) -> dict[str, Any] | None:
    store, nodes, r = generator.store, generator.nodes, generator.drivers["twitter"].settings.r
    key = f"tweet/{tweet_id}"
    async with room:
        try:
            reply = await through_any(nodes, lambda node: store.get(node, key, r=r))
        except NotFound:
            return None
        counts = {name: await _count(generator, f"{key}/{name}", r) for name in COUNTERS}
    told = _told(reply)
    return {
        "tweet_id": tweet_id,
        "author": told.get("author"),
        "text": told.get("text"),
        "created_at": told.get("created_at"),
        **counts,
        "node": reply.siblings[0].node if reply.siblings else reply.node,
        "vector_clock": reply.vector_clock,
        "conflict": reply.conflict,
    }


async def _count(generator: Generator, key: str, r: int) -> int:
    reply = await through_any(generator.nodes, lambda node: generator.store.counter(node, key, r=r))
    return reply.value


def _told(reply: GetReply) -> dict[str, Any]:
    """The tweet as its author wrote it: a JSON text, or already an object, or whatever somebody put there."""
    value = reply.value
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {"text": value}
    return value if isinstance(value, dict) else {"text": str(value)}
