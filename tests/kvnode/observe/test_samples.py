"""Recent durations."""

from __future__ import annotations

from kvnode.config import SAMPLE_COUNT_MAX, STAT_WINDOW_MS
from kvnode.observe import DurationStats, Samples


def test_percentiles_of_nothing_are_none() -> None:
    assert Samples().summary(0.0) == DurationStats(None, None, None, 0)


def test_percentiles_are_of_the_last_window_only() -> None:
    samples = Samples()
    samples.add(1000.0, now_ms=0.0)
    for number in range(100):
        samples.add(float(number), now_ms=STAT_WINDOW_MS)
    summary = samples.summary(STAT_WINDOW_MS + 1.0)
    assert summary == DurationStats(p50_ms=50.0, p95_ms=95.0, max_ms=99.0, samples=100)
    assert samples.summary(2.1 * STAT_WINDOW_MS).samples == 0


def test_the_number_of_samples_is_bounded() -> None:
    samples = Samples()
    for number in range(SAMPLE_COUNT_MAX + 10):
        samples.add(float(number), now_ms=1.0)
    assert samples.summary(1.0).samples == SAMPLE_COUNT_MAX
