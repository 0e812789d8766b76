"""The active tweets, read from the database at the moment somebody asks.

Here: which tweets, and how one looks to a client.
Must not live here: HTTP.

Which: the live ones of this process, and those that the nodes' key lists show (written by anybody: another
process, one before, or a person who posts a tweet of their own). Ids begin with the time, so the newest keys
are listed by asking from a moment ago, then from longer ago, until there are enough.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Literal, get_args

from traffic.control.generator import Generator
from traffic.service.listing import counter, held_keys, nobody_lists, told, value

Order = Literal["newest", "popular"]
ORDERS: tuple[Order, ...] = get_args(Order)
WINDOWS_S = (60, 3600, None)  # None: since ever
READS_AT_ONCE = 16
POPULAR_AMONG = 60
COUNTERS = ("likes", "retweets", "comments", "views")


async def active_tweets(generator: Generator, limit: int, order: Order = "newest") -> list[dict[str, Any]]:
    """Newest first, or most liked first among those that people see now. StoreError if the database cannot
    be read."""
    popular = order == "popular"
    if popular and generator.twitter.active:
        ids = [tweet.tweet_id for tweet in generator.twitter.timeline.hottest(limit)]
    else:  # this process posts nothing (others do, or nobody): by the likes of the newest ones
        ids = await _ids(generator, max(limit, POPULAR_AMONG) if popular else limit)
    room = asyncio.Semaphore(READS_AT_ONCE)
    tweets = await asyncio.gather(*(_tweet(generator, tweet_id, room) for tweet_id in ids))
    found = [tweet for tweet in tweets if tweet is not None]
    if popular:
        return sorted(found, key=lambda tweet: int(tweet["likes"]), reverse=True)[:limit]
    return sorted(found, key=lambda tweet: str(tweet["created_at"]), reverse=True)


async def _ids(generator: Generator, limit: int) -> list[str]:
    ids = {tweet.tweet_id for tweet in generator.twitter.timeline.newest(limit)}
    for window_s in WINDOWS_S:
        after = "tweet/" if window_s is None else f"tweet/{int((time.time() - window_s) * 1000)}"
        keys = await held_keys(generator, "tweet/", after=after)
        if keys is None and not ids:
            raise nobody_lists()
        ids |= {key.split("/")[1] for key in keys or () if key.count("/") == 1}
        if len(ids) >= limit:
            break
    return sorted(ids, reverse=True)[:limit]


async def _tweet(generator: Generator, tweet_id: str, room: asyncio.Semaphore) -> dict[str, Any] | None:
    r = generator.drivers["twitter"].settings.r
    key = f"tweet/{tweet_id}"
    async with room:
        reply = await value(generator, key, r)
        if reply is None:
            return None
        counts = {name: (await counter(generator, f"{key}/{name}", r)).value for name in COUNTERS}
    tweet = told(reply.value)
    return {
        "tweet_id": tweet_id,
        "author": tweet.get("author"),
        "text": tweet.get("text"),
        "created_at": tweet.get("created_at"),
        **counts,
        "node": reply.siblings[0].node if reply.siblings else reply.node,
        "vector_clock": reply.vector_clock,
        "conflict": reply.conflict,
    }
