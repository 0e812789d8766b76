"""Latencies by the thousand: HdrHistogram's buckets, filled and read in bulk.

Here: a table of histograms, one a row, on which a batch of latencies is counted at once; percentiles; the way to real
HdrHistogram objects, which other tools and other processes read and merge.
Must not live here: what the rows mean (recorder.py).

Why in bulk: one `record_value` of the Python library takes about 1.2 µs, and an operation has two latencies.
Counting a second's latencies with numpy takes about a tenth of that each. The buckets are exactly
HdrHistogram's (Gil Tene): half of a power of two is cut into 128 steps, so a latency is known to better than
1 %, from a microsecond to two minutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

LATENCY_US_MAX = 120_000_000
SIGNIFICANT_DIGITS = 2
PERCENTS = (50, 95, 99)

Microseconds = npt.NDArray[np.int64]
Summary = dict[str, float | None]
"""p50, p95, p99 and max in milliseconds; None where nothing was recorded."""

NOTHING: Summary = {"p50": None, "p95": None, "p99": None, "max": None}


def new_histogram() -> Any:
    return HdrHistogram(1, LATENCY_US_MAX, SIGNIFICANT_DIGITS)


_LIKE = new_histogram()
_MAGNITUDE = _LIKE.sub_bucket_half_count_magnitude
BUCKETS = _LIKE.counts_len


def microseconds(seconds: npt.NDArray[np.float64]) -> Microseconds:
    """As whole microseconds, clamped to what a histogram can hold: an absurd latency is not lost."""
    return np.clip(seconds * 1e6, 1, LATENCY_US_MAX).astype(np.int64)


def buckets_of(values_us: Microseconds) -> npt.NDArray[np.int64]:
    """The index of each value in HdrHistogram's array of counts."""
    # frexp's exponent of v is the number of its binary digits, which is what the library counts by.
    digits = np.frexp((values_us | _LIKE.sub_bucket_mask).astype(np.float64))[1].astype(np.int64)
    bucket = digits - (_MAGNITUDE + 1)
    index: npt.NDArray[np.int64] = (bucket << _MAGNITUDE) + (values_us >> bucket)
    return index


def summary_of_values(values_us: Microseconds) -> Summary:
    """Percentiles of the values themselves (nearest rank), in milliseconds."""
    count = len(values_us)
    if not count:
        return dict(NOTHING)
    ranks = [-(-percent * count // 100) - 1 for percent in PERCENTS]
    parted = np.partition(values_us, [*ranks, count - 1])  # only what stands at these ranks is in its place
    found: Summary = {
        f"p{percent}": float(parted[rank]) / 1000 for percent, rank in zip(PERCENTS, ranks, strict=True)
    }
    return {**found, "max": float(parted[-1]) / 1000}


class LatencyTable:
    """Many histograms of one kind. A row appears when something is counted in it."""

    def __init__(self) -> None:
        self._counts = np.zeros((0, BUCKETS), np.int64)
        self._max_us = np.zeros(0, np.int64)

    def count(self, rows: npt.NDArray[np.int64], values_us: Microseconds) -> None:
        """Each value into its row."""
        if not len(rows):
            return
        self._grow(int(rows.max()) + 1)
        np.add.at(self._counts.reshape(-1), rows * BUCKETS + buckets_of(values_us), 1)
        np.maximum.at(self._max_us, rows, values_us)

    def total(self, rows: Iterable[int]) -> int:
        return int(self._counts[self._there(rows)].sum())

    def summary(self, rows: Iterable[int]) -> Summary:
        """Of all these rows together."""
        there = self._there(rows)
        counts = self._counts[there].sum(axis=0)
        total = int(counts.sum())
        if not total:
            return dict(NOTHING)
        max_us = int(self._max_us[there].max())
        ranks = [max(int(percent * total / 100 + 0.5), 1) for percent in PERCENTS]
        indices = np.searchsorted(np.cumsum(counts), ranks)
        values_us = [_highest_of_bucket(int(index)) for index in indices]
        found: Summary = {
            f"p{percent}": min(us, max_us) / 1000 for percent, us in zip(PERCENTS, values_us, strict=True)
        }
        return {**found, "max": max_us / 1000}

    def histogram(self, rows: Iterable[int]) -> Any:
        """These rows as one HdrHistogram: to merge with others, to encode, to read with other tools."""
        there = self._there(rows)
        counts = self._counts[there].sum(axis=0)
        histogram = new_histogram()
        for index in np.flatnonzero(counts):
            value_us = histogram.get_value_from_index(int(index))
            histogram.record_value(value_us, int(counts[index]))
        if len(there) and counts.any():
            histogram.max_value = int(self._max_us[there].max())
        return histogram

    def _there(self, rows: Iterable[int]) -> Sequence[int]:
        return [row for row in rows if row < len(self._counts)]

    def _grow(self, rows: int) -> None:
        if rows > len(self._counts):
            more = max(rows, 2 * len(self._counts)) - len(self._counts)
            self._counts = np.concatenate([self._counts, np.zeros((more, BUCKETS), np.int64)])
            self._max_us = np.concatenate([self._max_us, np.zeros(more, np.int64)])


def histogram_of_values(values_us: Microseconds) -> Any:
    """These latencies as one HdrHistogram."""
    table = LatencyTable()
    table.count(np.zeros(len(values_us), np.int64), values_us)
    return table.histogram([0])


def summary_of_histogram(histogram: Any) -> Summary:
    """Percentiles of an HdrHistogram in µs, in milliseconds."""
    if not histogram.get_total_count():
        return dict(NOTHING)
    max_us = histogram.get_max_value()
    percentiles = histogram.get_percentile_to_value_dict(list(PERCENTS))
    found: Summary = {f"p{percent}": round(min(us, max_us) / 1000, 3) for percent, us in percentiles.items()}
    return {**found, "max": round(max_us / 1000, 3)}


def _highest_of_bucket(index: int) -> int:
    return int(_LIKE.get_highest_equivalent_value(_LIKE.get_value_from_index(index)))
