"""The files of a cluster: written in one step, read as a value or not at all."""

import json
import stat
import threading
from pathlib import Path

import pytest

from kvnode.cluster.errors import ClusterError
from kvnode.cluster.state import ClusterFile, write_json
from kvnode.config import NodeAddress


def test_a_cluster_file_reads_back_as_it_was_written(tmp_path: Path) -> None:
    nodes = (
        NodeAddress("node-1", "127.0.0.1", 9999, 19999),
        NodeAddress("node-2", "127.0.0.1", 10000, 20000),
    )
    cluster = ClusterFile("lab", "ab" * 16, 2, nodes)
    cluster.write(tmp_path / "cluster.json")
    assert ClusterFile.read(tmp_path / "cluster.json") == cluster
    assert cluster.nodes[1].url == "http://127.0.0.1:10000"


def test_the_database_reads_the_same_file(tmp_path: Path) -> None:
    config = pytest.importorskip("kvnode.config")
    ClusterFile("lab", "ab" * 16, 1, (NodeAddress("node-1", "127.0.0.1", 9999, 19999),)).write(
        tmp_path / "c.json"
    )
    read = config.read_cluster_file(tmp_path / "c.json")
    assert (read.cluster, read.replicas, read.nodes[0].peer_port) == ("lab", 1, 19999)


def test_no_file_is_no_cluster(tmp_path: Path) -> None:
    assert ClusterFile.read(tmp_path / "cluster.json") is None


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "{}", '{"nodes": [{}]}', '{"nodes": 3}', "\x00", "[" * 100_000),
        '{"cluster": "c", "cluster_id": "d", "nodes": [], "replicas": Infinity, "partitions": 256}',
    ],
)
def test_a_broken_cluster_file_says_what_to_do(tmp_path: Path, content: str) -> None:
    (tmp_path / "cluster.json").write_text(content)
    with pytest.raises(ClusterError, match="--fresh"):
        ClusterFile.read(tmp_path / "cluster.json")


def test_a_file_is_private_and_leaves_no_temporary_one(tmp_path: Path) -> None:
    write_json(tmp_path / "state.json", {"a": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
    assert stat.S_IMODE((tmp_path / "state.json").stat().st_mode) == 0o600


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_json(path, {"number": 0, "padding": ""})
    done = threading.Event()

    def rewrite() -> None:
        for number in range(200):
            write_json(path, {"number": number, "padding": "x" * (number * 500 % 50_000)})
        done.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    seen = 0
    while not done.is_set():
        assert json.loads(path.read_bytes())
        seen += 1
    writer.join()
    assert seen > 0
