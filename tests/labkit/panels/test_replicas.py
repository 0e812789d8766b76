"""The same key on every replica, side by side."""

from __future__ import annotations

import copy

import pytest

from labkit.panels import ReplicaView
from labkit.panels.replicas import all_agree, in_one_piece, replica_rows, short_clock, short_dot


@pytest.fixture
def view(lab) -> ReplicaView:
    """A view of one tweet on three replicas."""
    lab.put("tweet/1", '{"text": "Hello & welcome"}')
    return ReplicaView(lab, "tweet/1")


def test_each_replica_shows_value_dot_clock_and_times(view) -> None:
    rows = replica_rows(view.replicas)
    assert [row["node"] for row in rows] == ["node-1", "node-2", "node-3"]
    assert rows[0]["value"] == "Hello & welcome"
    assert rows[0]["dot"] == "node-2·3f2a:7"
    assert rows[0]["clock"] == "{node-2·3f2a: 7}"
    assert rows[0]["stored"] != rows[1]["stored"]
    assert "Hello &amp; welcome" in view._table.value
    assert view.agree


def test_replicas_that_differ_or_are_silent_do_not_agree(view) -> None:
    other = copy.deepcopy(view.replicas)
    other[1]["digest"] = "ffff"
    assert not all_agree(other)
    silent = copy.deepcopy(view.replicas)
    silent[2] = {"node": "node-3", "reachable": False, "siblings": [], "digest": None}
    assert not all_agree(silent)
    assert replica_rows(silent)[2]["value"] == "(does not answer)"
    assert not all_agree([])


def test_siblings_take_a_row_each_and_a_missing_key_says_so(view) -> None:
    replicas = copy.deepcopy(view.replicas)
    replicas[0]["siblings"].append({"value": "other", "dot": "node-1.aa:1", "deleted": True})
    replicas[1]["siblings"] = []
    rows = replica_rows(replicas)
    assert [row["node"] for row in rows] == ["node-1", "node-1", "node-2", "node-3"]
    assert rows[1]["value"] == "(deleted)"
    assert rows[2]["value"] == "(has no such key)"


def test_store_ids_are_shortened_but_still_tell_disks_apart() -> None:
    assert short_dot("node-1.3f2a91c205d8b7aa:17") == "node-1·3f2a:17"
    assert short_clock({"node-2.bbbb0000": 2, "node-1.aaaa0000": 1}) == "{node-1·aaaa: 1, node-2·bbbb: 2}"
    assert short_clock({"node-2.ffff0001": 2, "node-1.aaaa0009": 1}) == "{node-1·aaaa: 1, node-2·ffff: 2}"


def test_a_name_is_never_broken_in_two() -> None:
    assert in_one_piece("{node-1·aaaa: 1, node-2·<b>: 2}") == (
        '<code><span style="white-space:nowrap">{node-1·aaaa: 1</span>, '
        '<span style="white-space:nowrap">node-2·&lt;b&gt;: 2}</span></code>'
    )


def test_looking_again_reads_again(lab, view) -> None:
    lab.stored["tweet/1"] = []
    view.button.click()
    assert view.replicas == []
    assert not view.agree
