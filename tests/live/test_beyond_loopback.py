"""Nodes that listen beyond loopback: who does not know the secret or the token is refused, and the nodes go on."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests

from kvnode.client import Client
from kvnode.cluster import LocalCluster
from kvnode.cluster.contract import to_json
from kvnode.errors import Unauthorized
from kvnode.messages import Hello, Moment, Ping, Proof, Welcome, decode, encode
from kvnode.net.frames import FrameReader, frame
from kvnode.net.handshake import Handshake, challenge

pytestmark = pytest.mark.live

StartCluster = Callable[..., LocalCluster]
ROUTES = (
    "/health",
    "/info",
    "/stats",
    "/metrics",
    "/ring",
    "/keys",
    "/merkle",
    "/openapi.json",
    "/kv/k",
    "/no-such",
)


@pytest.fixture
def cluster(live_cluster: StartCluster) -> LocalCluster:
    return live_cluster(nodes=3, host="0.0.0.0")


def cluster_file(cluster: LocalCluster) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((cluster.folder / "cluster.json").read_text())
    return content


def refusals(cluster: LocalCluster, node: str = "node-1") -> list[str]:
    lines = (cluster.folder / node / "log.jsonl").read_text().splitlines()
    return [line["why"] for line in map(json.loads, lines) if line["event"] == "peer_refused"]


class Stranger:
    """A connection to a node's peer port."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=5.0)
        self._frames = FrameReader()

    def say(self, *messages: Any) -> None:
        self._socket.sendall(b"".join(frame(encode(message)) for message in messages))

    def hear(self) -> Any:
        """The next message, or None if the node hung up."""
        while True:
            try:
                data = self._socket.recv(65_536)
            except ConnectionError:
                return None
            if not data:
                return None
            for payload in self._frames.feed(data):
                return decode(payload)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def dial(cluster: LocalCluster) -> Iterator[Callable[[], Stranger]]:
    """Connect to node-1's peer port."""
    opened: list[Stranger] = []

    def dial_() -> Stranger:
        opened.append(Stranger(cluster.node("node-1").peer_port))
        return opened[-1]

    yield dial_
    for stranger in opened:
        stranger.close()


def test_with_secret_and_token_the_cluster_works_and_neither_is_told(cluster: LocalCluster) -> None:
    client = cluster.client()
    client.put("k", "v", w=3)
    assert client.get("k", r=3)["value"] == "v"
    file = cluster.folder / "cluster.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    known = cluster_file(cluster)
    assert len(known["secret"]) >= 32 <= len(known["token"]) and known["secret"] != known["token"]
    cluster.isolate("node-3")
    cluster.heal()
    told = to_json(cluster.state()).decode() + (cluster.folder / "state.json").read_text()
    told += "".join(
        path.read_text() for path in cluster.folder.glob("**/*") if path.suffix in (".log", ".jsonl", ".out")
    )
    status = [sys.executable, "-m", "kvnode.cluster", "status", "--name", cluster.name, "--json"]
    told += subprocess.run(status, capture_output=True, text=True, timeout=20, check=True).stdout
    told += json.dumps(client.info("node-1")) + json.dumps(client.stats("node-1"))
    assert known["secret"] not in told
    assert known["token"] not in told


def test_secret_and_token_stay_over_a_restart_of_the_cluster(cluster: LocalCluster) -> None:
    before = cluster_file(cluster)
    cluster.client().put("k", "v")
    cluster.stop()
    with LocalCluster.start(cluster.name) as again:
        assert cluster_file(again) == before
        assert again.client().get("k")["value"] == "v"


@pytest.mark.parametrize(
    "shown", [None, "Bearer wrong", "Bearer ", "Basic {token}", "Bearer {token}x", "{token}"]
)
def test_a_client_without_the_token_is_refused_on_every_route(
    cluster: LocalCluster, shown: str | None
) -> None:
    headers = {} if shown is None else {"Authorization": shown.format(token=cluster.token)}
    for route in ROUTES:
        answer = requests.get(cluster.urls[0] + route, headers=headers, timeout=5)
        assert answer.status_code == 401, route
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["detail"] == "this cluster demands a token: send Authorization: Bearer TOKEN"
        assert answer.json()["definite"] is True
    answer = requests.put(f"{cluster.urls[0]}/kv/k", json={"value": 1}, headers=headers, timeout=5)
    assert answer.status_code == 401
    with pytest.raises(Unauthorized):
        Client(cluster.urls, token="guessed").put("k", 1)
    assert list(cluster.client().keys(node="node-1")) == []


def test_the_traffic_generator_takes_the_token_from_its_environment(cluster: LocalCluster) -> None:
    command = [sys.executable, "-m", "traffic", "run", "twitter", "--cluster", cluster.name]
    command += ["--rate", "20", "--duration", "2"]
    environment = {**os.environ, "QUORUM_LAB_TOKEN": cluster.token or ""}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        sum(cluster.client().stats(node)["operations"]["put"] for node in ("node-1", "node-2", "node-3")) > 0
    )


