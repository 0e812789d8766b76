"""Figures to take along: history, operations, CSV, a report."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from traffic.stores.memory import MemoryStore

TRAFFIC = "/api/real/traffic"


def until(true: Callable[[], Any], timeout_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline_s, "not in time"
        time.sleep(0.02)


def events(client: TestClient) -> list[str]:
    """What has happened, the newest first."""
    return [event["says"] for event in client.get(f"{TRAFFIC}/stats").json()["faults"]["events"]]


@pytest.fixture
def busy(client: TestClient, store: MemoryStore) -> TestClient:
    """Traffic has run for two seconds, and node-2 has refused some of it."""
    client.post(f"{TRAFFIC}/start")
    until(lambda: client.get(f"{TRAFFIC}/stats").json()["operations_total"] > 100)
    store.dead = {"node-2"}
    until(lambda: client.get(f"{TRAFFIC}/operations").json()["workloads"]["twitter"]["failures"])
    until(
        lambda: "node-2 is dead to the others" in events(client)
    )  # dead for long enough to have been seen so
    store.dead = set()
    until(lambda: len(client.get(f"{TRAFFIC}/series").json()["rows"]) >= 2)
    return client


def test_operations_tell_kinds_regions_people_and_failures_by_message(busy: TestClient) -> None:
    answer = busy.get(f"{TRAFFIC}/operations").json()
    twitter = answer["workloads"]["twitter"]
    assert twitter["kinds"]["like"]["ok"] > 10
    assert twitter["kinds"]["like"]["latency_ms"]["p99"] > 0
    assert "Tokyo" in twitter["regions"]
    assert {one["kind"] for one in twitter["people"]} == {"casual", "power", "bot", "influencer"}
    assert twitter["failures"][0]["message"] == "connection refused"
    assert twitter["failures"][0]["node"] == "node-2"
    assert answer["node_regions"] == {}


def test_history_says_its_step_and_events_are_told(busy: TestClient) -> None:
    answer = busy.get(f"{TRAFFIC}/history?span_s=3600").json()
    assert (answer["span_s"], answer["step_s"]) == (3600, 20)
    row = busy.get(f"{TRAFFIC}/history").json()["rows"][-1]
    assert row["achieved"] > 0
    assert set(row["nodes"]) == {"node-1", "node-2", "node-3"}
    events = busy.get(f"{TRAFFIC}/stats").json()["faults"]["events"]
    assert "node-2 is dead to the others" in [event["says"] for event in events]


@pytest.mark.parametrize("span", ["0", "-1", "x", "3601", "99999999999999999999", ""])
def test_a_span_that_makes_no_sense_is_named(client: TestClient, span: str) -> None:
    answer = client.get(f"{TRAFFIC}/history?span_s={span}")
    assert (answer.status_code, "between 1 and 3600" in answer.json()["detail"]) == (400, True)


@pytest.mark.parametrize("table", ["series", "nodes", "cells"])
def test_tables_come_as_csv(busy: TestClient, table: str) -> None:
    answer = busy.get(f"{TRAFFIC}/export/{table}.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert f'filename="quorum-lab-{table}.csv"' in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert rows
    assert {row["workload"] for row in rows} == {"twitter"}


def test_there_is_no_other_table(client: TestClient) -> None:
    answer = client.get(f"{TRAFFIC}/export/secrets.csv")
    assert (answer.status_code, "series, nodes, cells" in answer.json()["detail"]) == (404, True)


def test_the_report_has_the_verdicts_of_the_last_check_and_what_happened(busy: TestClient) -> None:
    before = busy.get(f"{TRAFFIC}/report")
    assert "There is no verdict" in before.text
    assert before.headers["content-security-policy"].endswith("sandbox")
    busy.post(f"{TRAFFIC}/check")
    report = busy.get(f"{TRAFFIC}/report")
    assert report.headers["content-type"].startswith("text/html")
    assert "How long did people wait?" in report.text
    assert "There is no verdict" not in report.text
    assert "node-2" in report.text
    assert "<script" not in report.text


def test_a_reset_begins_history_events_failures_and_report_anew(busy: TestClient) -> None:
    def stats() -> Any:
        return busy.get(f"{TRAFFIC}/stats").json()

    def begins() -> int:
        rows = busy.get(f"{TRAFFIC}/history?span_s=300").json()["rows"]
        return int(rows[0]["t"]) if rows else 0

    until(lambda: stats()["faults"]["events"][0]["says"] == "node-2 is alive again")
    busy.post(f"{TRAFFIC}/check")
    busy.post(f"{TRAFFIC}/stop")
    assert busy.post(f"{TRAFFIC}/reset").status_code == 200
    until(lambda: begins() >= stats()["counting_since"])
    assert busy.get(f"{TRAFFIC}/operations").json()["workloads"]["twitter"]["failures"] == []
    until(lambda: stats()["faults"]["events"] == [])  # a picture may be a fifth of a second old
    report = busy.get(f"{TRAFFIC}/report").text
    assert "nothing was sent yet" in report
    assert "There is no verdict" in report


def test_a_report_before_anything_was_sent_says_so(client: TestClient) -> None:
    assert "nothing was sent yet" in client.get(f"{TRAFFIC}/report").text


def test_stats_tell_which_start_of_the_service_they_are_of(client: TestClient) -> None:
    one, other = (client.get(f"{TRAFFIC}/stats").json()["service"] for _ in range(2))
    assert one == other
    assert one["instance"]
    assert abs(one["started_at"] / 1000 - time.time()) < 60
