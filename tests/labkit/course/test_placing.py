"""What lesson 01 computes is what the database does; and each number that its prose names."""

from __future__ import annotations

import pytest

from kvnode.ring import Ring, key_hash
from labkit.course import ex01
from labkit.course.placing import (
    copied_percent,
    fullest_over_mean,
    owners,
    partition_of,
    remainder,
    successors,
)

KEYS = [f"note/{number}" for number in range(300)]


def names(count: int) -> list[str]:
    return [f"node-{number}" for number in range(1, count + 1)]


def ring(*nodes: str) -> Ring:
    return Ring.build(nodes, replicas=3, partitions=256)


@pytest.mark.parametrize("nodes", [names(3), names(4), names(5), ["node-1", "node-2", "node-3", "node-5"]])
def test_the_students_few_lines_place_every_partition_as_the_database_does(nodes: list[str]) -> None:
    assert [tuple(owners(nodes, place)) for place in range(256)] == list(ring(*nodes).preference_lists)


def test_a_key_lies_in_the_partition_that_the_database_says() -> None:
    for key in (*KEYS, "tweet/alice", "ü"):
        assert partition_of(key) == ring("a").partition_of(key) == key_hash(key) * 256 >> 64


def test_a_quarter_of_the_slots_moves_to_a_fourth_node_and_a_fifth_to_a_fifth() -> None:
    three, four, five = (ring(*names(count)) for count in (3, 4, 5))
    assert (three.slots_moved_to(four), four.slots_moved_to(five)) == (189, 152)
    assert round(100 * 152 / 768, 1) == 19.8


def test_three_quarters_of_the_keys_move_under_a_remainder() -> None:
    stays = [number for number in range(12) if number % 3 == number % 4]
    assert len(stays) == 3
    moved = sum(remainder(key, 3) != remainder(key, 4) for key in KEYS)
    assert 70 <= 100 * moved / len(KEYS) <= 80


def test_copies_under_a_remainder_move_twice_as_much_as_on_the_ring() -> None:
    assert len(successors("k", 5)) == 3
    assert 36 <= copied_percent(KEYS, 4) <= 44


def test_where_alices_tweet_lies_before_and_after_node_4_leaves() -> None:
    assert set(ring(*names(5)).preference_list(ex01.TWEET)) == ex01.BEFORE
    after = ring("node-1", "node-2", "node-3", "node-5").preference_list(ex01.TWEET)
    assert set(after) == ex01.HOLDERS["node-2, node-3, node-5"]


def test_how_full_the_fullest_of_five_nodes_is_by_chance() -> None:
    found = {count: round(fullest_over_mean(names(5), count), 2) for count in ex01.COUNTS}
    assert (found[64], found[128]) == (1.22, 1.08)
    assert min(count for count, ratio in found.items() if ratio <= ex01.RATIO_MAX) == 128
