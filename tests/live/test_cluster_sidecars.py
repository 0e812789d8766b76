"""Sidecars: any command that lives as long as the cluster. The nodes are stand-ins."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from kvnode.cluster import BadCommand, LocalCluster, NodeFailed

pytestmark = pytest.mark.live

StartCluster = Callable[..., LocalCluster]


def test_a_sidecar_gets_its_environment_and_its_ready_line(
    fake_cluster: StartCluster, until: Callable[..., None]
) -> None:
    cluster = fake_cluster()
    script = (
        'echo one >&2; echo "hello $GREETED"; echo "ready http://127.0.0.1:1"; echo two >&2; exec sleep 1000'
    )
    sidecar = cluster.start_sidecar(
        "side", ["sh", "-c", script], env={"GREETED": "you"}, ready_prefix="ready "
    )
    assert (sidecar.state, sidecar.ready_line) == ("running", "ready http://127.0.0.1:1")
    printed = ["hello you", "one", "ready http://127.0.0.1:1", "two"]
    until(
        lambda: sorted(sidecar.log_file.read_text().splitlines()) == printed, within_s=2, what="all is logged"
    )
    with pytest.raises(BadCommand, match="a sidecar called 'side' runs already"):
        cluster.start_sidecar("side", ["sleep", "1"])
    cluster.stop_sidecar("side")
    assert cluster.sidecars == []
    with pytest.raises(BadCommand, match="no sidecar called 'side'; there is none"):
        cluster.stop_sidecar("side")


def test_the_children_of_a_sidecar_end_with_it(
    fake_cluster: StartCluster, until: Callable[..., None]
) -> None:
    cluster = fake_cluster()
    script = "trap '' TERM; sleep 1000 & echo ready $!; wait; wait"
    sidecar = cluster.start_sidecar("side", ["sh", "-c", script], ready_prefix="ready ")
    child = int(sidecar.ready_line.split()[1])
    os.kill(child, 0)
    cluster.stop()

    def is_gone() -> bool:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return True
        return False

    until(is_gone, within_s=2, what="the sidecar's child is gone")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["sh", "-c", "echo broken >&2; exit 7"], "side ended with exit code 7: broken"),
        (["/no/such/program"], "side cannot start /no/such/program"),
    ],
)
def test_a_sidecar_that_does_not_come_up_says_why(
    fake_cluster: StartCluster, argv: list[str], message: str
) -> None:
    with pytest.raises(NodeFailed, match=message):
        fake_cluster().start_sidecar("side", argv, ready_prefix="ready")