def test_strangers_on_the_peer_port_are_refused_and_the_nodes_go_on(
    cluster: LocalCluster, dial: Callable[[], Stranger], until: Callable[..., None]
) -> None:
    known = cluster_file(cluster)
    cluster_id, secret = known["cluster_id"], known["secret"]
    harm = Ping("node-2", ())

    without_secret = dial()
    without_secret.say(Hello(cluster_id, "node-2"), harm)
    assert without_secret.hear() is None

    mine = challenge()
    guesser = dial()
    guesser.say(Hello(cluster_id, "node-2", mine))
    welcome = guesser.hear()
    assert isinstance(welcome, Welcome)
    real = Handshake(secret, cluster_id, dialer="node-2", listener="node-1")
    assert real.is_proof(welcome.proof, "listener", mine, welcome.challenge), "the node proves itself first"
    wrong = Handshake("w" * 40, cluster_id, dialer="node-2", listener="node-1")
    guesser.say(Proof(wrong.proof("dialer", mine, welcome.challenge)), harm)
    assert guesser.hear() is None

    impatient = dial()
    impatient.say(Hello(cluster_id, "node-2", challenge()), harm)
    assert isinstance(impatient.hear(), Welcome)
    assert impatient.hear() is None

    echo = dial()
    echo.say(Hello(cluster_id, "node-2", challenge()))
    echo.say(Proof(echo.hear().proof))
    assert echo.hear() is None

    recorded = real.proof("dialer", mine, welcome.challenge)  # what a listener on the wire would have seen
    replayer = dial()
    replayer.say(Hello(cluster_id, "node-2", mine))
    assert isinstance(replayer.hear(), Welcome)
    replayer.say(Proof(recorded))
    assert replayer.hear() is None

    until(lambda: len(refusals(cluster)) == 5, within_s=5, what="each was logged in one line")
    assert refusals(cluster) == [
        "knows no secret, and this cluster has one",
        *["calls itself 'node-2' and did not prove that it knows the cluster's secret"] * 4,
    ]
    client = cluster.client()
    client.put("k", "still here", w=3)
    assert client.get("k", r=3)["value"] == "still here"


def test_who_knows_the_secret_is_admitted(cluster: LocalCluster, dial: Callable[[], Stranger]) -> None:
    known = cluster_file(cluster)
    mine = challenge()
    peer = dial()
    peer.say(Hello(known["cluster_id"], "node-2", mine))
    welcome = peer.hear()
    between = Handshake(known["secret"], known["cluster_id"], dialer="node-2", listener="node-1")
    peer.say(Proof(between.proof("dialer", mine, welcome.challenge)), Ping("node-2", ()))
    assert isinstance(peer.hear(), Moment), "who is admitted is told the time, over and over"
    assert refusals(cluster) == []


def test_a_node_with_another_secret_stays_alone(cluster: LocalCluster, until: Callable[..., None]) -> None:
    """Both directions: it is refused, and it sends nothing to nodes that do not prove what it knows."""
    file = cluster.folder / "cluster.json"
    right = file.read_text()
    file.write_text(json.dumps({**json.loads(right), "secret": "another-secret-that-is-long-enough"}))
    cluster.restart("node-3")
    client = cluster.client()
    until(
        lambda: client.health("node-1")["members"]["node-3"] == "dead",
        within_s=15,
        what="node-3 is not let in",
    )
    links = client.stats("node-3")["links"]
    assert not any(link["connected"] for link in links.values())
    client.put("k", "v", w=2, node="node-1")
    file.write_text(right)
    cluster.restart("node-3")
    until(lambda: client.health("node-1")["members"]["node-3"] == "alive", within_s=15, what="it is back")
    client.put("k", "v", w=3, node="node-1")


def test_a_node_beyond_loopback_without_both_does_not_start(tmp_path: Path) -> None:
    node = {"name": "node-1", "host": "0.0.0.0", "http_port": 22_190, "peer_port": 32_190}
    file = tmp_path / "cluster.json"
    file.write_bytes(
        msgspec.json.encode({"cluster": "c", "cluster_id": "i", "nodes": [node], "secret": "s" * 30})
    )
    file.chmod(0o600)
    command = [sys.executable, "-m", "kvnode", "--cluster-file", str(file), "--name", "node-1"]
    done = subprocess.run(
        [*command, "--data-dir", str(tmp_path / "data")],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 2
    assert "needs a secret and a token" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_cluster_from_before_there_were_secrets_gets_one_at_its_next_start(
    live_cluster: StartCluster,
) -> None:
    cluster = live_cluster(nodes=3)
    file = cluster.folder / "cluster.json"
    cluster.client().put("k", "v", w=3)
    cluster.stop()
    known = json.loads(file.read_text())
    del known["secret"]
    file.write_text(json.dumps(known))
    file.chmod(0o644)
    with LocalCluster.start(cluster.name) as again:
        made = cluster_file(again)["secret"]
        assert len(made) >= 32
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert again.client().get("k", r=3)["value"] == "v"
        assert cluster_file(again)["token"] is None, "on loopback clients need none"
    with LocalCluster.start(cluster.name) as again:
        assert cluster_file(again)["secret"] == made
