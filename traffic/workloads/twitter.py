"""The Twitter workload: people post, look, like, retweet and comment.

Here: the choice of the next operation. It knows no HTTP, no nodes and no totals, and is a pure function
of its seeded random generator, the wall times it is given, and what it is told was acknowledged.

One arrival, one operation on the wire. Some actions need two, the second only when the first is
acknowledged: a tweet is put, then counted in `twitter/tweets_total`; a view reads the tweet, then counts
itself; a comment is put, then counted. The follow-ups wait in `_follow_ups` and take the next arrivals,
so the rate on the wire is the rate that was asked for.

Keys: `tweet/{id}`, `tweet/{id}/comment/{n}`; counters `tweet/{id}/likes`, `/retweets`, `/comments`,
`/views` and `twitter/tweets_total`. An id is the wall time in milliseconds and a tag of the process, so
keys sort by time and two processes never write the same tweet.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from random import Random

import msgspec

from traffic.operations import Add, Get, Operation, Put
from traffic.personas import Persona, Population
from traffic.stores.base import Reply
from traffic.workloads.base import Workload
from traffic.workloads.phrases import comment_text, tweet_text
from traffic.workloads.timeline import LiveTweet, Timeline

TWEETS_AT_START = 5
VIRAL_PROBABILITY = 0.4
VIRAL_APPEAL = 4.0
APPEAL_PARETO_SHAPE = 1.6
APPEAL_MAX = 12.0
FOLLOW_UPS_MAX = 10_000
UNANSWERED_TWEETS_MAX = 10_000

_COUNTER_OF = {"like": "likes", "retweet": "retweets"}


class Twitter(Workload):
    """People on a timeline. See the module for keys and rules."""

    name = "twitter"
    kinds: tuple[str, ...] = ("tweet", "like", "retweet", "comment", "view", "read", "tally")

    def __init__(self, random: Random, *, tag: str | None = None) -> None:
        self._random = random
        self._tag = tag or f"{random.getrandbits(16):04x}"
        self._population = Population(random)
        self.timeline = Timeline(random)
        self._last_id_ms = 0
        # Invariant: bounded; each acknowledged operation adds at most one and each arrival takes one.
        self._follow_ups: deque[Operation] = deque(maxlen=FOLLOW_UPS_MAX)
        self._unanswered: dict[str, LiveTweet] = {}

    @property
    def active(self) -> int:
        """How many tweets are live."""
        return len(self.timeline)

    def next_operation(self, now_s: float) -> Operation:
        if self._follow_ups:
            return self._follow_ups.popleft()
        persona = self._population.pick()
        if len(self.timeline) < TWEETS_AT_START:
            # An empty timeline has nothing to like yet; and no tweet is liked before it is acknowledged.
            return self._tweet(persona, now_s)
        action = persona.kind.pick_action(self._random)
        if action == "tweet":
            return self._tweet(persona, now_s)
        tweet = self.timeline.pick(now_s)
        if action == "view":
            return Get(kind="read", persona=persona.handle, key=tweet.key)
        tweet.engagement += 1
        if action == "comment":
            return self._comment(persona, tweet, now_s)
        return Add(kind=action, persona=persona.handle, key=f"{tweet.key}/{_COUNTER_OF[action]}")

    def answered(self, operation: Operation, reply: Reply, now_s: float) -> None:
        if operation.kind == "tweet":
            tweet = self._unanswered.pop(operation.key, None)
            if tweet is not None:
                self.timeline.add(tweet, now_s)
            self._follow_ups.append(
                Add(kind="tally", persona=operation.persona, key="twitter/tweets_total"),
            )
        elif operation.kind == "read" and reply is not None:
            self._follow_ups.append(
                Add(kind="view", persona=operation.persona, key=f"{operation.key}/views"),
            )
        elif operation.kind == "comment":
            counter = operation.key.partition("/comment/")[0] + "/comments"
            self._follow_ups.append(Add(kind="tally", persona=operation.persona, key=counter))

    def _tweet(self, persona: Persona, now_s: float) -> Put:
        created_ms = max(int(now_s * 1000), self._last_id_ms + 1)
        self._last_id_ms = created_ms
        tweet_id = f"{created_ms}-{self._tag}"
        text = tweet_text(self._random)
        appeal = min(self._random.paretovariate(APPEAL_PARETO_SHAPE), APPEAL_MAX) * persona.kind.appeal
        if persona.kind.name == "influencer" and self._random.random() < VIRAL_PROBABILITY:
            appeal *= VIRAL_APPEAL
        if len(self._unanswered) >= UNANSWERED_TWEETS_MAX:  # writes fail for a long time: forget the oldest
            del self._unanswered[next(iter(self._unanswered))]
        tweet = LiveTweet(tweet_id, now_s, appeal)
        self._unanswered[tweet.key] = tweet
        value = _json(
            {
                "tweet_id": tweet_id,
                "author": persona.handle,
                "persona": persona.kind.name,
                "text": text,
                "created_at": datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds"),
            }
        )
        return Put(kind="tweet", persona=persona.handle, key=tweet.key, value=value)

    def _comment(self, persona: Persona, tweet: LiveTweet, now_s: float) -> Put:
        tweet.comments_issued += 1
        value = _json(
            {
                "author": persona.handle,
                "text": comment_text(self._random),
                "created_at": datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds"),
            }
        )
        key = f"{tweet.key}/comment/{tweet.comments_issued}"
        return Put(kind="comment", persona=persona.handle, key=key, value=value)


def _json(value: dict[str, str]) -> str:
    return msgspec.json.encode(value).decode()
