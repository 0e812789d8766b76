"""A tweet of one's own: one real write, followed to each replica."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from traffic.stores.memory import MemoryStore

TWEETS = "/api/real/twitter/tweets"


def posted(client: TestClient, **draft: Any) -> Any:
    answer = client.post(TWEETS, json={"text": "hello", **draft})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_it_is_stored_and_listed_first(client: TestClient, store: MemoryStore) -> None:
    answer = posted(client, text="  hello from the classroom ", author="Alice")
    stored = json.loads(store.values[answer["key"]][0].value)
    assert (stored["text"], stored["author"]) == ("hello from the classroom", "Alice")
    assert (answer["w"], answer["node"] in store.nodes, bool(answer["vector_clock"])) == (2, True, True)
    newest = client.get("/api/real/twitter/active_tweets?limit=1").json()["tweets"][0]
    assert (newest["tweet_id"], newest["author"]) == (answer["tweet_id"], "Alice")


def test_every_replica_says_when_it_had_it(client: TestClient, store: MemoryStore) -> None:
    tweet_id = posted(client)["tweet_id"]
    store.dead = {"node-3"}
    seen = client.get(f"{TWEETS}/{tweet_id}").json()
    assert seen["arrived"] == 2
    by_node = {one["node"]: one for one in seen["replicas"]}
    assert by_node["node-1"]["arrived_ms"] == pytest.approx(2, abs=0.01)
    assert by_node["node-1"]["vector_clock"]
    assert (by_node["node-3"]["reachable"], by_node["node-3"]["has_it"]) == (False, False)


def test_where_a_clock_is_wrong_no_time_is_told(guarded: TestClient, supervisor: Any) -> None:
    """1. The clock of node-3 is set 5 s ahead. 2. The page said that the tweet came there after 5002 ms."""
    supervisor.writes(node_3={"clock_skew_ms": 5000.0})
    answer = posted(guarded)
    seen = {one["node"]: one for one in guarded.get(f"{TWEETS}/{answer['tweet_id']}").json()["replicas"]}
    assert all(one["has_it"] for one in seen.values())
    for node, one in seen.items():
        assert (one["arrived_ms"] is None) == ("node-3" in (node, one["coordinator"])), one
    assert seen["node-3"]["arrived_ms"] is None


def test_it_counts_among_the_acknowledged_writes(client: TestClient, store: MemoryStore) -> None:
    store.forgetful = True
    posted(client)
    store.forgetful = False
    verdict = client.post("/api/real/traffic/check").json()
    assert (verdict["status"], verdict["lost"]) == ("violated", 1)


def test_it_goes_through_another_node_when_one_is_dead(client: TestClient, store: MemoryStore) -> None:
    store.dead = {"node-1", "node-2"}
    assert {posted(client)["node"] for _ in range(4)} == {"node-3"}


def test_all_dead_is_a_definite_503(client: TestClient, store: MemoryStore) -> None:
    store.dead = set(store.nodes)
    answer = client.post(TWEETS, json={"text": "hello"})
    assert (answer.status_code, answer.json()["definite"]) == (503, True)
    assert client.get(f"{TWEETS}/1").status_code == 503


def test_markup_is_only_text(client: TestClient) -> None:
    text = "<script>alert(1)</script>"
    posted(client, text=text, author="<b>Bob")
    newest = client.get("/api/real/twitter/active_tweets?limit=1").json()["tweets"][0]
    assert (newest["text"], newest["author"]) == (text, "<b>Bob")


@pytest.mark.parametrize(
    ("draft", "says"),
    [
        (None, "expected a JSON body"),
        ({}, "missing required field `text`"),
        ({"text": " "}, "1 to 280 letters, got 0"),
        ({"text": "x" * 281}, "1 to 280 letters, got 281"),
        ({"text": "x", "author": ""}, "an author has 1 to 40 letters, got 0"),
        ({"text": 3}, "Expected `str`"),
        ({"text": "x", "node": "node-1"}, "unknown field `node`"),
    ],
)
def test_bad_drafts_are_named(client: TestClient, draft: Any, says: str) -> None:
    answer = client.post(TWEETS, json=draft) if draft is not None else client.post(TWEETS)
    assert (answer.status_code, says in answer.json()["detail"]) == (400, True), answer.text


def test_a_tweet_that_is_not_there_is_a_404(client: TestClient) -> None:
    assert client.get(f"{TWEETS}/none").status_code == 404
    assert client.get(f"{TWEETS}/{'x' * 300}").status_code == 400
