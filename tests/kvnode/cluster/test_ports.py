"""Which ports a cluster takes, and which it refuses."""

import socket
from pathlib import Path

import pytest

from kvnode.cluster.errors import BadCommand, StartFailed
from kvnode.cluster.ports import (
    EPHEMERAL_ELSEWHERE,
    PEER_OFFSET,
    check_base_port,
    choose,
    ephemeral_range,
    is_free,
    warn_of_ephemeral,
)

LINUX = (32_768, 60_999)


def pairs(*ports: int) -> list[tuple[int, int]]:
    return [(port, port + PEER_OFFSET) for port in ports]


def test_the_wanted_ports_are_taken_when_they_are_free() -> None:
    assert choose([9999, 10000, 10001], free=lambda port: True) == pairs(9999, 10000, 10001)


def test_a_busy_port_moves_only_its_own_node() -> None:
    assert choose([9999, 10000, 10001], free=lambda port: port != 10000) == pairs(9999, 10002, 10001)


def test_a_busy_peer_port_counts_too() -> None:
    assert choose([9999], free=lambda port: port != 19999) == pairs(10000)


def test_ports_to_avoid_are_not_chosen() -> None:
    assert choose([9999, 10000], avoid={10000}, free=lambda port: True) == pairs(9999, 10001)
    assert choose([9999], avoid={19999}, free=lambda port: True) == pairs(10000)


def test_peer_ports_and_http_ports_of_one_cluster_never_meet() -> None:
    chosen = choose([9999, 19999], free=lambda port: True)
    assert chosen == pairs(9999, 20000)
    assert len({port for pair in chosen for port in pair}) == 4


def test_no_free_port_says_what_to_do() -> None:
    with pytest.raises(StartFailed, match=r"no free port from 9999 upward.*--base-port"):
        choose([9999], free=lambda port: False)


@pytest.mark.parametrize("base_port", [80, 0, -1, 55_001, 65_535])
def test_a_base_port_without_room_for_peer_ports_is_refused(base_port: int) -> None:
    with pytest.raises(BadCommand, match="expected 1024 to 55000"):
        check_base_port(base_port)


@pytest.mark.parametrize("base_port", [1024, 9999, 22_760, 22_767, 22_768, 30_000, 31_700])
def test_no_port_is_one_that_the_kernel_lends_to_connections(base_port: int) -> None:
    """The story: 1. node-2's peer port was 40001. 2. It was killed, and while it was down the kernel gave 40001 to a
    browser's connection. 3. The restart found its port taken, and the node stayed dead."""
    chosen = choose([base_port + i for i in range(9)], free=lambda port: True, ephemeral=LINUX)
    assert [http for http, _ in chosen] == [base_port + i for i in range(9)]
    assert max(port for pair in chosen for port in pair) < LINUX[0]
    assert warn_of_ephemeral([port for pair in chosen for port in pair], LINUX) is None


def test_ports_that_cannot_be_kept_out_of_that_range_are_told() -> None:
    [pair] = choose([40_000], free=lambda port: True, ephemeral=LINUX)
    assert pair == (40_000, 50_000)
    warning = warn_of_ephemeral(pair, LINUX)
    assert warning is not None
    assert "ports such as 40000 lie in the range 32768-60999" in warning
    assert "--base-port 9999 avoids that" in warning
    everything = warn_of_ephemeral([9999], (1024, 65_535))
    assert everything is not None and "--base-port" not in everything, "no port would be better"


def test_the_range_is_the_kernels_or_the_usual_one(tmp_path: Path) -> None:
    file = tmp_path / "ip_local_port_range"
    assert ephemeral_range(file) == EPHEMERAL_ELSEWHERE
    file.write_text("15000\t64000\n")
    assert ephemeral_range(file) == (15_000, 64_000)
    file.write_text("nonsense")
    assert ephemeral_range(file) == EPHEMERAL_ELSEWHERE


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_with_a_listener_is_busy_and_free_again_afterwards(host: str) -> None:
    with socket.create_server((host, 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)


def test_a_port_whose_connections_linger_is_free() -> None:
    """The story: a node was killed; its connections stay in TIME_WAIT for a minute. It must get its port back."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # who closes first lingers
        assert client.recv(1) == b""
        client.close()
    assert is_free(port)
