"""What commands do to processes, ports, files and link rules. The nodes are stand-ins."""

from __future__ import annotations

import contextlib
import json
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kvnode.cluster import BadCommand, LocalCluster, NodeFailed, StartFailed
from kvnode.cluster.contract import to_json

pytestmark = pytest.mark.live

StartCluster = Callable[..., LocalCluster]

CUT = {"cut": True}


def rules_at(cluster: LocalCluster, node: int) -> dict[str, Any]:
    """What the node itself says that it was told."""
    with urllib.request.urlopen(cluster.node(node).url + "/faults", timeout=2) as answer:
        rules: dict[str, Any] = json.load(answer)["rules"]
    return rules


def states(cluster: LocalCluster) -> list[str]:
    return [node.state for node in cluster.nodes]


# --- nodes -------------------------------------------------------------------------------------------------


def test_a_node_goes_through_its_states(fake_cluster: StartCluster) -> None:
    cluster = fake_cluster()
    before = cluster.node(2)
    cluster.kill("node-2")
    assert states(cluster) == ["running", "dead", "running"]
    cluster.restart(2)
    after = cluster.node("2")
    assert (after.state, after.http_port, after.restarts) == ("running", before.http_port, 1)
    assert after.pid != before.pid
    cluster.pause(2)
    cluster.pause(2)
    assert states(cluster) == ["running", "paused", "running"]
    cluster.resume(2)
    assert states(cluster) == ["running"] * 3
    cluster.pause(1)
    cluster.restart(1)
    assert states(cluster) == ["running"] * 3


def test_a_command_that_makes_no_sense_says_why(fake_cluster: StartCluster) -> None:
    cluster = fake_cluster()
    with pytest.raises(BadCommand, match="no node called 'node-9'; there are node-1, node-2, node-3"):
        cluster.kill(9)
    with pytest.raises(BadCommand, match="name at least one node"):
        cluster.kill()
    cluster.kill(1)
    with pytest.raises(BadCommand, match="node-1 is dead, so it cannot be paused; restart it first"):
        cluster.pause(1)
    with pytest.raises(BadCommand, match="node-1 is dead, not paused; use restart"):
        cluster.resume(1)


def test_a_wiped_node_has_lost_its_data_and_kept_its_log(fake_cluster: StartCluster) -> None:
    cluster = fake_cluster()
    data_dir = cluster.node(1).data_dir
    (data_dir / "log.jsonl").write_text("{}\n")
    assert (data_dir / "data").exists()
    cluster.wipe(1)
    assert [path.name for path in data_dir.iterdir()] == ["log.jsonl"]
    assert (cluster.node(1).state, cluster.node(1).reason) == ("dead", "killed, and its data deleted")
    assert cluster.node(1).wiped and state_file(cluster)["nodes"][0]["wiped"] is True
    cluster.restart(1)
    assert not cluster.node(1).wiped
    assert (data_dir / "data").exists()


def test_a_node_that_does_not_come_up_again_says_why(fake_cluster: StartCluster) -> None:
    cluster = fake_cluster()
    (cluster.node(3).data_dir / "fail").touch()
    with pytest.raises(NodeFailed, match="node-3 ended with exit code 4: the data directory is unusable"):
        cluster.restart(3)
    assert states(cluster) == ["running", "running", "failed"]
    assert "exit code 4" in cluster.node(3).reason


