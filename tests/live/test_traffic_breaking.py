"""Breaking a real cluster through the traffic service: real processes die and come back, for who has the token."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from kvnode.cluster import LocalCluster
from labkit.launch.service import TrafficService, token_file

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]


def says(service: TrafficService) -> list[str]:
    return [one["says"] for one in service.faults()["broken"]]


def test_every_failure_is_set_shown_and_mended(
    live_cluster: Callable[..., LocalCluster], serve: Callable[..., Any], cluster_state: Path
) -> None:
    cluster = live_cluster(nodes=3)
    running = serve(cluster, "--rate", "20")
    service = TrafficService(running.url)
    file = token_file(running.port)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (service.faults()["allowed"], says(service)) == (True, [])
    pids = {node.name: node.pid for node in cluster.status()}

    service.fault("kill", node="node-2")
    assert cluster.node("node-2").state == "dead"
    assert says(service) == ["node-2 is dead (killed)"]
    service.fault("pause", node="node-3")
    assert cluster.node("node-3").state == "paused"
    service.fault("resume", node="node-3")
    assert cluster.node("node-3").state == "running"
    service.fault("restart", node="node-2")
    assert cluster.node("node-2").state == "running"
    assert cluster.node("node-2").pid != pids["node-2"]

    service.fault("isolate", node="node-3")
    assert says(service) == ["node-3 is cut off from all other nodes"]
    service.fault("partition", groups=[["node-1"], ["node-2", "node-3"]])
    assert says(service) == ["node-1 is cut off from all other nodes"]
    service.fault("delay", delay_ms=20)
    assert says(service)[1:] == ["every link: 20 ms slower each way"]
    service.fault("heal")
    assert says(service) == []
    service.fault("topology", name="three-regions", factor=0.1)
    assert service.stats()["nodes"]["node-1"]["region"] or says(service)
    service.fault("kill", node="node-1")
    service.fault("reset")
    assert says(service) == []

    refused = requests.post(
        f"{running.url}/api/real/cluster/faults", json={"action": "kill", "node": "node-9"}, timeout=10,
        headers={"Authorization": f"Bearer {file.read_text().strip()}"},
    )  # fmt: skip
    assert (refused.status_code, "node-9" in refused.json()["detail"]) == (400, True)
    assert running.stop() == (0, "")
    assert not file.exists()


def test_another_user_of_the_computer_breaks_nothing(
    live_cluster: Callable[..., LocalCluster], serve: Callable[..., Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Somebody who can reach the port, and cannot read the file: all that is answered tells them no token."""
    cluster = live_cluster(nodes=1)
    running = serve(cluster, "--no-start", "--r", "1", "--w", "1")
    monkeypatch.setenv("QUORUM_LAB_STATE", str(tmp_path / "another user"))
    stranger = TrafficService(running.url)
    assert stranger.faults()["allowed"] is False
    assert stranger.page == f"{running.url}/"
    answer = requests.post(
        f"{running.url}/api/real/cluster/faults", json={"action": "kill", "node": "node-1"}, timeout=10
    )
    assert answer.status_code == 401
    assert requests.post(f"{running.url}/api/real/cluster/write_test", timeout=10).status_code == 200
    assert cluster.node("node-1").state == "running"
