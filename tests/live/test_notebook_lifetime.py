"""What a notebook's kernel started ends with it, however it dies; what was there before stays."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from kvnode.cluster import LocalCluster

pytestmark = pytest.mark.live

GONE_WITHIN_S = 2.0
NAME = "exp-note-lifetime"
OPEN = "from labkit import Session; session = Session.open(); print(session)"
RUN_ON = """
import time
cockpit = session.cockpit()
session.start_traffic()
session.wait_until(lambda: session.history.latest and session.history.latest.operations_total > 20, what="traffic")
print("in mid-run")
while True: time.sleep(0.1)
"""

Kernel = tuple[KernelManager, BlockingKernelClient]


@pytest.fixture
def kernel(
    cluster_state: Path, next_base_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Kernel]:
    """A kernel as JupyterLab starts one, with a cluster name and ports of its own."""
    base_port = next_base_port()
    for variable, value in {
        "QUORUM_LAB_CLUSTER": NAME,
        "QUORUM_LAB_BASE_PORT": str(base_port),
        "QUORUM_LAB_TRAFFIC_PORT": str(base_port + 10),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
    }.items():
        monkeypatch.setenv(variable, value)
    manager, client = start_new_kernel()
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run(kernel: Kernel, code: str) -> str:
    """Run a cell to its end and give what it printed; a cell that fails fails the test."""
    printed: list[str] = []

    def output(message: dict[str, Any]) -> None:
        content = message["content"]
        assert message["msg_type"] != "error", f"{content.get('ename')}: {content.get('evalue')}"
        printed.append(content.get("text", ""))

    kernel[1].execute_interactive(code, timeout=60, output_hook=output)
    return "".join(printed)


def pids_of(state: Path) -> set[int]:
    """Supervisor, nodes and sidecars, from the state file."""
    found = json.loads((state / NAME / "state.json").read_text())
    pids = {found["supervisor_pid"], *(node["pid"] for node in found["nodes"])}
    return pids | {sidecar["pid"] for sidecar in found["sidecars"]}


def living(pids: set[int]) -> set[int]:
    """Those that still run."""
    alive = set()
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                alive.add(pid)
        except psutil.NoSuchProcess:
            continue
    return alive


def begin_to_run(kernel: Kernel) -> None:
    """Start a cell that never ends; back when traffic flows and the cell loops."""
    client = kernel[1]
    client.execute(RUN_ON)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        content = client.get_iopub_msg(timeout=30)["content"]
        if "in mid-run" in content.get("text", ""):
            return
    raise AssertionError("the cell never came to its loop")


def kill_in_mid_run(kernel: Kernel) -> None:
    """kill -9 while a cell computes and traffic runs."""
    manager = kernel[0]
    begin_to_run(kernel)
    assert manager.provisioner is not None
    os.kill(manager.provisioner.process.pid, signal.SIGKILL)  # type: ignore[attr-defined]


def test_kill_9_of_the_kernel_in_mid_run_leaves_nothing(kernel: Kernel, cluster_state: Path, until) -> None:
    assert "Started three database nodes" in run(kernel, OPEN)
    pids = pids_of(cluster_state)
    assert len(pids) == 5, "a supervisor, three nodes and the traffic service"
    assert living(pids) == pids
    run(kernel, "session.pause('node-3')")
    kill_in_mid_run(kernel)
    killed = time.monotonic()
    until(lambda: not living(pids), within_s=GONE_WITHIN_S, what=f"all of {pids} gone, a paused node too")
    print(f"all gone {(time.monotonic() - killed) * 1000:.0f} ms after kill -9")


def test_the_end_of_the_kernel_and_its_restart_end_what_it_started(
    kernel: Kernel, cluster_state: Path, until
) -> None:
    run(kernel, OPEN)
    pids = pids_of(cluster_state)
    kernel[0].restart_kernel(now=False)
    until(lambda: not living(pids), within_s=GONE_WITHIN_S, what=f"all of {pids} gone")


def test_an_interrupted_cell_leaves_the_cluster_running_and_the_next_cell_reuses_it(
    kernel: Kernel, cluster_state: Path
) -> None:
    run(kernel, OPEN)
    pids = pids_of(cluster_state)
    begin_to_run(kernel)
    kernel[0].interrupt_kernel()
    kernel[1].get_shell_msg(timeout=10)
    run(kernel, "first = session")
    run(kernel, OPEN)
    run(kernel, "assert session is first, 'a second run of the cell must reuse the session'")
    assert pids_of(cluster_state) == pids
    assert living(pids) == pids


def test_a_cluster_that_was_running_before_outlives_the_kernel(kernel: Kernel, cluster_state: Path) -> None:
    with LocalCluster.start(NAME, base_port=int(os.environ["QUORUM_LAB_BASE_PORT"])) as cluster:
        before = living({info.pid for info in cluster.nodes if info.pid})
        assert "Attached to the running cluster" in run(kernel, OPEN)
        kill_in_mid_run(kernel)
        time.sleep(GONE_WITHIN_S)  # the time in which everything would be gone if it were the kernel's
        assert living(before) == before
        assert all(info.state == "running" for info in cluster.nodes)


def test_a_failure_is_one_clear_sentence_without_a_traceback(kernel: Kernel) -> None:
    shown: list[str] = []

    def output(message: dict[str, Any]) -> None:
        shown.extend(message["content"].get("traceback", []))

    code = "import os; os.environ['QUORUM_LAB_TRAFFIC_PORT'] = 'seven'\n" + OPEN
    kernel[1].execute_interactive(code, timeout=60, output_hook=output)
    text = "\n".join(shown)
    assert "QUORUM_LAB_TRAFFIC_PORT is 'seven'" in text
    assert "Reason: a port is a number from 1 to 65535" in text
    assert "Traceback" not in text
    assert len(text.splitlines()) <= 3
