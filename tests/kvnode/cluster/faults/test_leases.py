"""What a lease remembers of its holder's faults, and what is left of them when it ends."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvnode.cluster.contract import Bandwidth, Delay
from kvnode.cluster.faults.leases import Layers, Lease
from kvnode.cluster.faults.rules import FaultPlan
from kvnode.cluster.faults.topologies import Topology

NODES = ("node-1", "node-2", "node-3")
CLEAN = FaultPlan(NODES)


def test_what_a_holder_broke_is_whole_again_and_what_was_broken_before_is_as_it_was() -> None:
    before = CLEAN.delayed(Delay(20.0)).isolated("node-3").skewed("node-1", 500.0)
    lease, layers = Lease(), Layers()
    plan = before
    for change in (
        lambda plan: plan.delayed(Delay(700.0, nodes=("node-1", "node-2"))),
        lambda plan: plan.cut("node-1", "node-2", both_ways=False),
        lambda plan: plan.reconnected("node-3"),
        lambda plan: plan.skewed("node-1", -5000.0),
        lambda plan: plan.slow_disk("node-2", 50.0),
    ):
        after = change(plan)
        layers.note(lease, plan, after)
        plan = after
    assert plan != before
    assert layers.count(lease) == 2 + 1 + 4 + 1 + 1
    assert layers.without(lease, plan) == before
    assert layers.count(lease) == 0


def test_what_another_has_changed_since_stays_as_the_other_wants_it() -> None:
    lease, layers = Lease(), Layers()
    mine = CLEAN.delayed(Delay(700.0, nodes=("node-1", "node-2")))
    layers.note(lease, CLEAN, mine)
    others = mine.delayed(Delay(50.0, nodes=("node-1", "node-2"))).skewed("node-3", 100.0)
    layers.note(None, mine, others)
    assert layers.without(lease, others) == others


def test_a_lease_that_was_built_upon_does_not_come_back_when_the_upper_one_ends() -> None:
    """1. A panel sets 50 ms. 2. A scene sets 700 ms on the same link. 3. The panel is closed. 4. The scene ends: the
    link must be as fast as before the panel, not 50 ms slow for ever."""
    panel, scene, layers = Lease(), Lease(), Layers()
    slow = CLEAN.delayed(Delay(50.0))
    layers.note(panel, CLEAN, slow)
    slower = slow.delayed(Delay(700.0, nodes=("node-1", "node-2")))
    layers.note(scene, slow, slower)
    between = layers.without(panel, slower)
    assert set(between.wrong) == {("delay", ("node-1", "node-2")), ("delay", ("node-2", "node-1"))}
    assert layers.without(scene, between) == CLEAN


def test_a_topology_comes_back_with_its_name() -> None:
    world = CLEAN.spread(Topology("three-regions", 0.5))
    lease, layers = Lease(), Layers()
    flat = world.delayed(Delay(5.0))
    layers.note(lease, world, flat)
    undone = layers.without(lease, flat)
    assert undone == world
    assert undone.topology == Topology("three-regions", 0.5)


def test_faults_of_a_node_that_has_left_meanwhile_do_not_come_back() -> None:
    lease, layers = Lease(), Layers()
    cut = CLEAN.isolated("node-3")
    healed = cut.reconnected()
    layers.note(lease, cut, healed)
    two = ("node-1", "node-2")
    assert layers.without(lease, healed.with_nodes(two)) == FaultPlan(two)


CHANGES = st.sampled_from(
    [
        lambda plan: plan.delayed(Delay(700.0, nodes=("node-1", "node-2"))),
        lambda plan: plan.delayed(Delay(50.0, 10.0, 0.0, "exponential")),
        lambda plan: plan.delayed(Delay(0)),
        lambda plan: plan.partitioned([["node-1"]]),
        lambda plan: plan.isolated("node-2"),
        lambda plan: plan.cut("node-3", "node-1", both_ways=False),
        lambda plan: plan.limited(Bandwidth(5000)),
        lambda plan: plan.limited(Bandwidth(900, nodes=("node-1", "node-3"))),
        lambda plan: plan.healed(),
        lambda plan: plan.healed("node-1"),
        lambda plan: plan.reconnected(),
        lambda plan: plan.spread(Topology("three-regions", 0.2)),
        lambda plan: plan.skewed("node-2", -5000.0),
        lambda plan: plan.skewed("node-2", 0.0),
        lambda plan: plan.slow_disk("node-2", 9.0),
    ]
)


@given(st.lists(st.tuples(st.integers(0, 2), CHANGES), max_size=12), st.permutations(range(3)))
@settings(max_examples=300, deadline=None)
def test_when_all_leases_have_ended_in_any_order_nothing_is_left(steps, order) -> None:
    leases, layers = [Lease() for _ in range(3)], Layers()
    plan = CLEAN
    for holder, change in steps:
        after = change(plan)
        layers.note(leases[holder], plan, after)
        plan = after
    for holder in order:
        plan = layers.without(leases[holder], plan)
        assert layers.count(leases[holder]) == 0
    assert plan == CLEAN


@pytest.mark.parametrize(
    "plan",
    [CLEAN, CLEAN.spread(Topology("five-regions", 1.0)), CLEAN.isolated("node-1").slow_disk("node-3", 3.0)],
)
def test_a_plan_is_its_things(plan: FaultPlan) -> None:
    assert FaultPlan.of_things(plan.nodes, plan.wrong) == plan
