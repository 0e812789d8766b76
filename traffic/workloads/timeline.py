"""The live timeline: which tweets people can see now, and how strongly each one draws them.

Here: a bounded list of tweets and a weighted draw from it.
Must not live here: operations, personas, stores.

How popularity arises, as on a real timeline: a tweet's weight is recency × appeal × (1 + engagement)^0.5.
The last factor is preferential attachment (Barabási and Albert, 1999): what is seen is liked, what is
liked is seen. With appeals from a Pareto distribution the result is a Zipf-like skew: few tweets take
most of the engagement, so the database meets hot keys.
"""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass
from itertools import accumulate
from random import Random

LIVE_TWEETS_MAX = 200
RECENCY_HALF_LIFE_S = 45.0
RECENCY_FLOOR = 0.01
ATTACHMENT_EXPONENT = 0.5
REWEIGH_EVERY_S = 0.5


@dataclass(slots=True)
class LiveTweet:
    """A tweet that the database has acknowledged and that people still see."""

    tweet_id: str
    created_s: float
    appeal: float
    engagement: int = 0
    comments_issued: int = 0

    @property
    def key(self) -> str:
        return f"tweet/{self.tweet_id}"

    def weight(self, now_s: float) -> float:
        age_s = max(now_s - self.created_s, 0.0)
        recency: float = 0.5 ** (age_s / RECENCY_HALF_LIFE_S) + RECENCY_FLOOR
        attachment: float = (1.0 + self.engagement) ** ATTACHMENT_EXPONENT
        return recency * self.appeal * attachment


class Timeline:
    """At most LIVE_TWEETS_MAX tweets; whoever draws nobody's eye any more makes room."""

    def __init__(self, random: Random, tweets_max: int = LIVE_TWEETS_MAX) -> None:
        self._random = random
        self._tweets_max = tweets_max
        # Invariant: the three lists belong together; weights are as of `_weighed_s`, or younger.
        self._tweets: list[LiveTweet] = []
        self._weights: list[float] = []
        self._cumulative: list[float] = []
        self._weighed_s = float("-inf")

    def __len__(self) -> int:
        return len(self._tweets)

    def newest(self, limit: int) -> list[LiveTweet]:
        """Live tweets, newest first."""
        return sorted(self._tweets, key=lambda tweet: (tweet.created_s, tweet.tweet_id), reverse=True)[:limit]

    def hottest(self, limit: int) -> list[LiveTweet]:
        """Live tweets, the most engaged with first."""
        return sorted(self._tweets, key=lambda tweet: (tweet.engagement, tweet.created_s), reverse=True)[
            :limit
        ]

    def add(self, tweet: LiveTweet, now_s: float) -> None:
        if len(self._tweets) >= self._tweets_max:
            dullest = self._weights.index(min(self._weights))
            del self._tweets[dullest], self._weights[dullest]
        self._tweets.append(tweet)
        self._weights.append(tweet.weight(now_s))
        self._cumulative = list(accumulate(self._weights))

    def pick(self, now_s: float) -> LiveTweet:
        """A tweet that somebody looks at now. Weights are as of the last half second: a draw costs one
        bisection."""
        if now_s - self._weighed_s >= REWEIGH_EVERY_S or now_s < self._weighed_s:
            self._weights = [tweet.weight(now_s) for tweet in self._tweets]
            self._cumulative = list(accumulate(self._weights))
            self._weighed_s = now_s
        index = bisect(self._cumulative, self._random.random() * self._cumulative[-1])
        return self._tweets[min(index, len(self._tweets) - 1)]
