"""The recorder: percentiles, sliding windows, gaps and rows."""

from __future__ import annotations

from random import Random

import pytest

from traffic.recorder import RateWindow, Recorder

KINDS = ("like", "tweet")
NODES = ("node-1", "node-2")


def ok(
    recorder: Recorder, at_s: float, *, waited_s: float = 0.0, took_s: float = 0.01, node: str = "node-1"
) -> None:
    recorder.succeeded("like", node, intended_s=at_s - took_s - waited_s, sent_s=at_s - took_s, done_s=at_s)


def test_percentiles_are_those_of_the_values() -> None:
    recorder, random = Recorder(KINDS, NODES, 100.0), Random(1)
    values = [random.lognormvariate(-5, 0.8) for _ in range(5000)]
    for index, value in enumerate(values):
        ok(recorder, 101 + index / 5000, took_s=value)
    values.sort()
    found = recorder.latency_ms(102.0)
    for percent in (50, 95, 99):
        expected_ms = values[len(values) * percent // 100] * 1000
        assert found[f"p{percent}"] == pytest.approx(expected_ms, rel=0.03)
    assert found["max"] == pytest.approx(values[-1] * 1000, rel=0.01)


def test_latency_runs_from_the_intended_start_and_beside_it_from_the_send() -> None:
    recorder = Recorder(KINDS, NODES, 100.0)
    for index in range(100):
        ok(recorder, 101 + index / 100, waited_s=1.0, took_s=0.01)
    assert recorder.latency_ms(102.0)["p50"] == pytest.approx(1010, rel=0.02)
    assert recorder.service_latency_ms(102.0)["p50"] == pytest.approx(10, rel=0.02)


def test_the_latency_window_forgets_after_five_seconds_and_the_run_does_not() -> None:
    recorder = Recorder(KINDS, NODES, 100.0)
    ok(recorder, 101.0, took_s=0.5)
    assert recorder.latency_ms(105.0)["max"] == pytest.approx(500, rel=0.01)
    assert recorder.latency_ms(107.0) == {"p50": None, "p95": None, "p99": None, "max": None}
    for index in range(200):
        ok(recorder, 108 + index / 10, took_s=0.001)
    assert recorder.run_latency_ms()["all"]["max"] == pytest.approx(500, rel=0.01)
    assert recorder.run_latency_ms()["like"]["max"] == pytest.approx(500, rel=0.01)


def test_the_achieved_rate_follows_within_two_seconds() -> None:
    window = RateWindow(100.0)
    for index in range(1000):
        window.add(100 + index / 100)
    assert window.rate(110.0) == pytest.approx(100, rel=0.02)
    for index in range(1200):
        window.add(110 + index / 400)
    assert window.rate(113.0) == pytest.approx(400, rel=0.02)
    assert window.rate(116.0) == 0


def test_a_young_rate_is_not_diluted_by_the_time_before_it() -> None:
    window = RateWindow(100.0)
    for index in range(100):
        window.add(100 + index / 100)
    assert window.rate(101.0) == pytest.approx(100, rel=0.05)


def test_the_longest_gap_counts_only_while_traffic_runs() -> None:
    recorder = Recorder(KINDS, NODES, 100.0)
    recorder.began(100.0)
    ok(recorder, 100.5)
    ok(recorder, 102.0)
    assert recorder.longest_gap_s(102.1) == pytest.approx(1.5)
    assert recorder.longest_gap_s(105.0) == pytest.approx(3.0)  # still open
    ok(recorder, 105.0)
    recorder.ended(105.5)
    assert recorder.longest_gap_s(999.0) == pytest.approx(3.0)
    recorder.began(999.0)
    ok(recorder, 999.2)
    assert recorder.longest_gap_s(999.2) == pytest.approx(3.0)
    recorder.reset_gap(999.2)
    assert recorder.longest_gap_s(999.3) == pytest.approx(0.1)


def test_nodes_are_counted_apart() -> None:
    recorder = Recorder(KINDS, NODES, 100.0)
    ok(recorder, 101.0, took_s=0.002)
    ok(recorder, 101.0, took_s=0.2, node="node-2")
    recorder.attempt_failed("node-2")
    assert recorder.node("node-1", 101.1)["latency_ms"]["max"] == pytest.approx(2, rel=0.02)
    second = recorder.node("node-2", 101.1)
    assert (second["operations_total"], second["errors_total"]) == (1, 1)
    assert second["latency_ms"]["max"] == pytest.approx(200, rel=0.02)


def test_a_row_a_second_and_a_bounded_number_of_rows() -> None:
    recorder = Recorder(KINDS, NODES, 0.0)
    for step in range(20_000):
        now_s = step / 10
        ok(recorder, now_s)
        recorder.tick(now_s, target_rate=10, in_flight=0)
    assert len(recorder.series) == 900
    assert recorder.series[-1]["achieved_rate"] == pytest.approx(10, rel=0.15)


def test_an_absurd_latency_is_clamped_not_lost() -> None:
    recorder = Recorder(KINDS, NODES, 0.0)
    ok(recorder, 1000.0, took_s=900.0)
    assert recorder.latency_ms(1000.0)["max"] == pytest.approx(120_000, rel=0.01)
