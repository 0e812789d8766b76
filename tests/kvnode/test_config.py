"""The cluster file: every fault of it is one line that says what was found and what was expected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kvnode import config
from kvnode.config import ConfigError, MaintenanceConfig, read_cluster_file


def content(**changes: Any) -> dict[str, Any]:
    nodes = [
        {"name": f"node-{n}", "host": "127.0.0.1", "http_port": 9998 + n, "peer_port": 19_998 + n}
        for n in (1, 2, 3)
    ]
    return {"cluster": "c", "cluster_id": "i", "nodes": nodes, "replicas": 3, "partitions": 256, **changes}


def node(**changes: Any) -> dict[str, Any]:
    return content(nodes=[{**content()["nodes"][0], **changes}])


def test_a_good_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    path.write_text(json.dumps({**content(secret="s" * 20), "something newer": 1}))
    path.chmod(0o600)
    cluster = read_cluster_file(path)
    assert cluster.names == ("node-1", "node-2", "node-3")
    assert cluster.address("node-2").url == "http://127.0.0.1:10000"
    with pytest.raises(
        ConfigError, match="node 'node-4' is not in the cluster file, which has node-1, node-2"
    ):
        cluster.address("node-4")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (content(nodes=[]), "nodes: 0 given, expected 1 to 9"),
        (content(nodes=content()["nodes"] * 2), "nodes: names must differ"),
        (node(name="Node 1"), "node name 'Node 1': expected lower-case letters, digits and dashes"),
        (content(replicas=0), "replicas: 0 given, expected at least 1"),
        (content(partitions=100), "partitions: 100 given, expected a power of two from 2 to 32768"),
        (content(partitions=1), "partitions: 1 given"),
        (node(http_port=0), "node-1: port 0 given, expected 1 to 65535"),
        (node(peer_port=70_000), "node-1: port 70000 given"),
        (node(host="0.0.0.0"), "is beyond loopback, which needs a secret and a token"),
        ({**node(host="10.1.2.3"), "secret": "s" * 20}, "needs a secret and a token"),
        (
            {**node(host="some.name"), "token": "t" * 20},
            "`python -m kvnode.cluster start --host some.name` makes both",
        ),
        (content(), 'secret: 3 nodes need one, by which they know each other: put "secret": "16 characters'),
        (content(secret="short"), "secret: expected at least 16 printable ASCII characters"),
        (content(token="with spaces " * 3), "token: expected at least 16 printable ASCII characters"),
        (node(http_port="9999"), "Expected `int`, got `str`"),
        ({"cluster": "c"}, "missing required field"),
    ],
)
def test_a_wrong_file_says_what_was_found_and_what_was_expected(
    tmp_path: Path, wrong: dict[str, Any], why: str
) -> None:
    path = tmp_path / "cluster.json"
    path.write_text(json.dumps(wrong))
    with pytest.raises(ConfigError) as caught:
        read_cluster_file(path)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_node_that_is_alone_needs_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    path.write_text(json.dumps(node()))
    assert read_cluster_file(path).secret is None


def test_a_host_beyond_loopback_is_served_with_a_secret_and_a_token(tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    path.write_text(json.dumps({**node(host="0.0.0.0"), "secret": "s" * 20, "token": "t" * 20}))
    with pytest.raises(ConfigError, match=r"others can read the cluster file .*chmod 600"):
        read_cluster_file(path)
    path.chmod(0o600)
    cluster = read_cluster_file(path)
    assert cluster.address("node-1").url == "http://127.0.0.1:9999"
    assert [config.is_loopback(host) for host in ("127.0.0.2", "::1", "localhost", "0.0.0.0", "a.b")] == [
        *(True, True, True, False, False)
    ]


def test_the_largest_record_of_all_coordinators_and_a_batch_fit_in_one_frame() -> None:
    """1. A record of many large siblings was larger than a frame: its replication cut the link, for ever."""
    largest = config.NODE_COUNT_MAX * config.RECORD_BYTES_MAX
    keys = config.BATCH_RECORDS_MAX * (config.KEY_BYTES_MAX + 32)
    assert largest + config.BATCH_BYTES_MAX + keys < config.FRAME_BYTES_MAX
    assert config.VALUE_BYTES_MAX + config.CONTEXT_BYTES_MAX + 4096 < config.RECORD_BYTES_MAX
    assert config.VALUE_BYTES_MAX + config.CONTEXT_BYTES_MAX < config.BODY_BYTES_MAX


@pytest.mark.parametrize("seconds", [0.0, 0.49, -1.0, 1e9, float("nan")])
def test_maintenance_that_is_too_frequent_or_too_seldom_is_named(seconds: float) -> None:
    with pytest.raises(ConfigError, match=r"maintenance: sweep_s=.*: expected 0.5 to"):
        MaintenanceConfig(sweep_s=seconds).check()
