"""People with habits: everybody has a home, bots come in turns, casual users seldom come."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random

from kvnode.cluster.faults.topologies import REGIONS as REGIONS_OF_TOPOLOGIES
from traffic.workloads.personas import REGIONS, WRITERS, Population


def test_people_live_where_nodes_can_be() -> None:
    assert set(REGIONS) == set(REGIONS_OF_TOPOLOGIES["five-regions"])
    homes = Counter(persona.region for persona in Population(Random(1)).personas)
    assert set(homes) == set(REGIONS)


def test_bots_come_in_turns_at_even_distances() -> None:
    population = Population(Random(2))
    picked = [population.pick() for _ in range(4000)]
    turns = [index for index, persona in enumerate(picked) if persona.kind.name == "bot"]
    gaps = {later - earlier for earlier, later in pairwise(turns)}
    assert max(gaps) - min(gaps) <= 1
    each = Counter(picked[index].handle for index in turns)
    assert max(each.values()) - min(each.values()) <= 1


def test_a_casual_user_comes_more_seldom_than_a_power_user() -> None:
    population = Population(Random(3))
    visits = Counter(population.pick().kind.name for _ in range(20_000))
    people = Counter(persona.kind.name for persona in population.personas)
    assert visits["casual"] / people["casual"] < 0.1 * visits["power"] / people["power"]


def test_every_kind_of_writer_is_there() -> None:
    kinds = {persona.kind.name for persona in Population(Random(4), 24, kinds=WRITERS).personas}
    assert kinds == {"author", "editor", "commenter", "fixer"}
