"""The Twitter workload: people post, look, like, retweet and comment.

Here: the choice of the next operation. It knows no HTTP, no nodes and no totals, and is a pure function
of its seeded random generator, the wall times it is given, and what it is told was acknowledged.

One arrival, one operation on the wire. Some actions need two, the second only when the first is
acknowledged: a tweet is put, then counted in `twitter/tweets_total`; a view reads the tweet, then counts
itself; a comment is put, then counted. Such follow-ups take the next arrivals, so the rate on the wire is
the rate that was asked for. After them come visitors of tweets that go viral (cascades.py), then casual users
who are not done yet, and only then somebody new (personas.py).

Keys: `tweet/{id}`, `tweet/{id}/comment/{n}`; counters `tweet/{id}/likes`, `/retweets`, `/comments`,
`/views` and `twitter/tweets_total`; with the bug "rmw-likes" (likes.py) values `tweet/{id}/likes-rmw`
instead of the counters of likes. An id is the wall time in milliseconds and a tag of the process, so
keys sort by time and two processes never write the same tweet.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from math import exp
from random import Random
from typing import Any

import msgspec

from kvnode.checkers import Verdict
from traffic.operations import Add, Get, Operation, Put
from traffic.stores.base import Reply
from traffic.workloads.base import Workload
from traffic.workloads.cascades import Cascades
from traffic.workloads.follow_ups import FollowUps
from traffic.workloads.likes import Likes
from traffic.workloads.personas import Persona, Population
from traffic.workloads.phrases import comment_text, tweet_text
from traffic.workloads.reading import Reads
from traffic.workloads.timeline import LiveTweet, Timeline

TWEETS_AT_START = 5
VIRAL_PROBABILITY = 0.4
VIRAL_APPEAL = 4.0
VIRAL_FIRST_MIN = 8
VIRAL_FIRST_MAX = 2_000
VIRAL_FIRST_S = 0.5  # so many seconds' worth of traffic come by themselves when a tweet goes viral
VIRAL_SHARE_MAX = 0.7  # of the arrivals: however viral, other people do other things too
VIRAL_EVERY_S_MIN = 15.0  # so that one burst can be told from the next
VISITOR_ACTIONS = ("like", "retweet", "view")
VISITOR_WEIGHTS = (65, 20, 15)
PAUSE_S_MEAN = 1.5  # between the actions of somebody who takes several in a row
PACE_S = 2.0  # over which the pace of the arrivals is averaged
APPEAL_PARETO_SHAPE = 1.6
APPEAL_MAX = 12.0
FOLLOW_UPS_MAX = 10_000
UNANSWERED_TWEETS_MAX = 10_000

_COUNTER_OF = {"like": "likes", "retweet": "retweets"}


class Twitter(Workload):
    """People on a timeline. See the module for keys and rules."""

    name = "twitter"
    kinds: tuple[str, ...] = ("tweet", "like", "retweet", "comment", "view", "read", "tally")
    bugs_known = ("rmw-likes",)

    def __init__(self, random: Random, *, tag: str | None = None, bugs: frozenset[str] = frozenset()) -> None:
        self._random = random
        self._tag = tag or f"{random.getrandbits(16):04x}"
        self.bugs = bugs
        self._population = Population(random)
        self.read_share: float | None = None  # of what people do; None: by habit
        self.timeline = Timeline(random)
        self.cascades = Cascades(random)
        self.likes = Likes(random)
        self._last_id_ms = 0
        self._steps: FollowUps[Operation] = FollowUps(FOLLOW_UPS_MAX)
        self._staying: FollowUps[Persona] = FollowUps(FOLLOW_UPS_MAX)
        self._unanswered: dict[str, LiveTweet] = {}
        self._going_viral: set[str] = set()  # keys of unanswered tweets that will
        self._went_viral_s = float("-inf")
        self._pace = 0.0  # operations/s, lately
        self._paced_s = 0.0

    @property
    def active(self) -> int:
        """How many tweets are live."""
        return len(self.timeline)

    def counts(self) -> dict[str, int]:
        return {
            "viral_tweets": self.cascades.ignited,
            "viral_visits": self.cascades.visits,
            "viral_visitors_on_their_way": self.cascades.pending,
            "likes_lost": self.likes.lost,
        }

    def change_habits(
        self, *, personas: Mapping[str, float] | None = None, read_share: float | None = None
    ) -> None:
        if read_share is not None and not 0 <= read_share <= 1:
            raise ValueError(f"read_share must be between 0 and 1, got {read_share:g}")
        self._population.make_busy(personas or {})
        if read_share is not None:
            self.read_share = read_share

    def people(self) -> list[dict[str, Any]]:
        return self._population.people()

    def homes(self) -> Mapping[str, int]:
        return self._population.homes()

    async def check(self, reads: Reads) -> list[Verdict]:
        return [await self.likes.check(reads)] if self.likes.any else []

    # --- what happens next --------------------------------------------------------------------------------

    def next_operation(self, now_s: float) -> Operation:
        self._note_pace(now_s)
        step = self._steps.due(now_s)
        if step is not None:
            return step
        if len(self.timeline) < TWEETS_AT_START:
            # An empty timeline has nothing to like yet; and no tweet is liked before it is acknowledged.
            return self._tweet(self._population.pick(), now_s)
        if self.cascades.pending and self._random.random() < VIRAL_SHARE_MAX:
            key = self.cascades.visit(now_s)
            if key is not None:
                return self._visit(key)
        persona = self._staying.due(now_s) or self._newcomer(now_s)
        action = self._action(persona)
        if action == "tweet":
            return self._tweet(persona, now_s)
        tweet = self.timeline.pick(now_s)
        if action == "comment":
            tweet.engagement += 1
            return self._comment(persona, tweet, now_s)
        if action != "view":
            tweet.engagement += 1
        return self._engage(persona, tweet.key, action)

    def _action(self, persona: Persona) -> str:
        """By habit; with a read share that is set, looking as often as that says, and otherwise by habit."""
        if self.read_share is None:
            return persona.kind.pick_action(self._random)
        if self._random.random() < self.read_share:
            return "view"
        actions = {action: weight for action, weight in persona.kind.actions.items() if action != "view"}
        return self._random.choices(list(actions), list(actions.values()))[0]

    def _newcomer(self, now_s: float) -> Persona:
        """Somebody comes, and plans what else to do before leaving (a geometric number of actions)."""
        persona = self._population.pick()
        due_s = now_s
        while self._random.random() < 1 - 1 / persona.kind.burst:
            due_s += self._random.expovariate(1 / PAUSE_S_MEAN)
            self._staying.add(persona, due_s)
        return persona

    def _visit(self, key: str) -> Operation:
        """Somebody whom a viral tweet has drawn."""
        action = self._random.choices(VISITOR_ACTIONS, VISITOR_WEIGHTS)[0]
        return self._engage(self._population.pick(), key, action)

    def _engage(self, persona: Persona, tweet: str, action: str) -> Operation:
        self._population.acted[persona.kind.name] += 1
        handle, region = persona.handle, persona.region
        if action == "view":
            return Get(kind="read", persona=handle, key=tweet, region=region, session=handle)
        if action == "like":
            return self.likes.first_step(tweet, persona, wrong="rmw-likes" in self.bugs)
        key = f"{tweet}/{_COUNTER_OF[action]}"
        return Add(kind=action, persona=handle, key=key, region=region, session=handle)

    # --- how it ended -------------------------------------------------------------------------------------

    def answered(self, operation: Operation, reply: Reply, now_s: float) -> None:
        if operation.kind == "like":
            self.likes.acknowledged(operation, reply)
        elif operation.kind == "tweet":
            self._tweeted(operation, now_s)
        elif operation.kind == "read":
            second = self.likes.second_step(operation, reply, now_s)
            if second is not None:
                self._steps.add(*second)
            elif reply is not None:
                self._count("view", operation, f"{operation.key}/views", now_s)
        elif operation.kind == "comment":
            tweet = operation.key.partition("/comment/")[0]
            self._count("tally", operation, f"{tweet}/comments", now_s)

    def failed(self, operation: Operation, *, definite: bool, now_s: float) -> None:
        if operation.kind == "tweet":
            self._unanswered.pop(operation.key, None)
            self._going_viral.discard(operation.key)

    def _tweeted(self, operation: Operation, now_s: float) -> None:
        tweet = self._unanswered.pop(operation.key, None)
        if tweet is not None:
            self.timeline.add(tweet, now_s)
        viral = operation.key in self._going_viral
        self._going_viral.discard(operation.key)
        if viral and not 0 <= now_s - self._went_viral_s < VIRAL_EVERY_S_MIN:
            self._went_viral_s = now_s
            first = min(max(int(self._pace * VIRAL_FIRST_S), VIRAL_FIRST_MIN), VIRAL_FIRST_MAX)
            self.cascades.ignite(operation.key, now_s, first=first)
        self._count("tally", operation, "twitter/tweets_total", now_s)

    def _count(self, kind: str, operation: Operation, key: str, now_s: float) -> None:
        """Next, add one to the counter `key`, as the same persona."""
        persona, region, session = operation.persona, operation.region, operation.session
        self._steps.add(Add(kind=kind, persona=persona, key=key, region=region, session=session), now_s)

    def _note_pace(self, now_s: float) -> None:
        """Arrivals a second, exponentially averaged: each counts 1 / PACE_S and fades over PACE_S."""
        faded = exp(-max(now_s - self._paced_s, 0.0) / PACE_S)
        self._pace = self._pace * faded + 1 / PACE_S
        self._paced_s = now_s

    # --- what is written ----------------------------------------------------------------------------------

    def _tweet(self, persona: Persona, now_s: float) -> Put:
        self._population.acted[persona.kind.name] += 1
        created_ms = max(int(now_s * 1000), self._last_id_ms + 1)
        self._last_id_ms = created_ms
        tweet_id = f"{created_ms}-{self._tag}"
        text = tweet_text(self._random)
        appeal = min(self._random.paretovariate(APPEAL_PARETO_SHAPE), APPEAL_MAX) * persona.kind.appeal
        viral = persona.kind.name == "influencer" and self._random.random() < VIRAL_PROBABILITY
        if viral:
            appeal *= VIRAL_APPEAL
        if len(self._unanswered) >= UNANSWERED_TWEETS_MAX:  # writes fail for a long time: forget the oldest
            oldest = next(iter(self._unanswered))
            del self._unanswered[oldest]
            self._going_viral.discard(oldest)
        tweet = LiveTweet(tweet_id, now_s, appeal)
        self._unanswered[tweet.key] = tweet
        if viral:
            self._going_viral.add(tweet.key)
        value = _json(
            {
                "tweet_id": tweet_id,
                "author": persona.handle,
                "persona": persona.kind.name,
                "text": text,
                "created_at": datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds"),
            }
        )
        return _put("tweet", persona, tweet.key, value)

    def _comment(self, persona: Persona, tweet: LiveTweet, now_s: float) -> Put:
        self._population.acted[persona.kind.name] += 1
        tweet.comments_issued += 1
        value = _json(
            {
                "author": persona.handle,
                "text": comment_text(self._random),
                "created_at": datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds"),
            }
        )
        key = f"{tweet.key}/comment/{tweet.comments_issued}"
        return _put("comment", persona, key, value)


def _put(kind: str, persona: Persona, key: str, value: str) -> Put:
    handle, region = persona.handle, persona.region
    return Put(kind=kind, persona=handle, key=key, value=value, region=region, session=handle)


def _json(value: dict[str, str]) -> str:
    return msgspec.json.encode(value).decode()
