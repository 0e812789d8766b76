"""No node outlives its owner, however the owner ends; and nothing ends that should go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from kvnode.cluster import AlreadyRunning, LocalCluster, NotRunning
from kvnode.cluster.paths import Paths

pytestmark = pytest.mark.live

GONE_WITHIN_S = 2.0

StartCluster = Callable[..., LocalCluster]

OWNER = """
import json, os, sys, time
from kvnode.cluster import LocalCluster
options = json.loads(sys.argv[1])
cluster = LocalCluster.start(options.pop("name"), **options)
cluster.start_sidecar("side", ["sleep", "1000"])
BEFORE
print("up", flush=True)
AFTER
time.sleep(1000)
"""


@contextmanager
def owner(
    options: dict[str, object], *, before: str = "pass", after: str = "pass"
) -> Iterator[subprocess.Popen[str]]:
    """Another process that starts a cluster and holds it, in a process group of its own, as in a terminal."""
    code = OWNER.replace("BEFORE", before).replace("AFTER", after)
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), json.dumps(options)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def options(
    cluster_state: Path, next_base_port: Callable[[], int], fake_node: list[str]
) -> dict[str, object]:
    return {"name": "exp-cluster-owned", "base_port": next_base_port(), "node_command": fake_node}


def pids(cluster: LocalCluster) -> list[int]:
    """The supervisor, its nodes and its sidecars."""
    state = cluster.state()
    children = (*(node.pid for node in state.nodes), *(sidecar.pid for sidecar in state.sidecars))
    return [state.supervisor_pid, *(pid for pid in children if pid)]


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def assert_gone(pids: list[int]) -> float:
    """Wait until all are gone; returns how long it took, in s."""
    started = time.monotonic()
    while left := [pid for pid in pids if not gone(pid)]:
        assert time.monotonic() - started < GONE_WITHIN_S, f"alive after {GONE_WITHIN_S} s: {left}"
        time.sleep(0.005)
    return time.monotonic() - started


# --- the owner ends ----------------------------------------------------------------------------------------


def test_all_is_gone_when_the_owner_is_killed(options: dict[str, object]) -> None:
    with owner(options) as process:
        cluster = LocalCluster.attach(str(options["name"]))
        assert not cluster.owned
        everything = pids(cluster)
        assert len(everything) == 5
        process.kill()
        print(f"gone {assert_gone(everything) * 1000:.0f} ms after the owner's SIGKILL")
        with pytest.raises(NotRunning):
            cluster.status()


def test_a_paused_node_is_gone_too_when_the_owner_is_killed(options: dict[str, object]) -> None:
    with owner(options) as process:
        cluster = LocalCluster.attach(str(options["name"]))
        cluster.pause(1, 3)
        everything = pids(cluster)
        process.kill()
        assert_gone(everything)


def test_all_is_gone_when_the_owner_just_ends(options: dict[str, object]) -> None:
    with owner(options, after="sys.stdin.readline(); sys.exit(0)") as process:
        everything = pids(LocalCluster.attach(str(options["name"])))
        process.communicate("\n", timeout=5)
        assert process.returncode == 0
        assert_gone(everything)


def test_a_forked_child_of_the_owner_does_not_keep_the_cluster_alive(options: dict[str, object]) -> None:
    """The story: 1. a notebook starts a cluster. 2. multiprocessing forks a worker, which inherits the pipe. 3. The
    kernel is killed. The worker lives on and holds the pipe's end, but the cluster must not."""
    fork = "child = os.fork()\nif child == 0:\n    os.close(1); time.sleep(30); os._exit(0)"
    with owner(options, before=fork) as process:
        everything = pids(LocalCluster.attach(str(options["name"])))
        workers = psutil.Process(process.pid).children()
        process.kill()
        assert_gone(everything)
        for worker in workers:
            if worker.pid not in everything:
                worker.kill()


def test_the_pipe_held_by_a_stranger_does_not_keep_the_cluster_alive(options: dict[str, object]) -> None:
    """As above, but the child was made by C code that knows nothing of our pipe: the parent's id still tells."""
    keep = (
        "from kvnode.cluster.processes import starting\n"
        "end = next(iter(starting._owned.values())).stdin.fileno()\n"
        "import subprocess; subprocess.Popen(['sleep', '30'], pass_fds=[end], stdout=subprocess.DEVNULL)"
    )
    with owner(options, before=keep) as process:
        everything = pids(LocalCluster.attach(str(options["name"])))
        strangers = [child for child in psutil.Process(process.pid).children() if child.pid not in everything]
        assert [child.name() for child in strangers] == ["sleep"]
        process.kill()
        assert_gone(everything)
        strangers[0].kill()


def test_all_is_gone_when_the_supervisor_is_killed(fake_cluster: StartCluster) -> None:
    cluster = fake_cluster()
    cluster.start_sidecar("side", ["sleep", "1000"])
    cluster.pause(2)
    everything = pids(cluster)
    os.kill(cluster.supervisor_pid, signal.SIGKILL)
    print(f"gone {assert_gone(everything) * 1000:.0f} ms after the supervisor's SIGKILL")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_supervisor_takes_all_with_it_when_told_to_end(
    fake_cluster: StartCluster, number: signal.Signals
) -> None:
    cluster = fake_cluster()
    cluster.pause(2)
    everything = pids(cluster)
    os.kill(cluster.supervisor_pid, number)
    assert_gone(everything)
    assert not (cluster.folder / "state.json").exists()


