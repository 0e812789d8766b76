"""Faults as values: what a plan says of each link, and what a command may ask for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.cluster.contract import Bandwidth, Delay, groups_of
from kvnode.cluster.errors import BadCommand
from kvnode.cluster.faults.rules import FaultPlan
from kvnode.cluster.faults.topologies import Topology

NODES = ("node-1", "node-2", "node-3")
CUT = {"cut": True}


@pytest.fixture
def plan() -> FaultPlan:
    return FaultPlan(NODES)


def test_without_faults_nobody_has_rules(plan: FaultPlan) -> None:
    assert plan.all_rules() == {}


def test_a_partition_cuts_both_ways_between_groups_and_not_within(plan: FaultPlan) -> None:
    assert plan.partitioned([["node-1", "node-2"], ["node-3"]]).all_rules() == {
        "node-1": {"node-3": CUT},
        "node-2": {"node-3": CUT},
        "node-3": {"node-1": CUT, "node-2": CUT},
    }


def test_one_group_alone_is_cut_off_from_the_rest(plan: FaultPlan) -> None:
    assert plan.partitioned([["node-3"]]) == plan.partitioned([["node-1", "node-2"], ["node-3"]])


def test_a_node_in_two_groups_is_a_bridge(plan: FaultPlan) -> None:
    bridged = plan.partitioned([["node-1", "node-2"], ["node-2", "node-3"]])
    assert bridged.all_rules() == {"node-1": {"node-3": CUT}, "node-3": {"node-1": CUT}}


def test_a_partition_replaces_the_one_before(plan: FaultPlan) -> None:
    again = plan.partitioned([["node-1"]]).partitioned([["node-2"]])
    assert again == plan.partitioned([["node-2"]])


def test_isolations_add_up_and_heal_one_by_one(plan: FaultPlan) -> None:
    both = plan.isolated("node-1").isolated("node-2")
    assert len(both.wrong) == 6
    assert both.healed("node-1") == plan.cut("node-2", "node-3")
    assert both.healed().all_rules() == {}


def test_a_one_way_cut_is_a_rule_of_the_sender_alone(plan: FaultPlan) -> None:
    assert plan.cut("node-1", "node-2", both_ways=False).all_rules() == {"node-1": {"node-2": CUT}}
    assert plan.cut("node-1", "node-2").all_rules() == {"node-1": {"node-2": CUT}, "node-2": {"node-1": CUT}}


def test_cuts_and_delays_are_told_together_and_can_be_undone_apart(plan: FaultPlan) -> None:
    slow = plan.delayed(Delay(50, 10)).partitioned([["node-1"]])
    delay = {"delay_ms": 50, "jitter_ms": 10}
    assert slow.rules_of("node-1") == {"node-2": {**delay, **CUT}, "node-3": {**delay, **CUT}}
    assert slow.rules_of("node-2") == {"node-1": {**delay, **CUT}, "node-3": delay}
    assert slow.reconnected().rules_of("node-2") == {"node-1": delay, "node-3": delay}
    assert slow.reconnected("node-3").rules_of("node-2") == {"node-1": {**delay, **CUT}, "node-3": delay}
    assert slow.delayed(Delay(0)).rules_of("node-2") == {"node-1": CUT}


def test_a_delay_between_a_pair_leaves_the_others_alone(plan: FaultPlan) -> None:
    slow = plan.delayed(Delay(20)).delayed(Delay(0, loss=0.5, nodes=("node-1", "node-3")))
    assert slow.rules_of("node-1") == {"node-2": {"delay_ms": 20}, "node-3": {"loss": 0.5}}
    assert slow.rules_of("node-3") == {"node-1": {"loss": 0.5}, "node-2": {"delay_ms": 20}}


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([["node-9"]], "no node called 'node-9'; there are node-1, node-2, node-3"),
        ([["node-1"], ["node-2"]], "node-3 stands in no group"),
        ([[], []], "a partition needs groups"),
    ],
)
def test_a_partition_that_makes_no_sense_is_refused(
    plan: FaultPlan, groups: list[list[str]], message: str
) -> None:
    with pytest.raises(BadCommand, match=message):
        plan.partitioned(groups)


@pytest.mark.parametrize(
    "slow", [Delay(-1), Delay(10_001), Delay(float("nan")), Delay(1, -1), Delay(0, loss=1.5)]
)
def test_a_delay_beyond_its_bounds_is_refused(plan: FaultPlan, slow: Delay) -> None:
    with pytest.raises(BadCommand, match="from 0 to"):
        plan.delayed(slow)


def test_a_distribution_is_told_only_where_there_is_a_delay(plan: FaultPlan) -> None:
    slow = plan.delayed(Delay(50, distribution="long-tailed", nodes=("node-1", "node-2")))
    assert slow.rules_of("node-1") == {"node-2": {"delay_ms": 50, "distribution": "long-tailed"}}
    assert plan.delayed(Delay(0, distribution="exponential")).all_rules() == {}
    with pytest.raises(BadCommand, match="distribution 'normal': expected fixed, exponential, long-tailed"):
        plan.delayed(Delay(5, distribution="normal"))  # type: ignore[arg-type]


def test_a_bandwidth_stands_beside_delays_and_cuts_and_is_undone_by_0_and_by_healing(plan: FaultPlan) -> None:
    pair = ("node-1", "node-2")
    narrow = plan.delayed(Delay(20)).limited(Bandwidth(5000, nodes=pair)).cut(*pair, both_ways=False)
    assert narrow.rules_of("node-1")["node-2"] == {"delay_ms": 20, "bytes_per_s": 5000, "cut": True}
    assert narrow.rules_of("node-2")["node-1"] == {"delay_ms": 20, "bytes_per_s": 5000}
    assert narrow.reconnected().delayed(Delay(0)) == plan.limited(Bandwidth(5000, nodes=pair))
    assert narrow.limited(Bandwidth(0)) == plan.delayed(Delay(20)).cut(*pair, both_ways=False)
    assert narrow.healed() == plan
    assert narrow.spread(Topology("three-regions")).rules_of("node-2")["node-1"]["bytes_per_s"] == 5000


@pytest.mark.parametrize("bytes_per_s", [-1, 0.5, 1e12, float("nan")])
def test_a_bandwidth_beyond_its_bounds_is_refused(plan: FaultPlan, bytes_per_s: float) -> None:
    with pytest.raises(BadCommand, match=r"bytes_per_s=.*: expected 0 \(no limit\), or 1 to 1000000000"):
        plan.limited(Bandwidth(bytes_per_s))
    with pytest.raises(BadCommand, match="bandwidth: expected no node or a pair, got 3"):
        Bandwidth(1000, nodes=(1, 2, 3))  # type: ignore[arg-type]


def test_a_topology_replaces_delays_and_leaves_cuts(plan: FaultPlan) -> None:
    spread = plan.delayed(Delay(0, loss=0.5)).isolated("node-3").spread(Topology("three-regions", 0.1))
    assert spread.rules_of("node-1") == {"node-2": {"delay_ms": 3.75}, "node-3": {"delay_ms": 8.25, **CUT}}
    assert spread.reconnected().rules_of("node-3") == {
        "node-1": {"delay_ms": 8.25},
        "node-2": {"delay_ms": 12.175},
    }
    assert spread.reconnected().topology == Topology("three-regions", 0.1)


def test_healing_undoes_every_fault_of_the_network_and_leaves_the_nodes_own(plan: FaultPlan) -> None:
    sick = plan.delayed(Delay(50, loss=0.5)).isolated("node-1").skewed("node-2", 5000).slow_disk("node-3", 20)
    assert sick.healed().all_rules() == {}
    assert sick.healed() == plan.skewed("node-2", 5000).slow_disk("node-3", 20)
    spread = plan.spread(Topology("three-regions")).isolated("node-3")
    assert spread.healed() == plan


def test_healing_one_node_leaves_the_faults_between_the_others(plan: FaultPlan) -> None:
    sick = plan.spread(Topology("three-regions", 0.1)).isolated("node-3").healed("node-3")
    assert sick.all_rules() == {
        "node-1": {"node-2": {"delay_ms": 3.75}},
        "node-2": {"node-1": {"delay_ms": 3.75}},
    }
    assert sick.topology is None, "what is left is no whole topology"


def test_a_delay_after_a_topology_ends_it(plan: FaultPlan) -> None:
    spread = plan.spread(Topology("three-regions"))
    assert spread.delayed(Delay(0)).all_rules() == {}
    assert spread.delayed(Delay(0)).topology is None
    assert spread.delayed(Delay(5, nodes=("node-1", "node-2"))).topology is None


def test_a_link_needs_two_nodes(plan: FaultPlan) -> None:
    with pytest.raises(BadCommand, match="two different nodes"):
        plan.cut("node-1", "node-1")


@pytest.mark.parametrize(
    "words", [["node-1,node-2", "/", "node-3"], ["node-1,node-2/node-3"], ["node-1", "node-2", "/", "node-3"]]
)
def test_groups_are_read_with_or_without_spaces(words: list[str]) -> None:
    assert groups_of(words) == [["node-1", "node-2"], ["node-3"]]


@given(st.lists(st.sampled_from(range(5)), min_size=5, max_size=5))
def test_two_nodes_reach_each_other_if_and_only_if_they_share_a_group(group_of: list[int]) -> None:
    nodes = tuple(f"node-{i + 1}" for i in range(5))
    groups = [[nodes[i] for i in range(5) if group_of[i] == group] for group in sorted(set(group_of))]
    plan = FaultPlan(nodes).partitioned(groups)
    for i, one in enumerate(nodes):
        for j, other in enumerate(nodes):
            if i != j:
                assert (other in plan.rules_of(one)) == (group_of[i] != group_of[j])


def test_a_wrong_clock_and_a_slow_disk_of_one_node_are_told_beside_its_rules(plan: FaultPlan) -> None:
    sick = plan.delayed(Delay(20, nodes=("node-1", "node-2"))).skewed("node-2", -5000).slow_disk("node-2", 40)
    assert sick.told_to("node-2") == {
        "rules": {"node-1": {"delay_ms": 20}},
        "clock_skew_ms": -5000,
        "disk_delay_ms": 40,
    }
    assert sick.told_to("node-3") == {"rules": {}}
    assert sick.skewed("node-2", 0).told_to("node-2") == {
        "rules": {"node-1": {"delay_ms": 20}},
        "disk_delay_ms": 40,
    }
    assert sick.with_nodes(("node-1", "node-3")) == FaultPlan(("node-1", "node-3"))


def test_a_node_fault_out_of_bounds_is_refused_with_the_bound(plan: FaultPlan) -> None:
    with pytest.raises(BadCommand, match="at most a day"):
        plan.skewed("node-1", 1e9)
    with pytest.raises(BadCommand, match="at most a day"):
        plan.skewed("node-1", float("nan"))
    with pytest.raises(BadCommand, match="0 to 10000"):
        plan.slow_disk("node-1", -1)
    with pytest.raises(BadCommand, match="no node called 'node-9'"):
        plan.slow_disk("node-9", 1)
