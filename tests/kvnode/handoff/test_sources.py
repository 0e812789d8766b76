"""From how many owners a store must have all of a partition, checked against every way in which copies can lie."""

from __future__ import annotations

from itertools import combinations

import pytest

from kvnode.handoff.sources import sources_needed

Store = int


def ways_to_hold(n: int, w: int) -> list[set[Store]]:
    """Which of n owners may hold an acknowledged write: any w of them."""
    return [set(holders) for holders in combinations(range(n), w)]


@pytest.mark.parametrize(("n", "w"), [(n, w) for n in range(1, 6) for w in range((n + 1) // 2, n + 1)])
def test_who_has_heard_so_many_complete_owners_has_met_every_acknowledged_write(n: int, w: int) -> None:
    """Fewer than w stores were replaced and hold nothing; any that are complete may be the ones that answer."""
    for incomplete_count in range(min(w, n)):
        needed = sources_needed(n, asked_count=n, incomplete_count=incomplete_count)
        complete = set(range(n - incomplete_count))  # the others were replaced
        for holders in ways_to_hold(n, w):
            assert all(holders & set(heard) for heard in combinations(complete, needed)), (n, w, holders)


@pytest.mark.parametrize("n", range(1, 6))
def test_a_replaced_store_hears_a_majority_of_all_owners_or_each_that_is_left(n: int) -> None:
    for incomplete_count in range(n):
        for lost_count in range(n - incomplete_count):
            needed = sources_needed(
                n, asked_count=n - 1, incomplete_count=incomplete_count, lost_count=lost_count
            )
            left = n - 1 - incomplete_count - lost_count
            assert needed == min(n // 2 + 1, max(0, left))


def test_where_all_others_are_being_refilled_too_nobody_waits_for_anybody() -> None:
    assert sources_needed(3, asked_count=2, incomplete_count=2) == 0
