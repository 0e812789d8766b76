"""One poll of the service becomes one sample; nothing measured is ever invented."""

from __future__ import annotations

import math

import pytest

from labkit.samples import History, measured_between, sample_from_stats


def test_stats_of_the_service_become_a_sample(stats_at) -> None:
    sample = sample_from_stats(stats_at(10.0), 10.0)
    assert sample.running
    assert sample.target_rate == 50
    assert sample.counts["like"] == 150
    assert set(sample.nodes) == {"node-1", "node-2", "node-3"}
    assert sample.nodes["node-1"].lag_p95_ms > 0
    assert sample.agreeing_share == 1.0


@pytest.mark.parametrize("stats", [{}, {"workloads": None}, {"workloads": {"twitter": {"latency_ms": None}}}])
def test_what_was_not_measured_is_nan_and_not_zero(stats: dict[str, object]) -> None:
    sample = sample_from_stats(stats, 1.0)
    assert math.isnan(sample.achieved_rate)
    assert math.isnan(sample.latency_ms["p99"])
    assert math.isnan(sample.agreeing_share)
    assert sample.nodes == {}


def test_a_null_share_and_a_dead_nodes_missing_lag_are_gaps(stats_at) -> None:
    stats = stats_at(10.0, dead="node-2")
    stats["convergence"]["share"] = None
    sample = sample_from_stats(stats, 1.0)
    assert math.isnan(sample.agreeing_share)
    assert math.isnan(sample.nodes["node-2"].lag_p95_ms)
    assert sample.nodes["node-2"].state == "dead"


def test_history_is_bounded_and_forgets_on_clear(stats_at) -> None:
    history = History(sample_count_max=5, mark_count_max=2)
    for second in range(20):
        history.add(sample_from_stats(stats_at(float(second)), float(second)))
        history.mark(f"mark {second}", float(second))
    assert [sample.at_s for sample in history.samples] == [15.0, 16.0, 17.0, 18.0, 19.0]
    assert [mark.text for mark in history.marks] == ["mark 18", "mark 19"]
    history.clear()
    assert history.latest is None
    assert history.marks == []


def test_samples_out_of_order_are_a_programmers_error(stats_at) -> None:
    history = History()
    history.add(sample_from_stats(stats_at(2.0), 2.0))
    with pytest.raises(AssertionError, match="time ran backwards"):
        history.add(sample_from_stats(stats_at(1.0), 1.0))


def test_a_measurement_is_the_difference_of_two_looks(stats_at) -> None:
    measured = measured_between(stats_at(10.0), stats_at(14.0), 4.0)
    assert measured.operations == 200
    assert measured.per_second == 50
    assert measured.counts["view"] == 40
    assert sum(measured.by_node.values()) == pytest.approx(200, abs=3)
    assert "200 operations acknowledged in 4.0 s (50/s), 0 failed" in repr(measured)
