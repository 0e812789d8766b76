"""How a session finds its cluster and its ports, and the sentence that tells it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kvnode.cluster import ClusterError, LocalCluster
from labkit.errors import LabError
from labkit.launch import TRAFFIC_PORT_VARIABLE, opening


def cluster(*states: str, owned: bool = False) -> Any:
    """A cluster with one node a state."""
    nodes = [
        SimpleNamespace(name=f"node-{number}", http_port=9998 + number, state=state)
        for number, state in enumerate(states, 1)
    ]
    return SimpleNamespace(name="quorum-lab", owned=owned, nodes=nodes)


SERVICE: Any = SimpleNamespace(url="http://127.0.0.1:7342")


@pytest.mark.parametrize("text", ["seven", "0", "70000", "-1", "7.5"])
def test_a_port_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(TRAFFIC_PORT_VARIABLE, text)
    with pytest.raises(LabError, match=f"{TRAFFIC_PORT_VARIABLE} is '{text}'"):
        opening._port_from(TRAFFIC_PORT_VARIABLE)


def test_the_summary_says_what_was_started_and_when_it_ends() -> None:
    summary = opening.summary_of(
        cluster("running", "running", "running", owned=True), SERVICE, found_traffic=False
    )
    assert summary.startswith("Started three database nodes (ports 9999, 10000, 10001)")
    assert "end with this notebook's kernel" in summary


def test_the_summary_says_what_was_found_and_which_node_is_down() -> None:
    summary = opening.summary_of(cluster("running", "dead", "running"), SERVICE, found_traffic=True)
    assert summary.startswith("Attached to the running cluster quorum-lab: three nodes")
    assert "node-2 is dead; press Restart or Reset" in summary


def test_a_service_started_for_somebody_elses_cluster_ends_with_that_cluster() -> None:
    summary = opening.summary_of(cluster("running"), SERVICE, found_traffic=False)
    assert "started a traffic service for it" in summary
    assert "ends with that cluster" in summary


@pytest.mark.parametrize("is_hub", [False, True])
def test_on_a_hub_where_students_share_loopback_a_new_cluster_demands_a_token(
    monkeypatch: pytest.MonkeyPatch, is_hub: bool
) -> None:
    asked: list[dict[str, Any]] = []

    def attach_or_start(name: str, nodes: int | None, **options: Any) -> Any:
        asked.append(options)
        raise ClusterError("not today")

    monkeypatch.setattr(LocalCluster, "attach_or_start", attach_or_start)
    monkeypatch.delenv(opening.HUB_VARIABLE, raising=False)
    if is_hub:
        monkeypatch.setenv(opening.HUB_VARIABLE, "student")
    with pytest.raises(LabError):
        opening.find_or_start()
    assert asked[0]["token"] is is_hub
