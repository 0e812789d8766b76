"""Who starts, who finds, and what an earlier life left behind. The nodes are stand-ins."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kvnode.cluster import LocalCluster
from kvnode.cluster.contract import to_json
from kvnode.cluster.paths import Paths

pytestmark = pytest.mark.live

StartCluster = Callable[..., LocalCluster]


def test_attach_or_start_starts_once_and_attaches_afterwards(
    cluster_state: Path, next_base_port: Callable[[], int], fake_node: list[str]
) -> None:
    base_port = next_base_port()

    def find() -> LocalCluster:
        return LocalCluster.attach_or_start("exp-cluster-found", base_port=base_port, node_command=fake_node)

    first, again = find(), find()
    assert (first.owned, again.owned) == (True, True), "a cell that runs twice still owns what it started"
    elsewhere = subprocess.run(
        [
            sys.executable,
            "-c",
            "from kvnode.cluster import LocalCluster\n"
            "cluster = LocalCluster.attach_or_start('exp-cluster-found')\n"
            "print(cluster.owned, cluster.stop(), len(cluster.nodes))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert elsewhere.stdout == "False False 3\n"
    assert again.stop()
    assert not first.stop()


def test_many_that_start_at_once_end_up_at_one_cluster(
    cluster_state: Path, next_base_port: Callable[[], int], fake_node: list[str]
) -> None:
    code = (
        "import json, sys\n"
        "from kvnode.cluster import LocalCluster\n"
        "options = json.loads(sys.argv[1])\n"
        "cluster = LocalCluster.attach_or_start('exp-cluster-race', **options)\n"
        "print(cluster.supervisor_pid, cluster.owned, flush=True)\n"
        "sys.stdin.readline()\n"
    )
    options = json.dumps({"base_port": next_base_port(), "node_command": fake_node})
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", code, options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    answers = [racer.stdout.readline().split() for racer in racers if racer.stdout is not None]
    for racer in racers:
        racer.communicate("\n", timeout=10)
    assert len({pid for pid, _ in answers}) == 1
    assert [owned for _, owned in answers].count("True") == 1


def test_who_attaches_while_another_starts_waits_until_all_nodes_are_ready(
    cluster_state: Path, next_base_port: Callable[[], int], fake_node: list[str], tmp_path: Path
) -> None:
    """The story: 1. one program starts the cluster. 2. A moment later another finds its supervisor, which answers
    already. 3. It went on at once, to nodes that were not there yet."""
    slow = tmp_path / "slow.py"
    slow.write_text(
        f"import os, sys, time; time.sleep(1); os.execv(sys.executable, {fake_node!r} + sys.argv[1:])"
    )
    code = (
        "import sys, time\n"
        "from kvnode.cluster import LocalCluster\n"
        "cluster = LocalCluster.attach_or_start('exp-cluster-slow', base_port=int(sys.argv[1]),\n"
        "    node_command=[sys.executable, sys.argv[2]])\n"
        "print(cluster.owned, *(node.state for node in cluster.nodes), flush=True)\n"
        "sys.stdin.readline()\n"
    )
    racers = []
    try:
        for _ in range(2):
            racers.append(
                subprocess.Popen(
                    [sys.executable, "-c", code, str(next_base_port()), str(slow)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            paths = Paths.of("exp-cluster-slow")
            while not paths.socket_path().exists():
                assert racers[0].poll() is None
                time.sleep(0.01)
        answers = [racer.stdout.readline().split() for racer in racers if racer.stdout is not None]
    finally:
        for racer in racers:
            racer.communicate("\n", timeout=10)
    assert answers == [["True", *["running"] * 3], ["False", *["running"] * 3]]


def test_a_stranger_with_the_id_of_a_dead_node_is_left_alone(fake_cluster: StartCluster) -> None:
    """The story: 1. a supervisor was killed, and its state.json named process 4711 as node-1. 2. Later somebody's
    `tail -f` of that node's log was given the id 4711. 3. Its command line named the cluster's folder, so the next
    start took it for the node and killed it."""
    cluster = fake_cluster("exp-cluster-stranger")
    folder, state = cluster.folder, cluster.state()
    log = folder / "node-1" / "log.jsonl"
    log.touch()
    cluster.stop()
    with subprocess.Popen(["tail", "-f", str(log)], start_new_session=True) as stranger:
        try:
            state.nodes[0].pid = stranger.pid
            (folder / "state.json").write_bytes(to_json(state))
            again = fake_cluster("exp-cluster-stranger", base_port=None)
            assert {node.state for node in again.nodes} == {"running"}
            assert stranger.poll() is None
        finally:
            stranger.kill()


@pytest.mark.parametrize(
    "content",
    [
        *(
            "[]",
            "nonsense",
            '{"nodes": 5}',
            '{"nodes": [{"name": "node-1", "pid": "seven"}]}',
            '{"sidecars": [7]}',
        ),
        *("[" * 100_000, '{"nodes": [{"name": {}, "pid": 1}]}', None),
    ],
    ids=lambda content: "folder" if content is None else content[:30],
)
def test_a_state_file_that_nobody_wrote_is_set_aside_with_a_sentence(
    fake_cluster: StartCluster, content: str | None
) -> None:
    cluster = fake_cluster("exp-cluster-odd")
    cluster.stop()
    path = cluster.folder / "state.json"
    if content is None:
        (path / "within").mkdir(parents=True)
    else:
        path.write_text(content)
    again = fake_cluster("exp-cluster-odd", base_port=None)
    [note] = again.notes
    assert note.startswith(f"{path} cannot be read (")
    [aside] = cluster.folder.glob("state.json.unreadable-*")
    assert note.endswith(f"; it was set aside as {aside.name}")
    assert {node.state for node in again.nodes} == {"running"}
