"""One node as a process: how it ends, what it refuses to start on, and that strangers and floods do not end it."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from kvnode.config import BODIES_BYTES_MAX, FILES_RESERVED

pytestmark = pytest.mark.live

BASE_PORT = 17_400
Run = Callable[..., "subprocess.Popen[str]"]


class Nodes:
    """A cluster file, and processes of its nodes; all are gone at the end."""

    def __init__(
        self, directory: Path, base_port: int, *, count: int = 3, cluster_id: str = "c" * 32
    ) -> None:
        self.directory = directory
        self.base_port = base_port
        self.file = directory / "cluster.json"
        self.running: list[subprocess.Popen[str]] = []
        nodes = [
            {
                "name": f"node-{number + 1}",
                "host": "127.0.0.1",
                "http_port": base_port + number,
                "peer_port": base_port + 50 + number,
            }
            for number in range(count)
        ]
        config = {"cluster": "exp-core-process", "cluster_id": cluster_id, "nodes": nodes, "replicas": 3}
        self.file.write_text(json.dumps({**config, "secret": "a-secret-of-these-nodes"}))
        self.file.chmod(0o600)

    def url(self, number: int) -> str:
        return f"http://127.0.0.1:{self.base_port + number - 1}"

    def start(self, number: int = 1, *extra: str, **options: Any) -> subprocess.Popen[str]:
        """A node's process; wait_ready() tells whether it serves."""
        name = f"node-{number}"
        command = [sys.executable, "-m", "kvnode", "--cluster-file", str(self.file), "--name", name]
        options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen(
            [*command, "--data-dir", str(self.directory / name), *extra],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        self.running.append(process)
        return process

    def start_ready(self, number: int = 1, *extra: str, **options: Any) -> subprocess.Popen[str]:
        process = self.start(number, *extra, **options)
        assert process.stdout is not None
        assert process.stdout.readline().startswith(f"ready node-{number} ")
        return process

    def log(self, number: int) -> list[dict[str, Any]]:
        lines = (self.directory / f"node-{number}" / "log.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture
def nodes(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Nodes]:
    started = Nodes(tmp_path, BASE_PORT + abs(hash(request.node.name)) % 100)
    yield started
    for process in started.running:
        process.kill()
        process.wait(timeout=10)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def until(condition: Callable[[], object], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def serves(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=2.0).status_code == 200
    except requests.RequestException:
        return False


def refused(process: subprocess.Popen[str], code: int, why: str) -> None:
    """It ended with this code and one line on stderr that says why, without a traceback."""
    out, said = process.communicate(timeout=15)
    assert process.returncode == code, said
    assert out == ""
    assert why in said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 1


# --- starts that are refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is not as expected"),
        (b"\xff\xfe\x00", "is not as expected"),
        (b'{"cluster": "x"}', "missing required field"),
        (b"[" * 100_000, "is not as expected"),
        (b'{"cluster": "x", "cluster_id": "y", "nodes": []}', "nodes: 0 given, expected 1 to 9"),
        (
            b'{"cluster": "x", "cluster_id": "y", "replicas": "three", "nodes": []}',
            "Expected `int`, got `str`",
        ),
    ],
    ids=["empty", "no text", "too little", "deep", "no nodes", "wrong type"],
)
def test_a_bad_cluster_file_is_exit_code_2_and_one_line(nodes: Nodes, content: bytes, why: str) -> None:
    nodes.file.write_bytes(content)
    refused(nodes.start(), 2, why)


def test_a_missing_cluster_file_and_an_unknown_name_are_exit_code_2(nodes: Nodes) -> None:
    refused(nodes.start(9), 2, "node 'node-9' is not in the cluster file, which has node-1, node-2, node-3")
    nodes.file.unlink()
    refused(nodes.start(), 2, "cannot read the cluster file")


def test_standard_input_that_never_closes_is_exit_code_2(nodes: Nodes) -> None:
    """1. --exit-with-stdin on /dev/null ended with a traceback, after the node had begun to serve."""
    refused(nodes.start(1, "--exit-with-stdin"), 2, "--exit-with-stdin needs a pipe")


def test_a_node_ends_with_its_standard_input(nodes: Nodes) -> None:
    process = nodes.start_ready(1, "--exit-with-stdin", stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=10) == 0


@pytest.mark.parametrize("offset", [0, 50], ids=["HTTP port", "peer port"])
def test_a_busy_port_is_exit_code_3_and_one_line(nodes: Nodes, offset: int) -> None:
    with socket.create_server(("127.0.0.1", nodes.base_port + offset)):
        refused(
            nodes.start(), 3, f"port {nodes.base_port} or {nodes.base_port + 50} of 127.0.0.1 cannot be used"
        )


def test_an_unusable_data_directory_is_exit_code_4_and_one_line(nodes: Nodes) -> None:
    (nodes.directory / "node-1").write_text("not a directory")
    refused(nodes.start(), 4, "cannot use the data directory")


def test_what_stands_in_the_place_of_a_file_is_put_aside(nodes: Nodes) -> None:
    """1. A folder named like the log of a node. 2. It could not be opened, and no start succeeded any more."""
    for name in ("log.jsonl", "lock", "data.sqlite", "data.sqlite-log0"):
        (nodes.directory / "node-1" / name).mkdir(parents=True)
    nodes.start_ready()
    assert serves(nodes.url(1))
    assert "data.sqlite-log0 is not a file" in str(nodes.log(1))


def test_a_data_directory_in_use_or_of_another_cluster_is_exit_code_4(nodes: Nodes, tmp_path: Path) -> None:
    first = nodes.start_ready()
    refused(nodes.start(), 4, "is in use by another process")
    first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=10) == 0
    Nodes(tmp_path, nodes.base_port, cluster_id="d" * 32)
    refused(nodes.start(), 4, "belongs to another cluster (id cccccc")


