"""scripts/start_demo_ui.sh as a person runs it: what is up, and that nothing is left whatever ends it."""

import contextlib
import os
import re
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from kvnode.cluster import LocalCluster

pytestmark = pytest.mark.live

ROOT = Path(__file__).resolve().parents[2]
MARK = "QUORUM_LAB_DEMO_TEST"
UP_WITHIN_S = 60.0
GONE_WITHIN_S = 4.0
Until = Callable[..., None]


@dataclass
class Demo:
    """One started script: its process, what it printed so far, the mark that all its children carry."""

    process: subprocess.Popen[str]
    output: Path
    mark: str
    traffic: str

    def said(self) -> str:
        return self.output.read_text()

    def is_up(self) -> bool:
        assert self.process.poll() is None, self.said()
        return "Ctrl-C stops everything" in self.said()

    def notebook_url(self) -> str:
        found = re.search(r"The notebook:\s+(\S+)", self.said())
        assert found, self.said()
        return found[1]

    def node_urls(self) -> list[str]:
        return re.findall(r"^node-\d+\s+(http://\S+)", self.said(), re.MULTILINE)

    def processes(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if carries(process, self.mark)]


def carries(process: psutil.Process, mark: str) -> bool:
    with contextlib.suppress(psutil.Error, OSError):
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == mark
    return False


def listens(url: str) -> bool:
    port = int(url.split(":")[2].split("/")[0])
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def start_demo(
    cluster_state: Path, tmp_path: Path, next_base_port: Callable[[], int], until: Until
) -> Iterator[Callable[..., Demo]]:
    """start_demo("--no-lab", …) runs the script with ports of its own and waits until it is up."""
    started: list[Demo] = []

    def start(*arguments: str, port: int | None = None, wait: bool = True) -> Demo:
        port = port or free_port()
        mark = secrets.token_hex(8)
        output = tmp_path / f"demo-{len(started)}.txt"
        fixed = ["--no-browser", "--cluster", "exp-demo", "--port", str(port), "--lab-port", str(free_port())]
        fixed += ["--base-port", str(next_base_port())]
        with output.open("w") as log:
            process = subprocess.Popen(
                ["bash", "scripts/start_demo_ui.sh", *fixed, *arguments],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                env={**os.environ, MARK: mark},
            )
        demo = Demo(process, output, mark, f"http://localhost:{port}")
        started.append(demo)
        if wait:
            until(demo.is_up, within_s=UP_WITHIN_S, what="the demo is up")
        return demo

    yield start
    for demo in started:
        for process in demo.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        demo.process.wait(10)


def get(url: str) -> Any:
    answer = requests.get(url, timeout=5)
    assert answer.status_code == 200, answer.text
    return answer.json()


def start_a_kernel(demo: Demo) -> None:
    base, _, rest = demo.notebook_url().partition("/lab/tree/")
    token = rest.partition("token=")[2]
    answer = requests.post(
        f"{base}/api/kernels", headers={"Authorization": f"token {token}"}, json={}, timeout=20
    )
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(
    "how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda n: n.name
)
def test_everything_is_up_and_the_end_leaves_nothing(
    start_demo: Callable[..., Demo], until: Until, how: signal.Signals
) -> None:
    demo = start_demo()
    nodes = demo.node_urls()
    assert len(nodes) == 3
    assert all(get(f"{url}/health")["status"] == "ok" for url in nodes)
    until(
        lambda: get(f"{demo.traffic}/api/real/twitter/active_tweets")["tweets"],
        within_s=10,
        what="tweets arrive",
    )
    assert get(f"{demo.traffic}/api/real/traffic/stats")["workloads"]["twitter"]["target_rate"] == 50
    assert get(f"{demo.traffic}/api/real/collab/active_documents")["success"]
    assert requests.post(f"{demo.traffic}/api/real/cluster/write_test", timeout=5).json()["success"]
    notebook = demo.notebook_url()
    assert requests.get(notebook, timeout=20).status_code == 200
    assert (
        requests.get(notebook.partition("?")[0], timeout=20, allow_redirects=False).status_code == 302
    )  # no token
    start_a_kernel(demo)
    assert len(demo.processes()) >= 7  # launcher, supervisor, nodes, traffic, watchdog, Lab, kernel

    demo.process.send_signal(how)
    status = demo.process.wait(20)

    assert status == (-signal.SIGKILL if how == signal.SIGKILL else 0), demo.said()
    until(lambda: not demo.processes(), within_s=GONE_WITHIN_S, what="every process is gone")
    assert not any(listens(url) for url in [*nodes, demo.traffic, notebook])


