"""The Twitter workload: seeded, skewed like a real timeline, bounded, and honest about what was stored."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from itertools import pairwise
from random import Random
from typing import Any

from traffic.operations import Add, Get, Operation, Put
from traffic.stores.base import GetReply
from traffic.stores.memory import MemoryStore
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


def test_a_viral_tweet_makes_a_hot_key_and_fades() -> None:
    workload, done = played(12, 60_000, rate=200)
    assert workload.counts()["viral_tweets"] >= 5
    windows: list[float] = []
    for start in range(0, len(done), 400):  # two seconds each
        keys = Counter(
            operation.key.split("/")[1] for operation in done[start : start + 400] if operation.kind == "like"
        )
        windows.append(max(keys.values(), default=0) / max(sum(keys.values()), 1))
    assert max(windows) > 0.6  # at the height of a burst most likes go to one tweet
    assert sorted(windows)[len(windows) // 2] < 0.45  # and normally they do not


def test_a_burst_is_a_share_of_the_traffic_at_any_rate() -> None:
    for rate in (20, 200, 2000):
        workload, done = played(13, int(120 * rate), rate=rate)
        share = workload.counts()["viral_visits"] / len(done)
        assert 0.03 < share < 0.5, f"{share} at {rate} operations/s"


def test_casual_users_do_several_things_in_a_row() -> None:
    workload, done = played(14, 30_000, rate=50)
    people = workload._population.personas
    casual = {persona.handle for persona in people if persona.kind.name == "casual"}
    acted_s: dict[str, list[float]] = {}
    for index, operation in enumerate(done):
        if operation.persona in casual and operation.kind in {"like", "retweet", "read", "comment"}:
            acted_s.setdefault(operation.persona, []).append(index / 50)
    close = sum(later - earlier < 8 for moments in acted_s.values() for earlier, later in pairwise(moments))
    assert close > 0.6 * sum(len(moments) for moments in acted_s.values())


def test_everybody_acts_from_home() -> None:
    workload, done = played(15, 5000)
    home = {persona.handle: persona.region for persona in workload._population.personas}
    assert all(operation.region == home[operation.persona] for operation in done)


def test_with_the_bug_likes_are_read_and_put_back() -> None:
    workload = Twitter(Random(16), tag="test", bugs=frozenset({"rmw-likes"}))
    likes: list[Operation] = []
    for index in range(5000):
        now_s = START_S + index / 50
        operation = workload.next_operation(now_s)
        answer = GetReply(operation.key, "41", False, [], {}, "node-1")
        workload.answered(operation, answer, now_s)
        likes += [operation] if operation.kind == "like" else []
    assert likes
    assert all(isinstance(like, Put) and like.value == "42" for like in likes)
    assert all(like.key.endswith("/likes-rmw") for like in likes)


def whole_run(in_virtual_time: Any, bench_of: Any, *, bugs: frozenset[str], forgetful: bool = False) -> Any:
    """20 s over the store in memory, while a node dies and comes back; the likes' verdict and the counts."""

    async def main() -> Any:
        store = MemoryStore(latency_s=0.01)
        workload = Twitter(Random(17), tag="test", bugs=bugs)
        async with bench_of(workload, store, rate=100) as bench:
            await asyncio.sleep(8)
            store.dead = {"node-2"}
            await asyncio.sleep(4)
            store.dead = set()
            store.forgetful = forgetful
            await asyncio.sleep(8)
            bench.driver.stop()
            assert await bench.driver.drained(10)
            (verdict,) = await workload.check(bench.write_ledger.reads)
            return verdict, bench.recorder.ok["like"], await bench.write_ledger.check()

    return in_virtual_time(main)


def test_likes_are_exact_though_a_node_dies(in_virtual_time: Any, bench_of: Any) -> None:
    verdict, likes, ledger = whole_run(in_virtual_time, bench_of, bugs=frozenset())
    assert (verdict.status, verdict.lost, verdict.acknowledged) == ("ok", 0, likes)
    assert ledger.status == "ok"


def test_read_modify_write_loses_likes_that_the_database_never_lost(
    in_virtual_time: Any, bench_of: Any
) -> None:
    verdict, likes, ledger = whole_run(in_virtual_time, bench_of, bugs=frozenset({"rmw-likes"}))
    assert verdict.status == "violated"
    assert 0 < verdict.lost < likes == verdict.acknowledged
    assert verdict.evidence
    assert ledger.status == "ok"  # every put was kept: the mistake is the application's


def test_a_forgetful_store_is_seen_in_the_likes(in_virtual_time: Any, bench_of: Any) -> None:
    verdict, _, _ = whole_run(in_virtual_time, bench_of, bugs=frozenset(), forgetful=True)
    assert verdict.status == "violated"
