"""The traffic service against real nodes: the seed's URLs in every state, ports, signals, parents."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from kvnode.cluster import LocalCluster

pytestmark = pytest.mark.live

StartCluster = Callable[..., LocalCluster]
Until = Callable[..., None]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_seeds_own_put_is_seen_among_the_active_tweets(
    live_cluster: StartCluster, serve: Callable[..., Any]
) -> None:
    cluster = live_cluster(nodes=3)
    service = serve(cluster, "--no-start")
    tweet = {"author": "teacher", "text": "hello class", "created_at": "2026-01-01T10:00:00+00:00"}
    response = requests.put(
        f"{cluster.urls[0]}/kv/tweet%2Fmine", json={"value": json.dumps(tweet)}, timeout=5
    )
    assert response.status_code == 200
    requests.post(f"{cluster.urls[1]}/counter/tweet%2Fmine%2Flikes", json={"increment": 3}, timeout=5)
    [listed] = service.get("/api/real/twitter/active_tweets")["tweets"]
    assert (listed["tweet_id"], listed["author"], listed["likes"]) == ("mine", "teacher", 3)
    assert listed["vector_clock"] == response.json()["vector_clock"]


def test_the_event_stream_brings_stats_twice_a_second(
    live_cluster: StartCluster, serve: Callable[..., Any]
) -> None:
    service = serve(live_cluster(nodes=1), "--rate", "20")
    began = time.monotonic()
    with requests.get(f"{service.url}/api/real/stream", stream=True, timeout=5) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        data = []
        for line in response.iter_lines():
            if line.startswith(b"data: "):
                data.append(json.loads(line[6:]))
            if len(data) == 5:
                break
    assert 1.5 < time.monotonic() - began < 4
    assert [picture["timestamp"] for picture in data] == sorted(picture["timestamp"] for picture in data)


def test_a_stop_ends_open_streams_and_answers_under_load(
    live_cluster: StartCluster, serve: Callable[..., Any]
) -> None:
    service = serve(live_cluster(nodes=3), "--rate", "200")
    with requests.get(f"{service.url}/api/real/stream", stream=True, timeout=5) as response:
        next(response.iter_lines())
        began = time.monotonic()
        assert service.stop() == (0, "")
        assert time.monotonic() - began < 4


def test_it_ends_with_its_parent(live_cluster: StartCluster, serve: Callable[..., Any]) -> None:
    service = serve(live_cluster(nodes=1), "--rate", "50")
    assert service.process.stdin is not None
    service.process.stdin.close()
    assert service.process.wait(3) == 0


@pytest.mark.parametrize("standard_input", ["</dev/null", "<&-"])
def test_it_ends_at_once_when_there_is_no_standard_input(standard_input: str) -> None:
    command = f"{sys.executable} -m traffic serve --port {free_port()} --nodes http://127.0.0.1:1 --no-start"
    done = subprocess.run(
        ["sh", "-c", f"{command} --exit-with-stdin {standard_input}"],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_second_service_names_the_first(live_cluster: StartCluster, serve: Callable[..., Any]) -> None:
    cluster = live_cluster(nodes=1)
    service = serve(cluster, "--no-start")
    second = _serve_and_fail("--port", str(service.port), "--nodes", cluster.urls[0])
    assert second.returncode == 3
    assert second.stderr == (
        f"traffic: a traffic service of Quorum Lab runs at {service.url} already; use it, or --port\n"
    )
    assert service.stats["success"] is True


def test_a_strangers_port_is_reported_with_the_way_out() -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        failed = _serve_and_fail("--port", str(port), "--nodes", "http://127.0.0.1:1")
    assert failed.returncode == 3
    assert (
        failed.stderr == f"traffic: port {port} is taken by another program; choose another one with --port\n"
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--nodes", "nonsense"], "expected node URLs like http://127.0.0.1:9999, got 'nonsense'"),
        (["--nodes", "http://127.0.0.1:99999"], "expected node URLs"),
        (["--nodes", "http://127.0.0.1:9,http://127.0.0.1:9/"], "given twice"),
        (["--cluster", "no-such-cluster"], "no cluster 'no-such-cluster' is known here"),
        (["--rate", "-5"], "rate must be between 0 and 5000"),
        (["--rate", "fast"], "invalid float value: 'fast'"),
        (["--port", "99999"], "expected a port between 1 and 65535"),
        (["--w", "0"], "--w must be at least 1"),
    ],
)
def test_bad_arguments_are_one_line_and_status_2(
    options: list[str], says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("QUORUM_LAB_STATE", str(tmp_path))
    failed = _serve_and_fail(*options)
    assert failed.returncode == 2
    assert says in failed.stderr
    assert "Traceback" not in failed.stderr


def _serve_and_fail(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "traffic", "serve", *options],
        capture_output=True,
        text=True,
        timeout=20,
        env=dict(os.environ),
    )


def test_a_service_that_starts_before_its_nodes_waits_for_them(
    live_cluster: StartCluster, serve: Callable[..., Any], until: Until
) -> None:
    cluster = live_cluster(nodes=3)
    for node in ("node-1", "node-2", "node-3"):
        cluster.kill(node)
    service = serve(cluster, "--rate", "100")
    assert service.stats["operations_total"] == 0
    for node in ("node-1", "node-2", "node-3"):
        cluster.restart(node)
    until(lambda: service.stats["operations_total"] > 100, within_s=20, what="operations")
    assert service.post("/api/real/traffic/check")["status"] == "ok"
