"""The plan of faults is a pure function of its seed, and keeps to what the promise allows."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.chaos.schedule import ANY_ORDER, LASTS_S, WEIGHTS, ScheduledFault, make_schedule
from kvnode.cluster.contract import Bandwidth

NODES = ("node-1", "node-2", "node-3")


def test_the_same_seed_gives_the_same_plan() -> None:
    assert make_schedule(7, NODES, seconds=120, every_s=3) == make_schedule(7, NODES, seconds=120, every_s=3)
    assert make_schedule(7, NODES, seconds=120, every_s=3) != make_schedule(8, NODES, seconds=120, every_s=3)


@given(st.integers(0, 10_000), st.integers(2, 9), st.sampled_from([0.5, 1.0, 3.0]))
def test_no_node_has_two_faults_at_once_and_cuts_and_delays_follow_each_other(
    seed: int, count: int, every_s: float
) -> None:
    nodes = [f"node-{i + 1}" for i in range(count)]
    schedule = make_schedule(seed, nodes, seconds=60, every_s=every_s)
    busy: dict[str, float] = {}
    for fault in schedule:
        if fault.kind == "lost disk":
            busy.clear()
            continue
        places = {
            "partition": ("cuts",),
            "one-way cut": ("cuts",),
            "delay": ("delays",),
            "bandwidth": ("rates",),
        }
        for place in places.get(fault.kind, fault.nodes):
            assert busy.get(place, 0.0) <= fault.at_s
            busy[place] = fault.at_s + fault.lasts_s
        assert LASTS_S[0] <= fault.lasts_s <= LASTS_S[1]
        assert set(fault.nodes) <= set(nodes)
        if fault.kind == "partition":
            assert 0 < len(fault.nodes) < count


def test_a_fault_each_three_seconds_and_every_kind_in_two_minutes_of_most_seeds() -> None:
    plans = [make_schedule(seed, NODES, seconds=120, every_s=3) for seed in range(50)]
    assert all(b.at_s - a.at_s == 3 for schedule in plans for a, b in pairwise(schedule))
    assert min(len(schedule) for schedule in plans) == 39
    for kind in WEIGHTS:
        assert sum(any(fault.kind == kind for fault in schedule) for schedule in plans) > 40


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (ScheduledFault(3, "kill", ("node-2",), 1.25), "kill: node-2 for 1.2 s"),
        (
            ScheduledFault(3, "partition", ("node-1", "node-3"), 2),
            "partition node-1, node-3 / the others for 2.0 s",
        ),
        (ScheduledFault(3, "one-way cut", ("node-1", "node-3"), 2), "cut node-1 --> node-3 for 2.0 s"),
        (ScheduledFault(3, "delay", (), 2), "delay all links by 0 ms (fixed) for 2.0 s"),
        (ScheduledFault(3, "bandwidth", (), 2, Bandwidth(50_000)), "all links: 50000 bytes/s for 2.0 s"),
        (ScheduledFault(3, "lost disk", ("node-1",)), "lost disk: node-1"),
    ],
)
def test_a_trouble_says_what_it_does(fault: ScheduledFault, said: str) -> None:
    assert str(fault) == said


def test_a_plan_of_any_order_loses_disks_while_other_things_are_wrong() -> None:
    plans = [make_schedule(seed, NODES, seconds=60, every_s=2, weights=ANY_ORDER) for seed in range(40)]
    for kind in ANY_ORDER:
        assert sum(any(fault.kind == kind for fault in schedule) for schedule in plans) > 25
    in_the_middle = 0
    for schedule in plans:
        for lost in (each for each in schedule if each.kind == "lost disk in a storm"):
            assert lost.lasts_s, "its node is dead for a while, and starts on an empty disk"
            in_the_middle += any(each.at_s < lost.at_s < each.at_s + each.lasts_s for each in schedule)
    assert in_the_middle > 40
