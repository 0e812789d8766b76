"""Real nodes that join and leave under the traffic of a service: it follows, by itself and without an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kvnode.cluster import LocalCluster

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

StartCluster = Callable[..., LocalCluster]


@pytest.mark.parametrize("processes", [1, 2])
def test_traffic_goes_to_a_node_that_joins_and_not_to_one_that_leaves(
    live_cluster: StartCluster, serve: Callable[..., Any], until: Callable[..., None], processes: int
) -> None:
    cluster = live_cluster(nodes=3)
    service = serve(cluster, "--rate", "150", "--processes", str(processes))

    def nodes() -> Any:
        return service.stats["nodes"]

    def through(node: str) -> int:
        return int(nodes()[node]["operations_total"]) if node in nodes() else 0

    until(lambda: service.stats["operations_total"] > 150, within_s=30, what="operations")
    assert set(nodes()) == {"node-1", "node-2", "node-3"}

    joined = cluster.join(timeout_s=90)
    until(lambda: joined.name in nodes(), within_s=10, what="the new node is noticed")
    until(lambda: through(joined.name) > 50, within_s=20, what="operations through the new node")
    until(lambda: nodes()[joined.name]["state"] == "alive", within_s=5, what="its health is followed")
    assert nodes()[joined.name]["url"] == joined.url

    cluster.leave("node-2", timeout_s=90)
    until(lambda: "node-2" not in nodes(), within_s=10, what="the one that left is forgotten")
    before = service.stats
    until(
        lambda: service.stats["operations_total"] > before["operations_total"] + 450,
        within_s=30,
        what="operations without the one that left",
    )
    after = service.stats
    for workload in ("twitter", "collab"):
        was, now = before["workloads"][workload], after["workloads"][workload]
        assert now["errors_total"] == was["errors_total"]
    resent = after["workloads"]["twitter"]["resent_total"] - before["workloads"]["twitter"]["resent_total"]
    print(f"resent {resent} of {after['operations_total'] - before['operations_total']} after the leave")
    assert resent <= 5
    assert after["errors_total"] == 0

    service.post("/api/real/traffic/stop")
    verdict = service.post("/api/real/traffic/check")
    assert (verdict["status"], verdict["lost"]) == ("ok", 0), verdict
