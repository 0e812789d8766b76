"""Recent durations, bounded in time and number, and their percentiles."""

from __future__ import annotations

from collections import deque

import msgspec

from kvnode.config import SAMPLE_COUNT_MAX, STAT_WINDOW_MS


class DurationStats(msgspec.Struct, frozen=True):
    """Percentiles of durations (ms), and of how many; the three are None when there are no samples."""

    p50_ms: float | None
    p95_ms: float | None
    max_ms: float | None
    samples: int


class Samples:
    """The durations (ms) of the last STAT_WINDOW_MS, at most SAMPLE_COUNT_MAX of them (the newest)."""

    __slots__ = ("_samples",)

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=SAMPLE_COUNT_MAX)

    def add(self, duration_ms: float, *, now_ms: float) -> None:
        """One event that ended now took so long."""
        self._samples.append((now_ms, duration_ms))

    def summary(self, now_ms: float) -> DurationStats:
        """The percentiles of the durations that ended in the window before now."""
        while self._samples and self._samples[0][0] < now_ms - STAT_WINDOW_MS:
            self._samples.popleft()
        ordered = sorted(duration for _, duration in self._samples)
        if not ordered:
            return DurationStats(p50_ms=None, p95_ms=None, max_ms=None, samples=0)
        return DurationStats(
            p50_ms=round(ordered[len(ordered) // 2], 3),
            p95_ms=round(ordered[len(ordered) * 95 // 100], 3),
            max_ms=round(ordered[-1], 3),
            samples=len(ordered),
        )
