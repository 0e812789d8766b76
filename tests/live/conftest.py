"""Clusters for tests that start processes. Each has a name, a state folder and ports of its own.

`fake_cluster` makes clusters of stand-in nodes (tests/kvnode/cluster/fake_node.py): fast, and about processes only.
`live_cluster` makes clusters of real nodes. Both are functions: call them to start one; whatever they started is
stopped at the end of the test, and then nothing of it may be left.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from kvnode.checkers import CounterRead, Ledger, SiblingRead, Verdict
from kvnode.client import Client
from kvnode.cluster import LocalCluster
from kvnode.errors import NotFound
from kvnode.messages import Hello, Proof, Welcome, decode, encode
from kvnode.net.frames import FrameReader, frame
from kvnode.net.handshake import Handshake, challenge

ROOT = Path(__file__).resolve().parents[2]
FAKE_NODE = [sys.executable, "-P", str(ROOT / "tests/kvnode/cluster/fake_node.py")]

# Every start asks for a new range, so that tests do not wait for each other's ports; a busy one is stepped over.
_base_ports = itertools.cycle(range(12_300 + os.getpid() % 40 * 10, 12_990, 20))

StartCluster = Callable[..., LocalCluster]


def poll_until(condition: Callable[[], object], *, within_s: float, what: str) -> None:
    """Poll until the condition holds; fail with `what` if it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.01)


def find_processes(text: str) -> list[psutil.Process]:
    """The living processes (no zombies) whose command line holds this text."""
    found = []
    for process in psutil.process_iter():
        try:
            is_ours = process.pid != os.getpid() and text in " ".join(process.cmdline())
            if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def speak_as(cluster: LocalCluster, name: str, to: str, secret: str | None = None) -> socket.socket:
    """A connection to a node's peer port on which `name` has said hello and proved that it knows the secret."""
    known = json.loads((cluster.folder / "cluster.json").read_text())
    handshake = Handshake(secret or known["secret"], known["cluster_id"], dialer=name, listener=to)
    stream = socket.create_connection(("127.0.0.1", cluster.node(to).peer_port), timeout=10.0)
    mine = challenge()
    stream.sendall(frame(encode(Hello(known["cluster_id"], name, mine))))
    [payload] = FrameReader().feed(stream.recv(65_536))
    welcome = decode(payload)
    assert isinstance(welcome, Welcome)
    stream.sendall(frame(encode(Proof(handshake.proof("dialer", mine, welcome.challenge)))))
    return stream


@pytest.fixture(scope="session", name="speak_as")
def speak_as_fixture() -> Callable[..., socket.socket]:
    """See speak_as."""
    return speak_as


@pytest.fixture(scope="session")
def until() -> Callable[..., None]:
    """until(condition, within_s=…, what=…) polls, and fails with `what` if the condition does not hold in time."""
    return poll_until


@pytest.fixture(scope="session")
def processes_mentioning() -> Callable[[str], list[psutil.Process]]:
    """The living processes whose command line holds a text."""
    return find_processes


@pytest.fixture(scope="session")
def fake_node() -> list[str]:
    """The command of a stand-in node."""
    return FAKE_NODE


@pytest.fixture
def next_base_port() -> Callable[[], int]:
    """A base port that no other test of this run asks for."""
    return lambda: next(_base_ports)


@pytest.fixture
def cluster_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of this test's own; at the end nothing that mentions it may be alive."""
    monkeypatch.setenv("QUORUM_LAB_STATE", str(tmp_path))
    yield tmp_path
    try:
        poll_until(
            lambda: not find_processes(str(tmp_path)),
            within_s=3.0,
            what=f"everything of this test is gone: {find_processes(str(tmp_path))}",
        )
    finally:
        for left in find_processes(str(tmp_path)):
            left.kill()


@pytest.fixture
def live_cluster(cluster_state: Path, next_base_port: Callable[[], int]) -> Iterator[StartCluster]:
    """Start clusters of real nodes: live_cluster(nodes=3, …) as LocalCluster.start."""
    yield from _starter("exp-cluster-live", next_base_port, {})


