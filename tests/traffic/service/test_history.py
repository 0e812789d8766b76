"""History: a second apart for minutes, coarser for an hour, bounded for ever; a bad second stays visible."""

from __future__ import annotations

import itertools
from typing import Any

from traffic.service.history import RINGS, History

T0 = 1_790_000_000_000


def stats(
    at_s: float, *, p99: float | None = 10.0, rate: float = 100.0, errors: int = 0, share: float | None = 1.0
) -> Any:
    latency = {"p50": None if p99 is None else p99 / 2, "p95": p99, "p99": p99, "max": p99}
    world = {
        "running": p99 is not None, "target_rate": 100.0, "achieved_rate": rate, "errors_total": errors,
        "shed_total": 0, "latency_ms": latency,
    }  # fmt: skip
    return {
        "timestamp": T0 + int(at_s * 1000),
        "workloads": {"twitter": world},
        "nodes": {"node-1": {"achieved_rate": rate}},
        "convergence": {"share": share},
    }


def test_an_hour_is_there_after_an_hour_and_no_more_than_that_after_a_day() -> None:
    history = History()
    for second in range(24 * 3600):
        history.add(stats(second))
    for span_s, step_s in ((60, 1), (300, 1), (900, 5), (3600, 20)):
        found_step_s, rows = history.rows(span_s)
        assert found_step_s == step_s
        assert span_s / step_s - 1 <= len(rows) <= span_s / step_s + 1
        assert rows[-1]["t"] == T0 + (24 * 3600 - 1) * 1000
        assert span_s * 1000 - 2 * step_s * 1000 <= rows[-1]["t"] - rows[0]["t"] <= span_s * 1000
    kept = sum(len(history.rows(step_s * rows_max)[1]) for step_s, rows_max in RINGS)
    assert kept <= sum(rows_max for _, rows_max in RINGS) + len(RINGS)


def test_a_bad_second_stays_visible_in_an_hour() -> None:
    history = History()
    for second in range(1800):
        is_bad, errors = second == 700, 3 if second >= 700 else 0
        history.add(stats(second, p99=900.0 if is_bad else 10.0, share=0.5 if is_bad else 1.0, errors=errors))
    rows = history.rows(3600)[1]
    assert max(row["p99_ms"] for row in rows) == 900.0
    assert min(row["agree"] for row in rows) == 50.0
    assert sum(row["errors"] for row in rows) == 3
    assert max(row["p50_ms"] for row in rows) < 40.0


def test_silence_has_neither_waits_nor_agreement() -> None:
    history = History()
    for second in range(30):
        history.add(stats(second, p99=None, rate=0.0, share=None))
    row = history.rows(3600)[1][-1]
    assert (row["p99_ms"], row["p50_ms"], row["agree"], row["target"]) == (None, None, None, 0)


def test_a_clock_that_was_set_back_does_not_tangle_the_line() -> None:
    history = History()
    for second in [*range(100), *range(40, 60)]:
        history.add(stats(second))
    for span_s in (300, 900, 3600):
        times = [row["t"] for row in history.rows(span_s)[1]]
        assert times == sorted(set(times))
        assert times[-1] == T0 + 59_000


def test_a_gap_is_a_gap() -> None:
    history = History()
    for second in [*range(20), *range(80, 100)]:
        history.add(stats(second))
    times = [row["t"] for row in history.rows(300)[1]]
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) == 61_000