def test_a_node_that_is_killed_while_it_starts_is_dead_and_not_failed(fake_cluster: StartCluster) -> None:
    cluster = fake_cluster()
    restart = subprocess.Popen(
        [sys.executable, "-m", "kvnode.cluster", "restart", "2", "--name", cluster.name],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 5
    while cluster.node(2).state != "starting" and time.monotonic() < deadline:
        pass
    cluster.kill(2)
    restart.wait(10)
    assert (cluster.node(2).state, cluster.node(2).reason) == ("dead", "killed")


def test_reset_brings_everybody_back(fake_cluster: StartCluster) -> None:
    cluster = fake_cluster()
    cluster.kill(1)
    cluster.pause(2)
    cluster.partition([["node-3"]])
    cluster.delay(30)
    cluster.reset()
    assert states(cluster) == ["running"] * 3
    assert cluster.faults() == {}
    assert [rules_at(cluster, number) for number in (1, 2, 3)] == [{}, {}, {}]


def state_file(cluster: LocalCluster) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((cluster.folder / "state.json").read_text())
    return state


def test_what_reset_undid_is_gone_from_the_state_file_too(fake_cluster: StartCluster) -> None:
    """The story: 1. all links are slow, and a clock is wrong. 2. Reset, with every node running. 3. No process changed,
    so nothing wrote the state file. 4. Recordings and reports read that file, and went on with the delays."""
    cluster = fake_cluster()
    cluster.delay(30)
    cluster.skew(2, 5000)
    assert state_file(cluster)["nodes"][0]["rules"] != {}
    cluster.reset()
    assert state_file(cluster) == json.loads(to_json(cluster.state()))
    assert [node["rules"] for node in state_file(cluster)["nodes"]] == [{}, {}, {}]
    assert "clock_skew_ms" not in state_file(cluster)["nodes"][1]


def test_reset_undoes_faults_even_where_a_node_does_not_come_back(fake_cluster: StartCluster) -> None:
    cluster = fake_cluster()
    cluster.delay(30)
    (cluster.node(3).data_dir / "fail").touch()
    cluster.kill(3)
    with pytest.raises(NodeFailed, match="node-3 ended with exit code 4"):
        cluster.reset()
    assert [rules_at(cluster, number) for number in (1, 2)] == [{}, {}]
    assert state_file(cluster) == json.loads(to_json(cluster.state()))


# --- links -------------------------------------------------------------------------------------------------


def test_nodes_are_told_what_is_set(fake_cluster: StartCluster) -> None:
    cluster = fake_cluster()
    cluster.partition([["node-1"], ["node-2", "node-3"]])
    cluster.delay(20, jitter_ms=5, nodes=("node-2", "node-3"))
    slow = {"delay_ms": 20, "jitter_ms": 5}
    assert rules_at(cluster, 1) == {"node-2": CUT, "node-3": CUT}
    assert rules_at(cluster, 2) == {"node-1": CUT, "node-3": slow}
    assert cluster.faults()["node-2"] == {"node-1": CUT, "node-3": slow}
    cluster.heal()
    assert (rules_at(cluster, 1), rules_at(cluster, 2)) == ({}, {})


def test_reconnecting_leaves_the_delays(fake_cluster: StartCluster) -> None:
    cluster = fake_cluster()
    cluster.partition([["node-1"], ["node-2", "node-3"]])
    cluster.delay(20, nodes=("node-2", "node-3"))
    cluster.reconnect()
    assert rules_at(cluster, 1) == {}
    assert rules_at(cluster, 2) == {"node-3": {"delay_ms": 20}}
    assert state_file(cluster) == json.loads(to_json(cluster.state()))


def test_a_restarted_node_is_told_again_before_it_counts_as_running(fake_cluster: StartCluster) -> None:
    cluster = fake_cluster()
    cluster.isolate(2)
    cluster.kill(2)
    cluster.restart(2)
    assert rules_at(cluster, 2) == {"node-1": CUT, "node-3": CUT}


def test_what_changed_while_a_node_was_away_is_told_when_it_is_back(fake_cluster: StartCluster) -> None:
    cluster = fake_cluster()
    cluster.pause(1)
    cluster.kill(2)
    cluster.cut(1, 2, both_ways=False)
    cluster.cut(2, 3)
    cluster.resume(1)
    assert rules_at(cluster, 1) == {"node-2": CUT}
    cluster.restart(2)
    assert rules_at(cluster, 2) == {"node-3": CUT}


def test_after_many_delays_at_once_nodes_have_what_the_supervisor_says(fake_cluster: StartCluster) -> None:
    """A slider that is dragged sends delays faster than nodes take them; an older one must not arrive last."""
    cluster = fake_cluster()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(cluster.delay, range(1, 60)))
    assert {f"node-{number}": rules_at(cluster, number) for number in (1, 2, 3)} == cluster.faults()


# --- ports and files ---------------------------------------------------------------------------------------


def test_a_busy_port_is_stepped_over_and_remembered(
    fake_cluster: StartCluster, next_base_port: Callable[[], int]
) -> None:
    base_port = next_base_port()
    with socket.create_server(("127.0.0.1", base_port + 1)):
        cluster = fake_cluster("exp-cluster-busy", base_port=base_port)
        ports = [node.http_port for node in cluster.nodes]
        assert ports == [base_port, base_port + 3, base_port + 2]
        cluster.stop()
    again = fake_cluster("exp-cluster-busy", base_port=None)
    assert [node.http_port for node in again.nodes] == ports


