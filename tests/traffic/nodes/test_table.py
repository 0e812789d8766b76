"""The choice of a node: believed ones first, but never nobody."""

from __future__ import annotations

from collections import Counter
from random import Random

from traffic.nodes.table import NodeTable

NAMES = ("node-1", "node-2", "node-3")
ALIVE = dict.fromkeys(NAMES, "alive")


def table(full: set[str] | None = None) -> NodeTable:
    full = full or set()
    made = NodeTable(NAMES, random=Random(1), has_room=lambda name: name not in full)
    for name in NAMES:
        made.answered(name, ALIVE, 100.0)
    return made


def test_the_load_is_spread_evenly() -> None:
    nodes = table()
    chosen = Counter(nodes.choose() for _ in range(3000))
    assert set(chosen) == set(NAMES)
    assert all(abs(count - 1000) < 120 for count in chosen.values())


def test_a_node_without_an_answer_is_avoided_until_it_answers_again() -> None:
    nodes = table()
    nodes.no_answer("node-2", 100.1)
    assert {nodes.choose() for _ in range(200)} == {"node-1", "node-3"}
    nodes.answered("node-2", ALIVE, 100.5)
    assert {nodes.choose() for _ in range(200)} == set(NAMES)


def test_silence_makes_a_node_unhealthy() -> None:
    nodes = table()
    nodes.answered("node-1", ALIVE, 102.0)
    assert {nodes.choose() for _ in range(50)} == {"node-1"}
    assert nodes.state("node-2", 102.0) == "unreachable"


def test_a_full_node_is_passed_over_while_another_has_room() -> None:
    full = {"node-1", "node-3"}
    nodes = table(full)
    assert {nodes.choose() for _ in range(50)} == {"node-2"}
    full.add("node-2")
    assert nodes.choose() in NAMES


def test_when_nobody_is_believed_everybody_is_tried() -> None:
    nodes = table()
    for name in NAMES:
        nodes.no_answer(name, 100.1)
    assert {nodes.choose() for _ in range(200)} == set(NAMES)


def test_a_retry_goes_elsewhere_and_ends() -> None:
    nodes = table()
    tried: list[str] = []
    while (name := nodes.choose(tried)) is not None:
        tried.append(name)
    assert sorted(tried) == list(NAMES)


def test_a_node_that_answers_us_but_is_dead_to_its_peers_is_cut_off_and_not_dead() -> None:
    nodes = table()
    nodes.answered("node-1", {**ALIVE, "node-3": "dead"}, 100.2)
    nodes.answered("node-2", {**ALIVE, "node-3": "suspect"}, 100.2)
    nodes.answered("node-3", ALIVE, 100.2)
    assert nodes.state("node-3", 100.3) == "suspect"
    nodes.answered("node-2", {**ALIVE, "node-3": "dead"}, 100.3)
    assert nodes.state("node-3", 100.3) == "cut off"
    assert nodes.state("node-1", 100.3) == "alive"
    assert nodes.nodes["node-3"].healthy(100.3)


def test_a_node_that_is_cut_off_does_not_make_the_healthy_ones_dead_and_who_says_what_is_told() -> None:
    """1. node-1 is cut off, so it takes node-2 and node-3 for dead. 2. They are healthy, and everybody else knows it.
    3. The table said "dead" of all three."""
    nodes = table()
    nodes.answered("node-1", {"node-1": "alive", "node-2": "dead", "node-3": "dead"}, 100.2)
    nodes.answered("node-2", {**ALIVE, "node-1": "dead"}, 100.2)
    nodes.answered("node-3", {**ALIVE, "node-1": "dead"}, 100.2)
    assert [nodes.state(name, 100.3) for name in NAMES] == ["cut off", "alive", "alive"]
    assert nodes.opinions("node-2", 100.3) == {"node-1": "dead", "node-3": "alive"}


def test_in_a_cut_without_a_majority_nobody_is_cut_off() -> None:
    nodes = table()
    nodes.answered("node-1", {**ALIVE, "node-2": "dead"}, 102.0)
    nodes.answered("node-2", {**ALIVE, "node-1": "dead"}, 102.0)
    assert nodes.state("node-1", 102.0) == nodes.state("node-2", 102.0) == "alive"


def test_a_node_that_does_not_answer_is_dead_once_anybody_says_so() -> None:
    nodes = table()
    nodes.answered("node-1", {**ALIVE, "node-3": "dead"}, 102.0)
    nodes.answered("node-2", ALIVE, 102.0)
    assert nodes.state("node-3", 102.0) == "dead"
