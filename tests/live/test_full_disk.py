"""Nodes on a disk that is really full: a small file system of their own, in a mount namespace of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

SCRIPT = """
import json, os, subprocess, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from kvnode.cluster import LocalCluster
from kvnode.cluster.contract import to_json
from kvnode.errors import KvError

folder, base_port = Path(sys.argv[1]), int(sys.argv[2])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], check=True)
ballast = folder / "ballast"
seen = {}

def fill():
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass

def put(client, **more):
    try:
        return client.put("k1", "later", **more)["acknowledged_by"]
    except KvError as error:
        return [type(error).__name__, error.definite]

def soon(ask):
    deadline = time.monotonic() + 15
    while True:
        try:
            return ask()
        except KvError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)

with LocalCluster.start("exp-full", 3, base_port=base_port, state_dir=folder) as cluster:
    client = cluster.client()
    with ThreadPoolExecutor(8) as pool:  # so much that what a crash leaves in the log needs room of its own
        list(pool.map(lambda number: client.put(f"k{number}", "v" * 1500, w=3), range(1500)))
    fill()
    cluster.kill(2)
    cluster.restart(2)
    seen["after a kill"] = [node.state for node in cluster.nodes]
    seen["read"] = client.get("k7", r=1, node="node-2")["answered_by"]
    seen["read by all"] = sorted(soon(lambda: client.get("k1499", r=3, node="node-1"))["answered_by"])
    seen["write"] = put(client, node="node-2")
with LocalCluster.start("exp-full", state_dir=folder) as cluster:
    client = cluster.client()
    seen["after a stop of all"] = [node.state for node in cluster.nodes]
    seen["read again"] = sorted(soon(lambda: client.get("k7", r=3))["answered_by"])
    seen["write again"] = put(client, node="node-1")
    ballast.unlink()
    seen["with room"] = sorted(soon(lambda: client.put("k1", "at last", w=3, node="node-2"))["acknowledged_by"])
    soon(lambda: client.get("k1", r=3))
    until = time.monotonic() + 5
    while cluster.state().trouble and time.monotonic() < until:
        time.sleep(0.1)
    seen["state file"] = json.loads((cluster.folder / "state.json").read_text()) == json.loads(to_json(cluster.state()))
print(json.dumps(seen))
"""


def can_mount() -> bool:
    mount = "mkdir -p $0 && mount -t tmpfs tmpfs $0"
    tried = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount, "/tmp/quorum-lab-mount-test"], check=False, capture_output=True
    )
    return tried.returncode == 0


def test_nodes_start_on_a_full_disk_serve_reads_and_refuse_writes(
    cluster_state: Path, next_base_port: Callable[[], int]
) -> None:
    if not sys.platform.startswith("linux") or not can_mount():
        pytest.skip("a file system of one's own needs Linux and root")
    folder = cluster_state / "small"
    folder.mkdir()
    done = subprocess.run(
        ["unshare", "-m", sys.executable, "-c", SCRIPT, str(folder), str(next_base_port())],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "after a kill": ["running"] * 3,
        "read": ["node-2"],
        "read by all": ["node-1", "node-2", "node-3"],
        "write": ["QuorumUnmet", True],
        "after a stop of all": ["running"] * 3,
        "read again": ["node-1", "node-2", "node-3"],
        "write again": ["QuorumUnmet", True],
        "with room": ["node-1", "node-2", "node-3"],
        "state file": True,
    }
