"""The Twitter workload: seeded, skewed like a real timeline, bounded, and honest about what was stored."""

from __future__ import annotations

import json
from collections import Counter
from random import Random

from traffic.operations import Add, Get, Operation, Put
from traffic.stores.base import GetReply
from traffic.workloads.timeline import LIVE_TWEETS_MAX
from traffic.workloads.twitter import TWEETS_AT_START, Twitter

START_S = 1_790_000_000.0
ANSWER = GetReply("some key", "{}", False, [], {}, "node-1")


def played(seed: int, operations: int, *, rate: float = 50.0) -> tuple[Twitter, list[Operation]]:
    """A run in which everything is acknowledged at once."""
    workload = Twitter(Random(seed), tag="test")
    done: list[Operation] = []
    for index in range(operations):
        now_s = START_S + index / rate
        operation = workload.next_operation(now_s)
        workload.answered(operation, ANSWER, now_s)
        done.append(operation)
    return workload, done


def test_the_same_seed_plays_the_same_operations() -> None:
    assert played(7, 3000)[1] == played(7, 3000)[1]
    assert played(7, 300)[1] != played(8, 300)[1]


def test_every_kind_occurs_and_is_declared() -> None:
    workload, done = played(1, 5000)
    assert {operation.kind for operation in done} == set(workload.kinds)


def test_follow_ups_come_one_for_one() -> None:
    _, done = played(2, 20_000)
    kinds = Counter(operation.kind for operation in done)
    assert abs(kinds["read"] - kinds["view"]) <= 1
    assert abs(kinds["tweet"] + kinds["comment"] - kinds["tally"]) <= 1


def test_popularity_is_skewed_and_finds_hot_keys() -> None:
    _, done = played(3, 40_000)
    likes = Counter(operation.key for operation in done if operation.kind == "like")
    ranked = [count for _, count in likes.most_common()]
    top_tenth = sum(ranked[: max(1, len(ranked) // 10)])
    assert top_tenth > 0.35 * sum(ranked)
    assert ranked[0] > 8 * (sum(ranked) / len(ranked))


def test_recent_tweets_draw_most_of_the_engagement() -> None:
    _, done = played(4, 40_000)
    ages = []
    for index, operation in enumerate(done):
        if operation.kind == "like":
            created_ms = int(operation.key.split("/")[1].split("-")[0])
            ages.append(START_S + index / 50.0 - created_ms / 1000)
    assert sorted(ages)[len(ages) // 2] < 120


def test_the_timeline_is_bounded() -> None:
    workload, _ = played(5, 60_000, rate=500)
    assert workload.active <= LIVE_TWEETS_MAX


def test_nothing_is_done_to_a_tweet_that_was_never_acknowledged() -> None:
    workload = Twitter(Random(6), tag="test")
    for index in range(200):
        assert workload.next_operation(START_S + index).kind == "tweet"
    assert workload.active == 0


def test_a_young_timeline_fills_first() -> None:
    _, done = played(9, TWEETS_AT_START * 2)
    assert [operation.kind for operation in done[::2]] == ["tweet"] * TWEETS_AT_START


def test_tweets_look_as_the_seed_promises() -> None:
    _, done = played(10, 5000)
    for operation in done:
        assert len(operation.key.encode()) <= 512
        if isinstance(operation, Put) and operation.kind == "tweet":
            tweet = json.loads(operation.value)
            assert operation.key == f"tweet/{tweet['tweet_id']}"
            assert 0 < len(tweet["text"]) <= 140
            assert tweet["author"] == operation.persona
            assert tweet["created_at"].startswith("2026-")
        elif isinstance(operation, Add):
            assert operation.key.split("/")[-1] in {"likes", "retweets", "comments", "views", "tweets_total"}
        elif isinstance(operation, Get):
            assert operation.key.count("/") == 1


def test_ids_are_unique_even_within_one_millisecond() -> None:
    workload = Twitter(Random(11), tag="test")
    keys = [workload.next_operation(START_S).key for _ in range(100)]
    assert len(set(keys)) == 100
    assert keys == sorted(keys)