# --- what must go on ---------------------------------------------------------------------------------------


def test_an_interrupt_of_the_owners_group_leaves_the_nodes_alone(options: dict[str, object]) -> None:
    ignore = "import signal; signal.signal(signal.SIGINT, lambda *_: print('interrupted', flush=True))"
    with owner(options, before=ignore) as process:
        cluster = LocalCluster.attach(str(options["name"]))
        before = pids(cluster)
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline() == "interrupted\n"
        assert pids(cluster) == before
        assert {node.state for node in cluster.nodes} == {"running"}


def test_a_detached_cluster_outlives_its_starter(options: dict[str, object]) -> None:
    with owner({**options, "detach": True}) as process:
        cluster = LocalCluster.attach(str(options["name"]))
        before = pids(cluster)
        process.kill()
        process.wait()
    assert not cluster.owned
    assert not cluster.stop(), "attached, so not ours to stop"
    assert pids(cluster) == before
    assert cluster.stop(force=True)
    assert_gone(before)


def test_a_killed_node_stays_dead_and_a_crash_shows_how_it_ended(
    fake_cluster: StartCluster, until: Callable[..., None]
) -> None:
    cluster = fake_cluster()
    cluster.kill(1)
    crashing = cluster.node(2).pid
    assert crashing is not None
    os.kill(crashing, signal.SIGSEGV)
    until(lambda: cluster.node(2).state == "dead", within_s=2, what="the crash is seen")
    assert cluster.node(2).reason == "was ended by SIGSEGV"
    assert [node.state for node in cluster.nodes] == ["dead", "dead", "running"]
    assert (cluster.node(1).pid, cluster.node(1).reason) == (None, "killed")


# --- side by side, and after a crash -----------------------------------------------------------------------


def test_two_clusters_side_by_side_do_not_meet(
    fake_cluster: StartCluster, next_base_port: Callable[[], int]
) -> None:
    base_port = next_base_port()
    one = fake_cluster("exp-cluster-one", base_port=base_port)
    other = fake_cluster("exp-cluster-two", base_port=base_port)
    ports = [
        port for each in (one, other) for node in each.nodes for port in (node.http_port, node.peer_port)
    ]
    assert len(set(ports)) == 12
    assert one.cluster_id != other.cluster_id
    one.stop()
    assert {node.state for node in other.nodes} == {"running"}


def test_a_second_start_of_a_name_says_how_to_stop_the_first(fake_cluster: StartCluster) -> None:
    fake_cluster("exp-cluster-twice")
    with pytest.raises(
        AlreadyRunning, match=r"runs already.*kvnode\.cluster stop --cluster exp-cluster-twice"
    ):
        fake_cluster("exp-cluster-twice")


def test_what_a_killed_supervisor_left_is_recognised_and_cleaned(fake_cluster: StartCluster) -> None:
    cluster = fake_cluster("exp-cluster-stale")
    everything, ports = pids(cluster), [node.http_port for node in cluster.nodes]
    os.kill(cluster.supervisor_pid, signal.SIGKILL)
    assert_gone(everything)
    paths = Paths.of("exp-cluster-stale")
    assert paths.state_file.exists()
    assert paths.socket_path().exists()
    with pytest.raises(NotRunning, match="is not running; start it"):
        LocalCluster.attach("exp-cluster-stale")
    assert not paths.state_file.exists()
    assert not paths.socket_path().exists()
    again = fake_cluster("exp-cluster-stale", base_port=None)
    assert [node.http_port for node in again.nodes] == ports


def test_nodes_that_a_killed_supervisor_left_are_killed_by_the_next(
    fake_cluster: StartCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The story, where the kernel does not tie lives: 1. a node is paused. 2. The supervisor is killed. 3. The paused
    node never sees the end of its stdin. 4. The next start finds its process id in state.json."""
    monkeypatch.setenv("QUORUM_LAB_LIFETIME", "pipe")
    cluster = fake_cluster("exp-cluster-left")
    cluster.start_sidecar("side", ["sleep", "1000"])
    cluster.pause(2)
    everything, paused = pids(cluster), cluster.node(2).pid
    assert paused is not None
    os.kill(cluster.supervisor_pid, signal.SIGKILL)
    assert_gone([pid for pid in everything if pid != paused])
    assert not gone(paused)
    with pytest.raises(NotRunning):
        LocalCluster.attach("exp-cluster-left")
    again = fake_cluster("exp-cluster-left", base_port=None)
    assert_gone([paused])
    assert {node.state for node in again.nodes} == {"running"}


def test_the_portable_way_leaves_nothing_either(
    options: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
    cluster_state: Path,
    until: Callable[..., None],
    processes_mentioning: Callable[[str], list[psutil.Process]],
) -> None:
    monkeypatch.setenv("QUORUM_LAB_LIFETIME", "pipe")
    with owner(options) as process:
        cluster = LocalCluster.attach(str(options["name"]))
        cluster.pause(1)
        everything = pids(cluster)
        process.kill()
        assert_gone(everything)
        until(lambda: not processes_mentioning(str(cluster_state)), within_s=2, what="watchdogs are gone")
