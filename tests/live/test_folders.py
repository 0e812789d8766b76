"""Data folders of real nodes: an older copy that is put back is noticed, and the folder of another node is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kvnode.cluster import LocalCluster

pytestmark = pytest.mark.live

StartCluster = Callable[..., LocalCluster]


def folder_of(cluster: LocalCluster, node: str) -> Path:
    return next(info.data_dir for info in cluster.nodes if info.name == node)


def put_back(cluster: LocalCluster, node: str, copy: Path) -> None:
    folder = folder_of(cluster, node)
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)


def test_an_older_folder_is_set_aside_and_refilled(
    live_cluster: StartCluster, until: Callable[..., None], tmp_path: Path
) -> None:
    """1. node-1 ends in order and is copied. 2. It starts again and writes on. 3. The copy is put back."""
    cluster = live_cluster()
    client = cluster.client()
    node = cluster.nodes[0]
    for n in range(50):
        client.put(f"k{n}", "before", w=3)
    subprocess.run(["kill", "-TERM", str(node.pid)], check=True)
    until(lambda: cluster.node("node-1").state != "running", within_s=10, what="node-1 ends")
    shutil.copytree(folder_of(cluster, "node-1"), tmp_path / "copy")
    cluster.restart("node-1")
    dots = {client.put(f"k{n}", "after", w=3)["dot"] for n in range(50)}
    cluster.kill("node-1")
    put_back(cluster, "node-1", tmp_path / "copy")
    cluster.restart("node-1")

    def is_refilled() -> bool:
        stats = client.stats("node-1")
        return not stats["refill"]["partitions"] and not stats["generation_unconfirmed_by"]

    until(is_refilled, within_s=20, what="node-1 is refilled")
    folder = folder_of(cluster, "node-1")
    assert list(folder.glob("data.sqlite.corrupt-*")), "the older folder keeps its bytes under another name"
    assert "gone back in time" in (folder / "log.jsonl").read_text()
    again = {client.put(f"k{n}", "again", w=3)["dot"] for n in range(50)}
    assert not dots & again
    for n in range(50):
        got = client.get(f"k{n}", r=3)
        assert (got["value"], got["conflict"]) == ("again", False)


def test_a_node_does_not_start_on_the_folder_of_another(live_cluster: StartCluster) -> None:
    cluster = live_cluster()
    file = next(cluster.folder.glob("**/cluster.json"))
    cluster.kill("node-1", "node-2")
    command = [sys.executable, "-m", "kvnode", "--cluster-file", str(file), "--name", "node-2"]
    ended = subprocess.run(
        [*command, "--data-dir", str(folder_of(cluster, "node-1"))],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.returncode == 4, ended
    assert "belongs to node-1" in ended.stderr and "node-2 was started on it" in ended.stderr
    assert "Traceback" not in ended.stderr