@pytest.fixture
def fake_cluster(cluster_state: Path, next_base_port: Callable[[], int]) -> Iterator[StartCluster]:
    """Start clusters of stand-in nodes: fake_cluster(nodes=3, …) as LocalCluster.start."""
    yield from _starter("exp-cluster-fake", next_base_port, {"node_command": FAKE_NODE})


class TrafficService:
    """A running `python -m traffic serve`."""

    def __init__(self, cluster: LocalCluster, *options: str) -> None:
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "traffic", "serve", "--port", str(self.port)),
                *("--nodes", ",".join(cluster.urls), "--exit-with-stdin", *options),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f"ready traffic {self.url}\n", self.process.communicate()[1]

    def get(self, path: str) -> Any:
        return requests.get(self.url + path, timeout=10).json()

    def post(self, path: str, body: Any = None) -> Any:
        return requests.post(self.url + path, json=body, timeout=60).json()

    def put(self, path: str, body: Any) -> Any:
        return requests.put(self.url + path, json=body, timeout=10).json()

    @property
    def stats(self) -> Any:
        return self.get("/api/real/traffic/stats")

    def stop(self) -> tuple[int, str]:
        """Exit status and standard error after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=10)
        return self.process.returncode, errors


@pytest.fixture
def serve() -> Iterator[Callable[..., TrafficService]]:
    """Starts services; at the end each must stop gracefully and without a word on stderr."""
    started: list[TrafficService] = []

    def start(cluster: LocalCluster, *options: str) -> TrafficService:
        started.append(TrafficService(cluster, *options))
        return started[-1]

    yield start
    for service in started:
        if service.process.poll() is None:
            assert service.stop() == (0, "")


def try_operation(
    operation: Any,
    mode: Any,
    *,
    examples: int,
    session: requests.Session,
    then: Callable[[], None] = lambda: None,
) -> int:
    """Send generated requests, good or bad ones; each answer must be a documented one. Returns how many were sent.

    then: called after each. Not checked is whether a request was taken or refused: a schema cannot say what an opaque
    context is, or count bytes.
    """
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.specs.openapi import checks

    answers = [
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]
    sent = 0

    @given(case=operation.as_strategy(mode))
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def each(case: Any) -> None:
        nonlocal sent
        sent += 1
        case.call_and_validate(session=session, timeout=30, checks=answers)
        then()

    try:
        each()
    except Exception as error:
        if type(error).__name__ not in (
            "Unsatisfiable",
            "SkipTest",
        ):  # it has nothing that could be sent wrong
            raise
    return sent


@pytest.fixture(scope="session")
def tried() -> Callable[..., int]:
    """tried(operation, mode, examples=…, session=…) holds answers against the document, see try_operation."""
    return try_operation


@pytest.fixture(scope="session")
def final_reads() -> Callable[[Client, Ledger], Verdict]:
    """Reads everything back with r=2 and judges it by the ledger."""

    def siblings(client: Client, key: str) -> list[SiblingRead]:
        try:
            found = client.get(key, r=2)["siblings"]
        except NotFound as error:
            found = error.extra.get("siblings", [])
        return [SiblingRead.of(each) for each in found]

    def judge(client: Client, ledger: Ledger) -> Verdict:
        return ledger.check(
            {key: siblings(client, key) for key in ledger.keys},
            {key: CounterRead.of(client.counter(key, r=2)) for key in ledger.counters},
        )

    return judge


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _starter(name: str, next_base_port: Callable[[], int], fixed: dict[str, Any]) -> Iterator[StartCluster]:
    started: list[LocalCluster] = []

    def start(name: str = name, **options: Any) -> LocalCluster:
        if "base_port" not in options:
            options["base_port"] = next_base_port()
        cluster = LocalCluster.start(name, **{**fixed, **options})
        started.append(cluster)
        return cluster

    yield start
    for cluster in started:
        cluster.stop(force=True)
