"""What the supervisor's table means: lights and marks, whoever did it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import structs

from kvnode.cluster import NodeInfo
from kvnode.cluster.contract import MembershipChange
from labkit.observe import is_cut_off, joining_node, link_delay_ms, moments, node_facts
from labkit.panels.nodes import opinions
from labkit.samples import sample_from_stats


def info(name: str, **known: Any) -> NodeInfo:
    """A row of the supervisor's table."""
    row = NodeInfo(
        name=name, host="", http_port=9999, peer_port=0, url="", pid=100, process_start="", state="running",
        reason="", since_ms=0, restarts=0, data_dir=Path(), log_file=Path(), rules={},
    )  # fmt: skip
    return structs.replace(row, **known)


def facts(**second: Any):
    """Facts about two nodes, the second one as given."""
    return node_facts([info("node-1"), info("node-2", **second)], None)


def test_each_change_has_its_own_words() -> None:
    running, dead = facts(), facts(state="dead", reason="killed", killed=True, pid=None)
    assert moments(running, dead) == ["node-2 killed"]
    assert moments(dead, facts(state="starting", pid=101)) == []
    assert moments(facts(state="starting", pid=101), facts(pid=101)) == ["node-2 restarted"]
    assert moments(running, facts(state="paused")) == ["node-2 paused"]
    assert moments(facts(state="paused"), running) == ["node-2 resumed"]
    assert moments(facts(state="paused"), facts(pid=101)) == ["node-2 restarted"]
    assert moments(running, facts(state="dead", reason="was ended by SIGSEGV", pid=None)) == ["node-2 dead"]
    assert moments(running, facts(state="failed", reason="port busy", pid=None)) == ["node-2 failed"]
    assert moments(running, facts(pid=101)) == ["node-2 restarted"], "down and up between two looks"
    assert moments(running, running) == []
    assert moments([], running) == [], "the first look is no event"


def test_a_node_is_cut_off_when_all_its_links_are() -> None:
    nodes = [info("node-1", rules={"node-2": {"cut": True}}), info("node-2"), info("node-3")]
    assert not is_cut_off("node-1", nodes)
    alone = [info("node-1", rules={"node-2": {"cut": True}, "node-3": {"cut": True}}), *nodes[1:]]
    assert is_cut_off("node-1", alone)
    assert not is_cut_off("node-2", alone)
    assert not is_cut_off("node-1", [info("node-1")]), "a single node has nobody to be cut off from"
    assert moments(node_facts(nodes, None), node_facts(alone, None)) == ["node-1 cut off"]
    assert moments(node_facts(alone, None), node_facts(nodes, None)) == ["node-1 healed"]


def test_the_delay_of_the_slowest_link_is_shown() -> None:
    assert link_delay_ms([info("node-1")]) == 0
    assert link_delay_ms([info("node-1", rules={"node-2": {"delay_ms": 40.0}}), info("node-2")]) == 40


def test_a_node_that_joins_is_marked_once_it_is_a_member() -> None:
    three = [info("node-1"), info("node-2"), info("node-3")]
    before = node_facts(three, None)
    starting = node_facts([*three, info("node-4", state="starting")], None, joining="node-4")
    joining = node_facts([*three, info("node-4")], None, joining="node-4")
    member = node_facts([*three, info("node-4")], None)
    assert moments(before, starting) == moments(starting, joining) == []
    assert moments(joining, member) == ["node-4 joined"]
    assert moments(before, member) == ["node-4 joined"], "both between two looks"
    assert moments(member, before) == ["node-4 left"]
    assert moments(joining, before) == ["node-4 did not join"]


def test_only_a_join_that_is_under_way_names_a_joining_node() -> None:
    assert joining_node(MembershipChange("join", "node-4")) == "node-4"
    over, leaving = MembershipChange("join", "node-4", finished=True), MembershipChange("leave", "node-4")
    for other in (None, over, leaving):
        assert joining_node(other) == ""


def test_who_says_what_of_a_node_is_told_by_name(stats_at) -> None:
    stats = stats_at(1.0)
    stats["nodes"]["node-2"]["said_by"] = {"node-1": "dead", "node-3": "alive"}
    facts = node_facts([info("node-2")], sample_from_stats(stats, 1.0))[0]
    assert facts.said_by == {"node-1": "dead", "node-3": "alive"}


def test_who_has_died_says_nothing_any_more(stats_at) -> None:
    """1. All nodes are killed. 2. For a second the service still has their last words. 3. The lights said "dead", and
    beside it "peers say alive"."""
    stats = stats_at(1.0)
    for name in ("node-1", "node-2", "node-3"):
        stats["nodes"][name]["said_by"] = dict.fromkeys({"node-1", "node-2", "node-3"} - {name}, "alive")
    sample = sample_from_stats(stats, 1.0)
    dead = [info(name, state="dead") for name in ("node-1", "node-2", "node-3")]
    assert [opinions(facts) for facts in node_facts(dead, sample)] == ["", "", ""]
    one_dead = [info("node-1"), info("node-2", state="dead"), info("node-3")]
    assert [sorted(facts.said_by) for facts in node_facts(one_dead, sample)] == [
        ["node-3"],
        ["node-1", "node-3"],
        ["node-1"],
    ]
