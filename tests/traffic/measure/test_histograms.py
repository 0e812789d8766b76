"""Bulk counting: the same buckets and percentiles as HdrHistogram's own, one by one."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traffic.measure.histograms import (
    LATENCY_US_MAX,
    NOTHING,
    LatencyTable,
    buckets_of,
    microseconds,
    new_histogram,
    summary_of_values,
)


@given(st.lists(st.integers(1, LATENCY_US_MAX), min_size=1, max_size=50))
def test_every_value_falls_into_the_bucket_of_the_library(values: list[int]) -> None:
    histogram = new_histogram()
    assert list(buckets_of(np.array(values))) == [histogram._counts_index_for(value) for value in values]


def test_the_edges_fall_into_the_buckets_of_the_library() -> None:
    histogram = new_histogram()
    edges = sorted({max(1, 2**power + off) for power in range(27) for off in (-1, 0, 1)})
    edges = [edge for edge in edges if edge <= LATENCY_US_MAX]
    assert list(buckets_of(np.array(edges))) == [histogram._counts_index_for(edge) for edge in edges]


def test_percentiles_are_those_of_the_library() -> None:
    random, table, histogram = Random(3), LatencyTable(), new_histogram()
    values = [max(1, int(random.lognormvariate(8, 1.2))) for _ in range(20_000)]
    rows = [random.randrange(5) for _ in values]
    table.count(np.array(rows), np.array(values))
    for row, value in zip(rows, values, strict=True):
        if row != 2:
            histogram.record_value(value)
    found = table.summary([0, 1, 3, 4, 17])
    expected = histogram.get_percentile_to_value_dict([50, 95, 99])
    assert [found["p50"], found["p95"], found["p99"]] == [expected[p] / 1000 for p in (50, 95, 99)]
    assert found["max"] == max(v for r, v in zip(rows, values, strict=True) if r != 2) / 1000
    assert table.total([0, 1, 3, 4]) == histogram.get_total_count()


def test_a_histogram_taken_out_merges_with_another() -> None:
    table = LatencyTable()
    table.count(np.array([0, 0, 1]), np.array([100, 200, 5_000]))
    merged = new_histogram()
    merged.add(table.histogram([0]))
    merged.add(table.histogram([1]))
    assert merged.get_total_count() == 3
    assert merged.get_value_at_percentile(100) == pytest.approx(5_000, rel=0.01)
    assert merged.encode()


def test_percentiles_of_plain_values_are_of_the_nearest_rank() -> None:
    values = np.arange(1, 101) * 1000
    assert summary_of_values(values) == {"p50": 50, "p95": 95, "p99": 99, "max": 100}
    assert summary_of_values(values[:1]) == {"p50": 1, "p95": 1, "p99": 1, "max": 1}


def test_nothing_recorded_is_none_not_zero() -> None:
    assert LatencyTable().summary([0]) == NOTHING == summary_of_values(np.array([], np.int64))
    assert LatencyTable().histogram([0]).get_total_count() == 0


def test_an_absurd_latency_is_clamped_not_lost() -> None:
    assert list(microseconds(np.array([900.0, 0.0, -0.001]))) == [LATENCY_US_MAX, 1, 1]
