"""Every URL of the demo with curl as people type it, in every state of the cluster: JSON, the right status."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from kvnode.cluster import LocalCluster

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

StartCluster = Callable[..., LocalCluster]
ALL = ("node-1", "node-2", "node-3")

LINES = {
    "stats": "curl http://localhost:7342/api/real/traffic/stats",
    "tweets": "curl http://localhost:7342/api/real/twitter/active_tweets",
    "write": "curl -X POST http://localhost:7342/api/real/cluster/write_test",
    "documents": "curl http://localhost:7342/api/real/collab/active_documents",
    "products": "curl http://localhost:7342/api/real/inventory/active_products",
}
READABLE = dict.fromkeys(LINES, 200)
NOBODY_THERE = {"stats": 200, "tweets": 503, "write": 503, "documents": 503, "products": 503}


def curl(service: Any, line: str) -> tuple[int, Any]:
    """Status and JSON of a line as people type it, but for the port."""
    command = line.replace(":7342", f":{service.port}").split()
    done = subprocess.run(
        [*command, "-s", "-w", "\n%{http_code}"], capture_output=True, text=True, timeout=60, check=True
    )
    body, _, status = done.stdout.rpartition("\n")
    assert "Traceback" not in body
    answer = json.loads(body)
    assert answer["success"] is (status == "200") or answer.get("results")
    if status != "200":
        assert answer["detail"], body
    return int(status), answer


def statuses(service: Any, answers: dict[str, Any]) -> dict[str, int]:
    found = {}
    for name, line in LINES.items():
        found[name], answers[name] = curl(service, line)
    return found


def test_the_lines_answer_in_every_state(
    live_cluster: StartCluster, serve: Callable[..., Any], until: Callable[..., None]
) -> None:
    cluster = live_cluster(nodes=3)
    for node in ALL:
        cluster.kill(node)
    service = serve(cluster, "--rate", "60", "--no-start")
    said: dict[str, Any] = {}
    assert statuses(service, said) == NOBODY_THERE, "no node was ever there"
    assert said["stats"]["running"] is False

    for node in ALL:
        cluster.restart(node)
    until(lambda: _healthy(service) == 3, within_s=20, what="all nodes healthy")
    assert statuses(service, said) == READABLE, "nothing runs"
    assert [said[name][name] for name in ("tweets", "documents", "products")] == [[], [], []]
    assert [result["status"] for result in said["write"]["results"]] == ["ok"] * 3

    for workload in said["stats"]["workloads"]:
        service.post("/api/real/traffic/start", {"workload": workload})
    until(
        lambda: all(service.stats[f"active_{name}"] >= 1 for name in ("tweets", "documents", "products")),
        within_s=30,
        what="tweets, documents and products",
    )
    assert statuses(service, said) == READABLE, "all three worlds run"
    assert said["stats"]["running"] is True
    assert all(tweet["text"] and tweet["vector_clock"] for tweet in said["tweets"]["tweets"])
    until(
        lambda: all(
            document["title"] and document["paragraphs"]
            for document in curl(service, LINES["documents"])[1]["documents"]
        ),
        within_s=10,
        what="whole documents (of one that has just begun only the title stands)",
    )
    assert said["products"]["products"]
    for name in ("tweets", "documents", "products"):
        assert said[name]["total_active"] >= len(said[name][name]) > 0

    cluster.kill("node-2")
    until(
        lambda: service.stats["nodes"]["node-2"]["state"] == "dead", within_s=20, what="node-2 known as dead"
    )
    assert statuses(service, said) == READABLE, "one node is dead"
    assert [result["status"] for result in said["write"]["results"]] == ["ok", "failed", "ok"]
    assert said["write"]["success"] is False

    cluster.kill("node-1")
    cluster.kill("node-3")
    until(lambda: _healthy(service) == 0, within_s=15, what="nobody healthy")
    assert statuses(service, said) == NOBODY_THERE, "all nodes are dead"

    for node in ALL:
        cluster.restart(node)
    before = service.stats["operations_total"]
    until(lambda: service.stats["operations_total"] > before + 50, within_s=30, what="traffic again")
    assert statuses(service, said) == READABLE, "all nodes are back"


def _healthy(service: Any) -> int:
    return sum(node["healthy"] for node in service.stats["nodes"].values())
