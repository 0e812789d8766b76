"""The recorder: percentiles, sliding windows, gaps and rows."""

from __future__ import annotations

import io
from random import Random

import numpy as np
import pandas as pd
import pytest

from traffic.measure.events import AttemptFailed, Ended, Events, Outcome, Request
from traffic.measure.recorder import PENDING_MAX, Recorder
from traffic.measure.series import CELL_COLUMNS, NODE_COLUMNS, ROW_COLUMNS, csv_of
from traffic.operations import Add
from traffic.stores.base import StoreError

KINDS = ("like", "tweet")
NODES = ("node-1", "node-2")


def ok(
    recorder: Recorder,
    at_s: float,
    *,
    waited_s: float = 0.0,
    took_s: float = 0.01,
    outcome: Outcome = "ok",
    at: tuple[str, str | None] = ("node-1", None),
) -> None:
    recorder.operation(
        Ended(
            workload="twitter",
            operation=Add(kind="like", persona="ada", key="k", region=at[1]),
            node=at[0],
            outcome=outcome,
            reply=None,
            intended_s=at_s - took_s - waited_s,
            sent_s=at_s - took_s,
            done_s=at_s,
        )
    )


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
    recorder = Recorder(KINDS, NODES, 90.0)
    for index in range(1000):
        ok(recorder, 100 + index / 100)
    assert recorder.achieved_rate(110.0) == pytest.approx(100, rel=0.02)
    for index in range(1200):
        ok(recorder, 110 + index / 400)
    assert recorder.achieved_rate(113.0) == pytest.approx(400, rel=0.02)
    assert recorder.achieved_rate(116.0) == 0


def test_a_young_rate_is_not_diluted_by_the_time_before_it() -> None:
    recorder = Recorder(KINDS, NODES, 0.0)
    recorder.began(100.0)
    for index in range(100):
        ok(recorder, 100 + index / 100)
    assert recorder.achieved_rate(101.0) == pytest.approx(100, rel=0.05)


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


def test_nodes_are_counted_apart() -> None:
    recorder = Recorder(KINDS, NODES, 100.0)
    ok(recorder, 101.0, took_s=0.002)
    ok(recorder, 101.0, took_s=0.2, at=("node-2", None))
    like = Request(Add(kind="like", persona="ada", key="k"), 100.0, 2, 2, 3)
    refused = StoreError("node-2", "connection refused", definite=True)
    Events(recorder).emit(AttemptFailed(like, "node-2", refused, 101.0, 101_000))
    assert recorder.node("node-1", 101.1)["latency_ms"]["max"] == pytest.approx(2, rel=0.02)
    second = recorder.node("node-2", 101.1)
    assert (second["operations_total"], second["errors_total"]) == (1, 1)
    assert second["latency_ms"]["max"] == pytest.approx(200, rel=0.02)


def test_a_row_a_second_and_a_bounded_number_of_rows() -> None:
    recorder = Recorder(KINDS, NODES, 0.0)
    for step in range(10_000):
        ok(recorder, step / 2)
        recorder.tick(step / 2, target_rate=2, in_flight=0)
    assert len(recorder.series) == 3600
    assert recorder.series[-1]["achieved_rate"] == pytest.approx(2, rel=0.15)
    assert sum(row["ok"] for row in recorder.series) == pytest.approx(7200, abs=4)


def test_no_operation_is_missing_from_the_rows_whoever_reads_between_them() -> None:
    recorder, random = Recorder(KINDS, NODES, 0.0), Random(5)
    for step in range(5000):
        ok(recorder, step / 100, outcome=random.choice(("ok", "ok", "definite", "indefinite")))
        if random.random() < 0.1:
            random.choice((recorder.frame, recorder.run_latency_ms, recorder.outcomes))()
        recorder.tick(step / 100, target_rate=100, in_flight=0)
    recorder.write_row(50.0, target_rate=100, in_flight=0)
    rows = pd.DataFrame(recorder.series)
    outcomes = recorder.outcomes()
    assert {name: rows[name].sum() for name in outcomes} == dict(outcomes)
    assert outcomes.total() == sum(row["count"] for row in recorder.frame()) == 5000
    assert recorder.errors == rows["errors"].sum()