def test_a_port_that_is_taken_between_choice_and_bind_makes_all_choose_again(
    fake_cluster: StartCluster, fake_node: list[str], next_base_port: Callable[[], int], tmp_path: Path
) -> None:
    """The story: 1. the supervisor finds the port free. 2. Somebody else takes it. 3. node-2 ends with exit code 3.
    4. node-1 and node-3 have read the old ports by then, so all start again with new ones."""
    base_port = next_base_port()
    thief = tmp_path / "thief.py"
    thief.write_text(
        "import os, sys\n"
        "mark = os.path.join(os.path.dirname(__file__), 'stolen')\n"
        "if 'node-2' in sys.argv and not os.path.exists(mark):\n"
        "    open(mark, 'w').close(); print('port in use', file=sys.stderr); sys.exit(3)\n"
        f"os.execv(sys.executable, {fake_node!r} + sys.argv[1:])\n"
    )
    cluster = fake_cluster(base_port=base_port, node_command=[sys.executable, str(thief)])
    assert states(cluster) == ["running"] * 3
    ports = [node.http_port for node in cluster.nodes]
    assert base_port + 1 not in ports
    written = json.loads((cluster.folder / "cluster.json").read_text())
    assert [node["http_port"] for node in written["nodes"]] == ports


def test_a_port_that_was_stolen_from_a_dead_node_fails_its_restart_clearly(
    fake_cluster: StartCluster,
) -> None:
    cluster = fake_cluster()
    port = cluster.node(2).http_port
    cluster.kill(2)
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(NodeFailed, match=f"port {port} or {port + 10_000} was taken by another program"):
            cluster.restart(2)
        assert cluster.node(2).state == "failed"
    cluster.restart(2)
    assert states(cluster) == ["running"] * 3


def test_data_and_identity_outlive_a_stop_and_fresh_deletes_them(fake_cluster: StartCluster) -> None:
    first = fake_cluster("exp-cluster-kept")
    (first.node(1).data_dir / "mine").touch()
    cluster_id = first.cluster_id
    first.stop()
    second = fake_cluster("exp-cluster-kept")
    assert second.cluster_id == cluster_id
    assert (second.node(1).data_dir / "mine").exists()
    second.stop()
    third = fake_cluster("exp-cluster-kept", fresh=True)
    assert third.cluster_id != cluster_id
    assert not (third.node(1).data_dir / "mine").exists()


def test_another_number_of_nodes_needs_a_fresh_cluster(fake_cluster: StartCluster) -> None:
    fake_cluster("exp-cluster-size").stop()
    with pytest.raises(BadCommand, match="was created with 3 nodes, not 5; --fresh deletes its data"):
        fake_cluster("exp-cluster-size", nodes=5)
    assert len(fake_cluster("exp-cluster-size", nodes=5, fresh=True).nodes) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nodes": 0}, "0 nodes: expected 1 to 9"),
        ({"nodes": 10}, "10 nodes: expected 1 to 9"),
        ({"nodes": 2, "replicas": 3}, "3 replicas: expected 1 to 2"),
        ({"base_port": 80}, "base port 80: expected 1024 to 55000"),
        ({"name": "no/name"}, "cluster name 'no/name'"),
    ],
)
def test_bad_numbers_are_refused_before_anything_starts(
    fake_cluster: StartCluster, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadCommand, match=message):
        fake_cluster(**options)


def test_a_cluster_of_which_one_node_cannot_start_leaves_nothing_running(fake_cluster: StartCluster) -> None:
    cluster = fake_cluster("exp-cluster-sick")
    (cluster.node(2).data_dir / "fail").touch()
    cluster.stop()
    with pytest.raises(StartFailed, match="node-2 ended with exit code 4"):
        fake_cluster("exp-cluster-sick")
    assert not (cluster.folder / "state.json").exists()


def test_state_files_and_socket_are_private_and_say_what_runs(fake_cluster: StartCluster) -> None:
    cluster = fake_cluster()
    state = json.loads((cluster.folder / "state.json").read_text())
    assert state == json.loads(to_json(cluster.state()))
    assert {node["state"] for node in state["nodes"]} == {"running"}
    assert stat.S_IMODE(cluster.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(state["socket"]).stat().st_mode) == 0o600
    cluster.stop()
    assert not (cluster.folder / "state.json").exists()
    assert not Path(state["socket"]).exists()


def test_a_state_folder_with_a_long_path_works_too(fake_cluster: StartCluster, tmp_path: Path) -> None:
    cluster = fake_cluster(state_dir=tmp_path / ("long" * 30))
    assert states(cluster) == ["running"] * 3
    assert not cluster.state().socket.startswith(str(tmp_path))
    cluster.stop()


def test_rubbish_on_the_socket_is_answered_and_harms_nobody(fake_cluster: StartCluster) -> None:
    cluster = fake_cluster()
    path = cluster.state().socket
    for line in (b"hello\n", b"[]\n", b'{"command": "fly"}\n', b'{"command": "kill"}\n', b"\xff\n"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            connection.sendall(line)
            assert json.loads(connection.makefile().readline())["ok"] is False
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(path)
        with contextlib.suppress(OSError):  # refused half-way: the line is beyond the bound
            connection.sendall(b"x" * 2_000_000)
    assert states(cluster) == ["running"] * 3
