"""The live service switches between open and closed loop; what it measures says which loop it was."""

from __future__ import annotations

import time
from typing import Any

import pytest
from starlette.testclient import TestClient

from traffic.stores.memory import MemoryStore

URL = "/api/real/traffic/twitter"
WITHIN_S = 20.0


def twitter(client: TestClient) -> Any:
    return client.get("/api/real/traffic/stats").json()["workloads"]["twitter"]


def both_p50(client: TestClient) -> tuple[float, float]:
    """(from the moment when it was due, from the send), ms; 0 where nothing was measured."""
    now = twitter(client)
    return now["latency_ms"]["p50"] or 0.0, now["service_latency_ms"]["p50"] or 0.0


def test_the_loop_is_switched_while_it_runs_and_the_latencies_say_which_it_is(
    client: TestClient, store: MemoryStore
) -> None:
    """Two workers cannot send 400/s to a store that takes 20 ms: what is due waits for them, and the wait counts from
    the moment when it was due alone. An open loop waits for nobody, so both clocks say the same."""
    store.latency_s = 0.02
    answer = client.put(URL, json={"rate": 400, "loop": "closed", "workers": 2}).json()
    assert (answer["loop"], answer["workers"]) == ("closed", 2)
    client.post("/api/real/traffic/start")
    deadline_s = time.monotonic() + WITHIN_S
    while not both_p50(client)[0] > 10 * both_p50(client)[1] > 0:
        assert time.monotonic() < deadline_s, both_p50(client)
        assert twitter(client)["in_flight"] <= 2
        time.sleep(0.05)
    assert 'traffic_closed_loop_workers{workload="twitter"} 2.0' in client.get("/metrics").text

    assert client.put(URL, json={"loop": "open"}).json()["workers"] is None
    while both_p50(client)[0] != pytest.approx(both_p50(client)[1], rel=0.3):
        assert time.monotonic() < deadline_s, both_p50(client)
        time.sleep(0.05)
    assert 'traffic_closed_loop_workers{workload="twitter"} 0.0' in client.get("/metrics").text