def test_each_kind_node_region_and_outcome_has_its_own_latencies() -> None:
    recorder = Recorder(KINDS, NODES, 100.0)
    for index in range(100):
        ok(recorder, 101 + index / 100, took_s=0.01, at=("node-1", "europe"))
        ok(recorder, 101 + index / 100, took_s=0.05, at=("node-2", "asia"), waited_s=1.0)
    ok(recorder, 103.0, took_s=2.0, outcome="indefinite", at=("node-1", "asia"))
    cells = pd.DataFrame(recorder.frame()).set_index(["node", "region", "outcome"])
    assert list(pd.DataFrame(recorder.frame()).columns) == list(CELL_COLUMNS)
    near, far = cells.xs(("node-1", "europe", "ok")), cells.xs(("node-2", "asia", "ok"))
    assert (near["count"], far["count"]) == (100, 100)
    assert near["p50_ms"] == pytest.approx(10, rel=0.02)
    assert far["sent_p50_ms"] == pytest.approx(50, rel=0.02)
    assert far["p50_ms"] == pytest.approx(1050, rel=0.02)
    assert cells.xs(("node-1", "asia", "indefinite"))["max_ms"] == pytest.approx(2000, rel=0.01)
    assert recorder.run_latency_ms()["all"]["max"] == pytest.approx(1050, rel=0.01)  # a failure is no answer


def test_rows_and_csv_have_the_documented_columns() -> None:
    recorder = Recorder(KINDS, NODES, 100.0)
    for index in range(300):
        ok(recorder, 100 + index / 100)
        recorder.tick(100 + index / 100, target_rate=100, in_flight=1)
    rows, by_node = pd.DataFrame(recorder.series), pd.DataFrame(recorder.node_series)
    assert list(rows.columns) == list(ROW_COLUMNS)
    assert list(by_node.columns) == list(NODE_COLUMNS)
    assert list(by_node["node"]) == ["node-1", "node-2"] * 2
    assert by_node[by_node["node"] == "node-2"]["p50_ms"].isna().all()  # nothing went there: none, not 0
    read = pd.read_csv(io.StringIO(csv_of(recorder.series)))
    pd.testing.assert_frame_equal(read, rows, check_dtype=False)


def test_notes_do_not_pile_up_when_nobody_reads() -> None:
    recorder = Recorder(KINDS, NODES, 0.0)
    for index in range(3 * PENDING_MAX):
        ok(recorder, index / 1000)
    assert len(recorder._pending) <= 4 * PENDING_MAX
    assert recorder.operations == 3 * PENDING_MAX


def test_histograms_of_two_processes_merge() -> None:
    one, other = Recorder(KINDS, NODES, 0.0), Recorder(KINDS, NODES, 0.0)
    for index in range(100):
        ok(one, 1 + index / 100, took_s=0.01)
        ok(other, 1 + index / 100, took_s=0.10, waited_s=0.5)
    corrected, sent = one.histograms()
    for mine, theirs in zip((corrected, sent), other.histograms(), strict=True):
        mine.add(theirs)
    assert corrected.get_total_count() == sent.get_total_count() == 200
    assert corrected.get_value_at_percentile(99) == pytest.approx(600_000, rel=0.01)
    assert sent.get_value_at_percentile(99) == pytest.approx(100_000, rel=0.01)
    joined = np.concatenate([one.node_latencies_us("node-1", 2.0), other.node_latencies_us("node-1", 2.0)])
    assert len(joined) == 200


def test_an_absurd_latency_is_clamped_not_lost() -> None:
    recorder = Recorder(KINDS, NODES, 0.0)
    ok(recorder, 1000.0, took_s=900.0)
    assert recorder.latency_ms(1000.0)["max"] == pytest.approx(120_000, rel=0.01)