def test_a_second_start_is_up_in_ten_seconds_with_the_same_data(
    start_demo: Callable[..., Demo], until: Until
) -> None:
    first = start_demo("--no-lab")
    url = first.node_urls()[0]
    requests.put(f"{url}/kv/kept", json={"value": "yes"}, timeout=5).raise_for_status()
    first.process.send_signal(signal.SIGINT)
    assert first.process.wait(20) == 0

    is_busy = os.getloadavg()[0] > (os.cpu_count() or 1)
    began = time.monotonic()
    second = start_demo()
    assert time.monotonic() - began < 10 or is_busy  # with other work on every core it says nothing
    assert get(f"{second.node_urls()[0]}/kv/kept")["value"] == "yes"
    second.process.send_signal(signal.SIGINT)
    assert second.process.wait(20) == 0


def test_a_running_cluster_is_used_and_left_running(
    start_demo: Callable[..., Demo], next_base_port: Callable[[], int]
) -> None:
    with LocalCluster.start("exp-demo", 2, base_port=next_base_port()) as cluster:
        demo = start_demo("--no-lab")
        assert "runs already" in demo.said()
        assert demo.node_urls() == cluster.urls
        demo.process.send_signal(signal.SIGTERM)
        assert demo.process.wait(20) == 0
        assert [node.state for node in cluster.nodes] == ["running", "running"]
        assert not any(sidecar.state == "running" for sidecar in cluster.sidecars)
        assert not listens(demo.traffic)


def test_a_traffic_port_that_a_stranger_holds_is_named(start_demo: Callable[..., Demo], until: Until) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = int(stranger.getsockname()[1])
        demo = start_demo("--no-lab", port=port, wait=False)
        assert demo.process.wait(30) == 1
    assert f"--port {port + 1}" in demo.said()
    assert "Traceback" not in demo.said()
    until(lambda: not demo.processes(), within_s=GONE_WITHIN_S, what="every process is gone")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--nodes", "0"), "expected a number from 1 to 9, got '0'"),
        (("--rate", "fast"), "expected operations/s from 0 to 5000, got 'fast'"),
        (("--lab-port", "99999"), "expected a number from 1 to 65535"),
    ],
)
def test_a_wrong_argument_is_explained(
    start_demo: Callable[..., Demo], arguments: tuple[str, str], said: str
) -> None:
    demo = start_demo(*arguments, wait=False)
    assert demo.process.wait(20) == 2
    assert said in demo.said()


def test_an_interrupt_in_mid_start_leaves_nothing(start_demo: Callable[..., Demo], until: Until) -> None:
    demo = start_demo(wait=False)
    until(lambda: "starting the cluster" in demo.said(), within_s=20, what="it has begun")
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(30) == 0, demo.said()
    until(lambda: not demo.processes(), within_s=GONE_WITHIN_S, what="every process is gone")


def test_two_starts_at_the_same_instant_are_one_that_starts_and_one_that_finds(
    start_demo: Callable[..., Demo], next_base_port: Callable[[], int], until: Until
) -> None:
    """The story: two terminals, one command. Both found nothing, both started the traffic service, and the second one
    ended with "a sidecar called 'traffic' runs already", or with "port 7342 is held by another program"."""
    for _ in range(3):
        port = free_port()
        both = [start_demo("--no-lab", port=port, wait=False) for _ in range(2)]
        until(lambda: all(demo.is_up() for demo in both), within_s=UP_WITHIN_S, what="both are up")  # noqa: B023
        found = [demo for demo in both if "runs already: it is used" in demo.said()]
        [finder] = found
        [starter] = [demo for demo in both if demo is not finder]
        assert finder.node_urls() == starter.node_urls()
        assert all(demo.traffic in demo.said() or f":{port}" in demo.said() for demo in both)
        finder.process.send_signal(signal.SIGINT)
        assert finder.process.wait(20) == 0, finder.said()
        assert get(f"{starter.traffic}/api/real/traffic/stats")["workloads"], "what it found goes on"
        starter.process.send_signal(signal.SIGINT)
        assert starter.process.wait(20) == 0, starter.said()
        until(lambda: not any(d.processes() for d in both), within_s=GONE_WITHIN_S, what="all is gone")  # noqa: B023


def test_a_home_that_cannot_be_written_is_named_with_a_way_out(
    start_demo: Callable[..., Demo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QUORUM_LAB_STATE")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/proc/no-home")  # nobody can make a folder there, root neither
    demo = start_demo(wait=False)
    assert demo.process.wait(20) == 1, demo.said()
    assert "no folder /proc/no-home/.local/state/quorum-lab" in demo.said()
    assert "set QUORUM_LAB_STATE to one that can be written, such as " in demo.said()
    assert "Traceback" not in demo.said()


def test_with_another_folder_a_home_that_cannot_be_written_does_not_matter(
    start_demo: Callable[..., Demo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/proc/no-home")
    demo = start_demo()
    assert requests.get(demo.notebook_url(), timeout=20).status_code == 200
    start_a_kernel(demo)
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(20) == 0, demo.said()
