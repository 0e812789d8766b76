"""What happened: counts, latencies, rates and gaps, cheap enough to note every operation.

Here: numbers in, numbers out; time comes in as an argument. Not here: clocks, HTTP, what an operation is.

Two latencies of every successful operation: from the *intended* start, which is what a user of an open
system feels, and from the actual send, which is what a closed test would report. Where they part company,
coordinated omission is at work (Gil Tene; wrk2). Failed operations are counted, not put among the
latencies.

How it is kept. A slot of half a second holds one HdrHistogram for each kind (intended start) and each
node (actual send): two `record_value` calls an operation, about 1.2 µs each. Percentiles merge the slots
of the last five seconds; a slot that leaves the window is folded into the histograms of the whole run.
Histograms merge, so the records of several generator processes can be added up the same way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

LATENCY_US_MAX = 120_000_000
SIGNIFICANT_DIGITS = 2
SLOT_S = 0.5
LATENCY_WINDOW_SLOTS = 10
BUCKET_S = 0.1
RATE_WINDOW_BUCKETS = 20
RATE_WINDOW_S_MIN = 0.5
SERIES_EVERY_S = 1.0
SERIES_ROWS_MAX = 900


def new_histogram() -> Any:
    return HdrHistogram(1, LATENCY_US_MAX, SIGNIFICANT_DIGITS)


def summary_ms(histograms: Iterable[Any]) -> dict[str, float | None]:
    """p50, p95, p99 and max in milliseconds of all histograms together; None where nothing was recorded."""
    merged = new_histogram()
    for histogram in histograms:
        merged.add(histogram)
    if not merged.get_total_count():
        return {"p50": None, "p95": None, "p99": None, "max": None}
    max_us = merged.get_max_value()
    percentiles = merged.get_percentile_to_value_dict([50, 95, 99])
    found = {f"p{percent}": round(min(us, max_us) / 1000, 3) for percent, us in percentiles.items()}
    return {**found, "max": round(max_us / 1000, 3)}


class RateWindow:
    """Events a second over the last two seconds, in buckets of a tenth of a second."""

    __slots__ = ("_counts", "_newest", "_since_s")

    def __init__(self, now_s: float) -> None:
        self._counts = [0] * (RATE_WINDOW_BUCKETS + 1)
        self._newest = int(now_s / BUCKET_S)
        self._since_s = now_s

    def restart(self, now_s: float) -> None:
        """Measure from now on only, so that a start does not begin with the silence before it."""
        self.__init__(now_s)  # type: ignore[misc]

    def add(self, now_s: float) -> None:
        bucket = int(now_s / BUCKET_S)
        if bucket > self._newest:
            self._advance(bucket)
        self._counts[self._newest % len(self._counts)] += 1

    def rate(self, now_s: float) -> float:
        self._advance(max(int(now_s / BUCKET_S), self._newest))
        current = self._counts[self._newest % len(self._counts)]
        full = sum(self._counts) - current
        span_s = RATE_WINDOW_BUCKETS * BUCKET_S
        elapsed_s = now_s - self._since_s
        if elapsed_s < span_s:  # young: whatever there is, over the time that it took
            return (full + current) / max(elapsed_s, RATE_WINDOW_S_MIN)
        return full / span_s

    def _advance(self, bucket: int) -> None:
        for index in range(self._newest + 1, min(bucket, self._newest + len(self._counts)) + 1):
            self._counts[index % len(self._counts)] = 0
        if bucket - self._newest >= len(self._counts):
            self._counts = [0] * len(self._counts)
        self._newest = bucket


class _Slot:
    __slots__ = ("index", "intended", "service")

    def __init__(self, index: int) -> None:
        self.index = index
        self.intended: dict[str, Any] = {}  # by kind
        self.service: dict[str, Any] = {}  # by node


class _Tally:
    """Counts of one node."""

    __slots__ = ("errors", "ok", "rate")

    def __init__(self, now_s: float) -> None:
        self.ok = 0
        self.errors = 0
        self.rate = RateWindow(now_s)


class Recorder:
    """The record of one workload. All times are seconds on one monotonic clock."""

    def __init__(self, kinds: Sequence[str], nodes: Sequence[str], now_s: float) -> None:
        self.ok: dict[str, int] = dict.fromkeys(kinds, 0)
        self.failed_definite = 0
        self.failed_indefinite = 0
        self.resent = 0
        self.shed = 0
        self.series: deque[dict[str, float | int | None]] = deque(maxlen=SERIES_ROWS_MAX)
        self._nodes = {node: _Tally(now_s) for node in nodes}
        self._rate = RateWindow(now_s)
        self._slots: deque[_Slot] = deque([_Slot(int(now_s / SLOT_S))])
        self._run_intended: dict[str, Any] = {}
        self._run_service = new_histogram()
        self._began_s = now_s
        self._next_row_s = now_s + SERIES_EVERY_S
        self._row_before = (0, 0, 0)
        self._active = False
        self._last_ok_s = now_s
        self._longest_gap_s = 0.0

    # --- what happened ------------------------------------------------------------------------------------

    def succeeded(self, kind: str, node: str, *, intended_s: float, sent_s: float, done_s: float) -> None:
        """An operation was acknowledged (or a read answered) through `node`."""
        self.ok[kind] += 1
        self._rate.add(done_s)
        tally = self._nodes[node]
        tally.ok += 1
        tally.rate.add(done_s)
        if self._active:
            gap_s = done_s - self._last_ok_s
            if gap_s > self._longest_gap_s:
                self._longest_gap_s = gap_s
        self._last_ok_s = done_s
        slot = self._slot(done_s)
        histogram = slot.intended.get(kind)
        if histogram is None:
            histogram = slot.intended[kind] = new_histogram()
        histogram.record_value(_microseconds(done_s - intended_s))
        histogram = slot.service.get(node)
        if histogram is None:
            histogram = slot.service[node] = new_histogram()
        histogram.record_value(_microseconds(done_s - sent_s))

    def failed(self, *, definite: bool) -> None:
        """An operation failed for good: it is not tried again."""
        if definite:
            self.failed_definite += 1
        else:
            self.failed_indefinite += 1

    def attempt_failed(self, node: str) -> None:
        """One try through `node` failed; the operation may still succeed through another one."""
        self._nodes[node].errors += 1

    def began(self, now_s: float) -> None:
        """Traffic starts: from now on, time without a success is a gap."""
        if not self._active:
            self._active = True
            self._last_ok_s = now_s
            self._rate.restart(now_s)
            for tally in self._nodes.values():
                tally.rate.restart(now_s)

    def ended(self, now_s: float) -> None:
        """Traffic stops (or its rate is 0): silence is no gap any more."""
        self._longest_gap_s = self.longest_gap_s(now_s)
        self._active = False

    def reset_gap(self, now_s: float) -> None:
        self._longest_gap_s = 0.0
        self._last_ok_s = now_s

    # --- what it amounts to -------------------------------------------------------------------------------

    @property
    def operations(self) -> int:
        """Successful operations since the start."""
        return sum(self.ok.values())

    @property
    def errors(self) -> int:
        return self.failed_definite + self.failed_indefinite

    def longest_gap_s(self, now_s: float) -> float:
        """The longest time without a successful operation while traffic ran; a gap that is still open
        counts."""
        return max(self._longest_gap_s, now_s - self._last_ok_s) if self._active else self._longest_gap_s

    def achieved_rate(self, now_s: float) -> float:
        return self._rate.rate(now_s)

    def latency_ms(self, now_s: float) -> dict[str, float | None]:
        """From the intended start, last five seconds."""
        return summary_ms(h for slot in self._window(now_s) for h in slot.intended.values())

    def service_latency_ms(self, now_s: float) -> dict[str, float | None]:
        """From the actual send, last five seconds."""
        return summary_ms(h for slot in self._window(now_s) for h in slot.service.values())

    def node(self, name: str, now_s: float) -> dict[str, Any]:
        tally = self._nodes[name]
        return {
            "operations_total": tally.ok,
            "errors_total": tally.errors,
            "achieved_rate": round(tally.rate.rate(now_s), 1),
            "latency_ms": summary_ms(self.node_histograms(name, now_s)),
        }

    def node_histograms(self, name: str, now_s: float) -> list[Any]:
        """From the actual send, through one node, last five seconds: they merge with those of other records."""
        return [slot.service[name] for slot in self._window(now_s) if name in slot.service]

    def run_latency_ms(self) -> Mapping[str, dict[str, float | None]]:
        """Of the whole run: from the intended start by kind and for all kinds, and from the actual send."""
        by_kind: dict[str, list[Any]] = {kind: [histogram] for kind, histogram in self._run_intended.items()}
        for slot in self._slots:
            for kind, histogram in slot.intended.items():
                by_kind.setdefault(kind, []).append(histogram)
        sent = [self._run_service, *(h for slot in self._slots for h in slot.service.values())]
        return {
            "all": summary_ms(h for histograms in by_kind.values() for h in histograms),
            "all, from the actual send": summary_ms(sent),
            **{kind: summary_ms(by_kind[kind]) for kind in self.ok if kind in by_kind},
        }

    def tick(self, now_s: float, *, target_rate: float, in_flight: int) -> None:
        """Write a row of the time series if one is due. Call often; it costs a comparison."""
        if now_s < self._next_row_s:
            return
        before, now = self._row_before, (self.operations, self.errors, self.shed)
        span_s = now_s - self._next_row_s + SERIES_EVERY_S
        newest = [slot for slot in self._slots if slot.index >= int((now_s - SERIES_EVERY_S) / SLOT_S)]
        latency = summary_ms(h for slot in newest for h in slot.intended.values())
        self.series.append(
            {
                "t_s": round(now_s - self._began_s, 3),
                "target_rate": target_rate,
                "achieved_rate": round((now[0] - before[0]) / span_s, 1),
                "errors": now[1] - before[1],
                "shed": now[2] - before[2],
                "in_flight": in_flight,
                "p50_ms": latency["p50"],
                "p95_ms": latency["p95"],
                "p99_ms": latency["p99"],
            }
        )
        self._row_before = now
        self._next_row_s = now_s + SERIES_EVERY_S

    # --- slots --------------------------------------------------------------------------------------------

    def _slot(self, now_s: float) -> _Slot:
        index = int(now_s / SLOT_S)
        newest = self._slots[-1]
        if index <= newest.index:
            return newest
        newest = _Slot(index)
        self._slots.append(newest)
        self._retire(index)
        return newest

    def _retire(self, index: int) -> None:
        while self._slots[0].index <= index - LATENCY_WINDOW_SLOTS:
            slot = self._slots.popleft()
            for kind, histogram in slot.intended.items():
                if kind not in self._run_intended:
                    self._run_intended[kind] = new_histogram()
                self._run_intended[kind].add(histogram)
            for histogram in slot.service.values():
                self._run_service.add(histogram)

    def _window(self, now_s: float) -> list[_Slot]:
        oldest = int(now_s / SLOT_S) - LATENCY_WINDOW_SLOTS
        return [slot for slot in self._slots if slot.index > oldest]


def _microseconds(seconds: float) -> int:
    return min(max(int(seconds * 1_000_000), 1), LATENCY_US_MAX)
