"""Several generator processes behind one service: they add up, they are replaced, they end with the front."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import psutil
import pytest
import requests

from kvnode.cluster import LocalCluster

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

StartCluster = Callable[..., LocalCluster]
Until = Callable[..., None]


def children(service: Any) -> list[psutil.Process]:
    return [child for child in psutil.Process(service.process.pid).children() if child.is_running()]


def rate(service: Any) -> float:
    return float(service.stats["workloads"]["twitter"]["achieved_rate"])


def test_two_processes_share_the_rate_and_their_verdicts_are_one(
    live_cluster: StartCluster, serve: Callable[..., Any], until: Until
) -> None:
    cluster = live_cluster(nodes=3)
    service = serve(cluster, "--processes", "2", "--rate", "200")
    assert len(children(service)) == 2
    assert len(set(service.stats["processes"]["actors"])) == 2
    until(lambda: 150 < rate(service) < 250, within_s=20, what="the wanted rate")
    service.put("/api/real/traffic/twitter", {"rate": 100, "w": 3})
    assert service.stats["workloads"]["twitter"]["target_rate"] == 100
    until(lambda: 70 < rate(service) < 130, within_s=20, what="the new rate")
    twitter = service.stats["workloads"]["twitter"]
    assert twitter["latency_ms"]["p99"] >= twitter["latency_ms"]["p50"] > 0
    assert twitter["w"] == 3
    until(lambda: len(service.get("/api/real/traffic/series")["rows"]) >= 3, within_s=10, what="a series")
    likes: dict[str, Any] = {"ok": 0}
    until(
        lambda: likes.update(_parts(service)["kinds"].get("like", likes)) or likes["ok"] > 100,
        within_s=20,
        what="the parts of both processes",
    )
    assert likes["latency_ms"]["p99"] >= likes["latency_ms"]["p50"] > 0
    assert sum(one["people"] for one in _parts(service)["people"]) == 200
    report = requests.get(f"{service.url}/api/real/traffic/report", timeout=20)
    assert (report.status_code, "How long did people wait?" in report.text) == (200, True)
    service.post("/api/real/traffic/stop")
    verdict = service.post("/api/real/traffic/check")
    assert (verdict["status"], verdict["lost"]) == ("ok", 0), verdict
    counted = service.stats["workloads"]["twitter"]["counts"]["tweet"]
    total = cluster.client().counter("twitter/tweets_total")
    assert len(total["actors"]) == 2
    assert total["value"] <= counted + len(total["actors"])


def _parts(service: Any) -> Any:
    return service.get("/api/real/traffic/operations")["workloads"]["twitter"]


def test_a_killed_process_is_noticed_reported_and_replaced_by_a_new_actor(
    live_cluster: StartCluster, serve: Callable[..., Any], until: Until
) -> None:
    service = serve(live_cluster(nodes=3), "--processes", "2", "--rate", "200")
    service.put("/api/real/traffic/twitter", {"rate": 160})
    until(lambda: service.stats["operations_total"] > 300, within_s=20, what="operations")
    before = service.stats
    victim = children(service)[0]
    victim.kill()
    until(lambda: service.stats["processes"]["died"] == 1, within_s=10, what="the death is noticed")
    until(lambda: service.stats["processes"]["alive"] == 2, within_s=20, what="it is replaced")
    after = service.stats
    assert len(set(after["processes"]["actors"]) - set(before["processes"]["actors"])) == 1
    [event] = after["processes"]["events"]
    assert f"pid {victim.pid}" in event["event"]
    assert "killed by signal 9" in event["event"]
    assert after["operations_total"] >= before["operations_total"], "what the dead one did still counts"
    until(
        lambda: 120 < rate(service) < 200,
        within_s=20,
        what="the rate as it was set, not as it was at the start",
    )
    until(lambda: service.stats["inherited"]["status"] == "ok", within_s=60, what="its journal is judged")
    service.post("/api/real/traffic/stop")
    assert service.post("/api/real/traffic/check")["status"] == "ok"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_processes_end_with_the_front(
    live_cluster: StartCluster, serve: Callable[..., Any], until: Until, how: signal.Signals
) -> None:
    service = serve(live_cluster(nodes=1), "--processes", "2", "--rate", "50", "--r", "1", "--w", "1")
    family = children(service)
    assert len(family) == 2
    service.process.send_signal(how)
    service.process.wait(10)
    until(lambda: not any(one.is_running() for one in family), within_s=5, what="the processes are gone")
