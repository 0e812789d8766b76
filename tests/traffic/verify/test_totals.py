"""Running totals never fall, whatever is forgotten."""

from __future__ import annotations

import pytest

from traffic.stores.totals import CounterTotals, Totals
from traffic.verify.totals import RunningTotals, fresh_actor


def test_two_processes_never_share_an_actor() -> None:
    assert len({fresh_actor() for _ in range(1000)}) == 1000
    assert fresh_actor().startswith("traffic-")


def test_totals_grow_and_a_late_answer_changes_nothing() -> None:
    counter = RunningTotals("a").of("k")
    assert [counter.add(1), counter.add(2), counter.add(1)] == [(1, 0), (3, 0), (4, 0)]
    counter.acknowledge(Totals(4, 0))
    counter.acknowledge(Totals(1, 0))
    assert counter.acknowledged == Totals(4, 0)
    assert counter.settled


def test_taking_away_lets_another_total_grow() -> None:
    counter = RunningTotals("a").of("k")
    sent = [counter.add(5), counter.add(-2), counter.add(1), counter.add(-4)]
    assert sent == [(5, 0), (5, 2), (6, 2), (6, 6)] == sorted(sent)
    counter.acknowledge(sent[2])
    counter.acknowledge(sent[1])
    assert counter.acknowledged == (6, 2)
    assert not counter.settled


def test_an_answer_for_what_was_never_sent_is_a_bug() -> None:
    with pytest.raises(AssertionError, match=r"only Totals.increments=0, decrements=0. sent"):
        RunningTotals("a").of("k").acknowledge(Totals(1, 0))


def test_a_forgotten_counter_comes_back_under_a_new_actor() -> None:
    totals = RunningTotals("a", counters_max=10)
    told: list[CounterTotals] = []
    totals.forgetting = told.append
    for index in range(10):
        counter = totals.of(f"k{index}")
        counter.acknowledge(counter.add(1))
    unsettled = totals.of("k9")
    unsettled.add(1)
    totals.of("new")
    assert len(totals) <= 10
    assert (told[0].key, told[0].sent) == ("k0", (1, 0))  # the last word on it
    assert all(totals.known(one.key) is None for one in told)
    assert totals.of("k9") is unsettled  # never forgotten while an answer is open
    again = totals.of("k0")
    assert again.actor != unsettled.actor
    assert again.add(1) == (1, 0)


def test_what_is_used_all_the_time_is_not_forgotten() -> None:
    totals = RunningTotals("a", counters_max=10)
    for index in range(100):
        counter, often = totals.of(f"k{index}"), totals.of("often")
        for each in (counter, often):
            each.acknowledge(each.add(1))
    assert totals.of("often").sent == (100, 0)


def test_memory_is_bounded_by_what_is_open() -> None:
    totals = RunningTotals("a", counters_max=100)
    for index in range(10_000):
        counter = totals.of(f"k{index}")
        counter.acknowledge(counter.add(1))
    assert len(totals) <= 100
