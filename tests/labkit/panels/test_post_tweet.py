"""A tweet of one's own: posted once, its arrival at each replica told in milliseconds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from labkit.panels import PostTweet
from labkit.panels.post_tweet import new_tweet, stored_times


def test_posting_shows_when_each_replica_had_it(lab) -> None:
    panel = PostTweet(lab, "Hello <b>class</b>")
    assert panel.key is None
    panel.button.click()
    assert panel.arrivals_ms == {"node-1": 1.0, "node-2": 2.0, "node-3": 3.0}
    assert panel.arrived_everywhere
    assert json.loads(lab.stored[panel.key][0]["siblings"][0]["value"])["text"] == "Hello <b>class</b>"


def test_an_empty_box_is_refused_with_a_sentence(lab) -> None:
    panel = PostTweet(lab, "   ")
    lab.hold = []
    panel.button.click()
    try:
        lab.hold.pop()()
    except ValueError as error:
        assert "write something first" in str(error)
    else:
        raise AssertionError("an empty tweet was posted")
    assert lab.stored == {}


def test_a_tweet_has_the_seeds_shape_and_its_own_key() -> None:
    key, value = new_tweet("hi")
    assert key == "tweet/" + json.loads(value)["tweet_id"]
    assert new_tweet("hi")[0] != key


def test_a_replica_without_the_write_or_with_another_one_counts_as_not_there() -> None:
    replicas: list[Mapping[str, Any]] = [
        {"node": "node-1", "stored_at": 5, "siblings": [{"dot": "a:1"}]},
        {"node": "node-2", "stored_at": 4, "siblings": [{"dot": "a:0"}]},
        {"node": "node-3", "siblings": []},
        {"node": "node-4", "stored_at": None, "siblings": [{"dot": "a:1"}]},
    ]
    assert stored_times(replicas, "a:1") == {"node-1": 5.0, "node-2": None, "node-3": None, "node-4": None}
