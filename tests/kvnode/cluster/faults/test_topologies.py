"""Named topologies: every pair has a published round trip, and delays follow from it."""

from itertools import combinations

import pytest

from kvnode.cluster.errors import BadCommand
from kvnode.cluster.faults.topologies import FACTOR_MAX, REGIONS, ROUND_TRIP_MS, Topology
from kvnode.faults import DELAY_MS_MAX


def test_every_pair_of_regions_has_a_published_round_trip() -> None:
    pairs = {frozenset(pair) for regions in REGIONS.values() for pair in combinations(regions, 2)}
    assert pairs == set(ROUND_TRIP_MS)


def test_half_a_round_trip_each_way_times_the_factor() -> None:
    world = Topology("three-regions")
    assert [world.one_way_ms(0, 1), world.one_way_ms(1, 0), world.one_way_ms(0, 2)] == [37.5, 37.5, 82.5]
    assert Topology("three-regions", 0.1).one_way_ms(0, 2) == 8.25


def test_more_nodes_than_regions_share_them_and_are_near_each_other() -> None:
    world = Topology("three-regions")
    assert world.describe(["node-1", "node-2", "node-3", "node-4"]).regions == {
        "node-1": "Washington DC",
        "node-2": "London",
        "node-3": "Tokyo",
        "node-4": "Washington DC",
    }
    assert world.one_way_ms(0, 3) == 0.0
    assert world.one_way_ms(3, 1) == 37.5


def test_no_factor_goes_beyond_what_a_link_may_be_delayed() -> None:
    assert max(ROUND_TRIP_MS.values()) / 2 * FACTOR_MAX <= DELAY_MS_MAX


@pytest.mark.parametrize(
    ("name", "factor", "why"),
    [
        ("moon", 1.0, "no topology called 'moon'; there are three-regions, five-regions"),
        ("three-regions", 0.0, "factor 0.0: expected a number above 0, at most 50"),
        ("three-regions", float("nan"), "factor nan"),
        ("three-regions", 51.0, "factor 51.0"),
    ],
)
def test_a_topology_that_makes_no_sense_is_refused(name: str, factor: float, why: str) -> None:
    with pytest.raises(BadCommand, match=why):
        Topology(name, factor)
