"""A token on loopback, which all users of a computer share: nobody without it, and everything of ours carries it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from kvnode.client import Client
from kvnode.cluster import LocalCluster
from kvnode.cluster.contract import to_json
from kvnode.errors import Unauthorized

pytestmark = pytest.mark.live

StartCluster = Callable[..., LocalCluster]


def test_a_neighbour_without_the_token_is_refused_and_the_owner_notices_nothing(
    live_cluster: StartCluster, serve: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QUORUM_LAB_TOKEN", raising=False)
    cluster = live_cluster(nodes=3, token=True)
    assert all("127.0.0.1" in url for url in cluster.urls)
    assert cluster.token is not None
    assert len(cluster.token) >= 32
    for url in cluster.urls:
        assert requests.get(f"{url}/health", timeout=5).status_code == 401
        assert requests.put(f"{url}/kv/x", json={"value": 1}, timeout=5).status_code == 401
        assert requests.post(f"{url}/faults", json={"rules": {}}, timeout=5).status_code == 401
    with pytest.raises(Unauthorized):
        Client(cluster.urls, token="guessed").put("x", 1)
    cluster.client().put("x", "mine")
    with cluster.lease("owner") as held:
        held.delay(30)
        assert cluster.client().get("x", r=2)["value"] == "mine"
    assert not cluster.faults()
    assert cluster.token not in to_json(cluster.state()).decode()


def test_traffic_on_a_cluster_by_its_name_finds_the_token_where_only_its_user_can(
    live_cluster: StartCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QUORUM_LAB_TOKEN", raising=False)
    cluster = live_cluster(nodes=3, token=True)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "traffic", "run", "twitter", "--cluster", cluster.name),
            *("--rate", "40", "--duration", "2"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (cluster.token or "?") not in done.stdout + done.stderr


def test_what_once_demanded_a_token_demands_it_from_then_on(
    fake_cluster: StartCluster, cluster_state: Path
) -> None:
    cluster = fake_cluster()
    assert cluster.token is None
    cluster.stop()
    guarded = fake_cluster(token=True)
    token = guarded.token
    guarded.stop()
    assert token is not None
    assert fake_cluster().token == token


def test_the_command_line_says_where_the_token_stands_and_never_the_token(
    cluster_state: Path, next_base_port: Callable[[], int], fake_node: list[str]
) -> None:
    words = ["--name", "exp-token", "--base-port", str(next_base_port()), "--token", "--detach"]
    command = [sys.executable, "-m", "kvnode.cluster", "start", *words, "--node-command", " ".join(fake_node)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    cluster = LocalCluster.attach("exp-token")
    try:
        assert done.returncode == 0, done.stderr
        assert "clients need the token; it stands in" in done.stdout
        assert cluster.token is not None
        assert cluster.token not in done.stdout
    finally:
        cluster.stop(force=True)