# --- ends ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_under_load_answers_what_is_under_way_and_loses_nothing(
    nodes: Nodes, number: signal.Signals
) -> None:
    nodes.file.write_text(nodes.file.read_text().replace('"replicas": 3', '"replicas": 1'))
    config = json.loads(nodes.file.read_text())
    nodes.file.write_text(json.dumps({**config, "nodes": config["nodes"][:1]}))
    process = nodes.start_ready()
    acknowledged: list[str] = []
    broken: list[str] = []

    def write(worker: int) -> None:
        with requests.Session() as session:
            for count in range(100_000):
                key = f"{worker}-{count}"
                try:
                    answer = session.put(f"{nodes.url(1)}/kv/{key}", json={"value": count}, timeout=5.0)
                except requests.ConnectionError as error:
                    if "RemoteDisconnected" in repr(error) or "Connection reset" in repr(error):
                        broken.append(key)
                    return
                assert answer.status_code == 200, answer.text
                acknowledged.append(key)

    writers = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for writer in writers:
        writer.start()
    until(lambda: len(acknowledged) > 100)
    process.send_signal(number)
    assert process.wait(timeout=10) == 0
    for writer in writers:
        writer.join(timeout=10)
    assert process.stderr is not None
    assert process.stderr.read() == ""
    database = sqlite3.connect(nodes.directory / "node-1" / "data.sqlite")
    stored = {key.removeprefix("kv/") for (key,) in database.execute("select key from records")}
    database.close()
    assert set(acknowledged) <= stored
    assert len(broken) <= 4


def test_a_signal_while_quorums_are_unmet_still_ends_cleanly(nodes: Nodes) -> None:
    process = nodes.start_ready()

    def write(key: int) -> None:
        try:
            answer = requests.put(f"{nodes.url(1)}/kv/{key}", json={"value": 1}, timeout=10.0)
            assert answer.status_code == 503
        except requests.ConnectionError:
            return

    writers = [threading.Thread(target=write, args=(key,)) for key in range(20)]
    for writer in writers:
        writer.start()
    until(lambda: requests.get(f"{nodes.url(1)}/stats", timeout=5).json()["requests_in_flight"] >= 15)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""
    for writer in writers:
        writer.join(timeout=10)


# --- strangers and floods --------------------------------------------------------------------------------------


