"""Measuring staleness over HTTP: points as they come, one measurement at a time, and what cannot be measured."""

from __future__ import annotations

import time
from typing import Any

import pytest
from starlette.testclient import TestClient

URL = "/api/real/pbs"
QUICK = {"t_ms": [20, 0], "writes": 50, "writes_per_s": 100}
LONG = {**QUICK, "writes": 5000}


def until_over(client: TestClient, *, timeout_s: float = 10.0) -> Any:
    deadline_s = time.monotonic() + timeout_s
    while (answer := client.get(URL).json())["running"]:
        assert time.monotonic() < deadline_s, answer
        time.sleep(0.02)
    return answer


def test_before_anything_there_are_no_points(client: TestClient) -> None:
    answer = client.get(URL).json()
    assert (answer["success"], answer["running"], answer["points"]) == (True, False, [])
    assert client.delete(URL).json()["running"] is False


def test_points_come_while_it_runs_and_stay_when_it_is_over(client: TestClient) -> None:
    began = client.post(URL, json=QUICK).json()
    assert (began["running"], began["r"], began["w"]) == (True, 1, 1)
    assert [point["t_ms"] for point in began["points"]] == [0, 20]
    seen: list[int] = []
    deadline_s = time.monotonic() + 10
    while not seen or seen[-1] < 10:
        assert time.monotonic() < deadline_s
        seen.append(client.get(URL).json()["points"][0]["reads"])
    over = until_over(client)
    assert (over["problem"], over["failed"], over["elapsed_s"]) == (None, 0, None)
    for point in over["points"]:
        assert (point["reads"], point["fresh"]) == (50, 50)  # the store in memory is one place
        assert point["share"] == pytest.approx(point["high"]) == 1.0
        assert 0.9 < point["low"] < 1.0
        assert point["predicted"] is None  # ... and takes no notes
        assert point["waited_ms"] >= point["t_ms"]


def test_a_new_measurement_takes_the_place_of_the_one_that_runs(client: TestClient) -> None:
    client.post(URL, json=LONG)
    second = client.post(URL, json={**QUICK, "r": 2, "w": 2, "repair": True}).json()
    assert (second["running"], second["r"], second["repair"], second["points"][0]["reads"]) == (
        True,
        2,
        True,
        0,
    )
    assert until_over(client)["points"][0]["reads"] == 50


def test_it_can_be_ended_early_and_leaves_nothing_under_way(client: TestClient) -> None:
    client.post(URL, json=LONG)
    while not client.get(URL).json()["points"][0]["reads"]:
        time.sleep(0.01)
    ended = client.delete(URL).json()
    assert (ended["running"], ended["problem"]) == (False, None)
    assert client.get(URL).json()["points"] == ended["points"]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({"r": 0}, "r=0, w=1: expected 1 to 3"),
        ({"w": 4}, "expected 1 to 3, the number of replicas"),
        ({"t_ms": []}, "t_ms: expected 1 to 12 times from 0 to 1000 ms"),
        ({"t_ms": [-1]}, "times from 0"),
        ({"t_ms": [5, 5]}, "each time once"),
        ({"writes_per_s": 0}, "writes_per_s 0: expected more than 0"),
        ({"writes_per_s": 1e9}, "at most 200"),
        ({"writes": 0}, "writes 0: expected 1 to 12000"),
        ({"writes": 61, "writes_per_s": 1}, "no more than fit into 60 s"),
        ({"speed": 1}, "unknown field `speed`"),
        ({"writes_per_s": "fast"}, "writes_per_s"),
    ],
)
def test_what_cannot_be_measured_is_refused_and_what_runs_goes_on(
    client: TestClient, wish: dict[str, Any], expected: str
) -> None:
    client.post(URL, json=LONG)
    refused = client.post(URL, json=wish)
    assert refused.status_code == 400
    assert expected in refused.json()["detail"]
    assert client.get(URL).json()["running"] is True
    client.delete(URL)