def test_a_node_of_another_cluster_is_refused_and_knocks_only_now_and_then(
    nodes: Nodes, tmp_path: Path
) -> None:
    """1. A refused link dialled again after 50 ms, for ever: twenty lines a second in the other's log."""
    nodes.start_ready(1)
    other_directory = tmp_path / "other"
    other_directory.mkdir()
    other = Nodes(other_directory, nodes.base_port, cluster_id="d" * 32)
    nodes.running.append(other.start_ready(2))
    until(lambda: [line for line in nodes.log(1) if line["event"] == "peer_refused"])
    until(
        lambda: requests.get(f"{nodes.url(1)}/health", timeout=2).json()["members"]["node-2"] == "dead",
    )
    refusals = [line for line in nodes.log(1) if line["event"] == "peer_refused"]
    hung_up = "hung up on our hello, or did not answer it: does it know the secret?"
    came_and_went = {"belongs to another cluster", hung_up}
    assert "belongs to another cluster" in {line["why"] for line in refusals} <= came_and_went
    seconds = refusals[-1]["time"] - refusals[0]["time"]
    assert len(refusals) < 8 + 4 * seconds
    answer = requests.put(f"{nodes.url(1)}/kv/k", json={"value": 1}, timeout=5)
    assert answer.status_code == 503, "a stranger's acknowledgement must not count"


@pytest.mark.parametrize("loop", ["uvloop where there is one", "asyncio"])
def test_a_flood_of_connections_ends_no_node_and_locks_nobody_out(nodes: Nodes, loop: str) -> None:
    """1. More connections came than the node may have file descriptors, and stayed. 2. accept() failed: nobody else
    could connect, and the node could not open a file of its own.
    """
    limit = 160
    environment = dict(os.environ)
    if loop == "asyncio":
        (nodes.directory / "uvloop.py").write_text("raise ImportError")
        environment["PYTHONPATH"] = str(nodes.directory)
    process = nodes.start_ready(
        1,
        env=environment,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)),
    )
    flood = []
    try:
        for _ in range(3 * limit):
            stream = socket.socket()
            stream.settimeout(1.0)
            stream.connect_ex(("127.0.0.1", nodes.base_port))
            flood.append(stream)
        for _ in range(20):
            assert serves(nodes.url(1)), "while they all are there"
        assert psutil.Process(process.pid).num_fds() < limit
        http = requests.get(f"{nodes.url(1)}/stats", timeout=5).json()["http"]
        assert http["connections"] <= http["connections_max"] == limit - FILES_RESERVED
        assert http["made_way_total"] >= 2 * limit
    finally:
        for stream in flood:
            stream.close()
    assert "os_error" not in {line["event"] for line in nodes.log(1)}


def test_bodies_that_never_end_cost_no_more_than_their_share(nodes: Nodes) -> None:
    """1. Four hundred requests sent a megabyte each, but for the last byte. 2. The node grew by 340 MB, and kept it."""
    process = nodes.start_ready()
    before = psutil.Process(process.pid).memory_info().rss
    head = b"PUT /kv/k HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
    stalled = []
    try:
        for _ in range(400):
            stream = socket.create_connection(("127.0.0.1", nodes.base_port), timeout=5)
            stalled.append(stream)
            with contextlib.suppress(OSError):  # it is one of those for which there is no room
                stream.sendall(head + b"x" * 999_000)
        assert serves(nodes.url(1))
        grown = psutil.Process(process.pid).memory_info().rss - before
        http = requests.get(f"{nodes.url(1)}/stats", timeout=5).json()["http"]
        print(f"grown by {grown / 1e6:.0f} MB, {http}")
        assert http["bodies_bytes"] <= BODIES_BYTES_MAX
        assert grown < 2 * BODIES_BYTES_MAX
    finally:
        for stream in stalled:
            stream.close()


def test_curl_that_asks_for_http2_is_served_and_its_output_ends_with_a_newline(nodes: Nodes) -> None:
    """1. `curl --http2 -X PUT` asks to upgrade in its first request. 2. It was refused: "the body is empty"."""
    nodes.start_ready()
    ask = f"PUT /kv/k?w=1 HTTP/1.1\r\nHost: 127.0.0.1:{nodes.base_port}\r\nContent-Type: application/json\r\n"
    upgrade = (
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
    )
    with socket.create_connection(("127.0.0.1", nodes.base_port), timeout=5) as stream:
        stream.sendall(f"{ask}{upgrade}Content-Length: 12\r\n\r\n".encode() + b'{"value": 1}')
        answer = stream.recv(65536)
    assert b"the body is empty" not in answer
    assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 50")), answer
    assert answer.endswith(b"}\n")
