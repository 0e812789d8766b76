"""What is done under a lease is undone at its end, however its holder ends; and nothing that others did."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from kvnode.cluster import BadCommand, ClusterError, LocalCluster, NotRunning, control
from kvnode.cluster.contract import LeaseInfo, TakeLease, Undo

pytestmark = pytest.mark.live

GONE_WITHIN_S = 5.0
"""What the course promises of a kernel that was killed in the middle of a scene."""

StartCluster = Callable[..., LocalCluster]

HOLDER = """
import os, sys, time
from kvnode.cluster import LocalCluster
with LocalCluster.attach(sys.argv[1]).lease("a scene") as held:
    held.delay(700, nodes=(1, 2))
    held.isolate(3)
    held.skew(2, -5000)
    held.kill(1)
    held.pause(2)
    AFTER
    print("up", flush=True)
    time.sleep(1000)
"""


@contextmanager
def holder(cluster: LocalCluster, *, after: str = "pass") -> Iterator[subprocess.Popen[str]]:
    """Another process that breaks everything there is to break, as a kernel in a scene."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER.replace("AFTER", after)), cluster.name],
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


def is_whole(cluster: LocalCluster) -> bool:
    return all(
        info.state == "running" and not info.rules and not info.clock_skew_ms for info in cluster.nodes
    )


def test_a_holder_that_is_killed_leaves_no_fault_and_no_dead_node(
    fake_cluster: StartCluster, until: Callable[..., None]
) -> None:
    cluster = fake_cluster()
    with holder(cluster) as process:
        assert [info.state for info in cluster.nodes] == ["dead", "paused", "running"]
        assert cluster.state().leases == [LeaseInfo("a scene", process.pid, 7, ["node-1", "node-2"])]
        process.send_signal(signal.SIGKILL)
        process.wait()
        until(lambda: is_whole(cluster), within_s=GONE_WITHIN_S, what="everything is undone")
    until(lambda: not cluster.state().leases, within_s=1.0, what="the lease is gone")


def test_a_forked_child_that_keeps_the_connection_open_keeps_no_fault(
    fake_cluster: StartCluster, until: Callable[..., None]
) -> None:
    cluster = fake_cluster()
    fork = "os.fork() or (os.close(1), time.sleep(30), os._exit(0))"
    with holder(cluster, after=fork) as process:
        group = process.pid
        try:
            process.send_signal(signal.SIGKILL)
            process.wait()
            until(lambda: is_whole(cluster), within_s=GONE_WITHIN_S, what="everything is undone")
        finally:
            os.killpg(group, signal.SIGKILL)


def test_leaving_the_block_undoes_everything_before_the_next_line_even_after_an_error(
    fake_cluster: StartCluster,
) -> None:
    cluster = fake_cluster()
    with pytest.raises(ZeroDivisionError), cluster.lease() as held:
        held.delay(50)
        held.kill(2)
        held.pause(1)
        held.wipe(3)
        assert {info.state for info in cluster.nodes} == {"dead", "paused"}
        raise ZeroDivisionError
    assert is_whole(cluster)
    cluster.pause(1)
    with cluster.lease() as held:
        held.pause(1)
    assert cluster.node(1).state == "paused"
    with cluster.lease() as held:
        held.kill(1)
    assert is_whole(cluster)
    held.close()
    with pytest.raises(ClusterError, match="given back"):
        held.delay(50)


def test_what_was_wrong_before_and_what_others_do_meanwhile_stays(fake_cluster: StartCluster) -> None:
    cluster = fake_cluster()
    cluster.delay(20)
    cluster.kill(3)
    with cluster.lease("scene") as held:
        held.delay(700, nodes=(1, 2))
        held.restart(3)
        held.pause(2)
        cluster.skew(1, 250)
        cluster.resume(2)
        held.undo()
        assert {rule["delay_ms"] for info in cluster.nodes for rule in info.rules.values()} == {20.0}
        held.kill(2)
        cluster.restart(2)
        cluster.kill(2)
    nodes = {info.name: info for info in cluster.nodes}
    assert nodes["node-1"].clock_skew_ms == 250
    assert nodes["node-2"].state == "dead"
    assert {rule["delay_ms"] for info in nodes.values() for rule in info.rules.values()} == {20.0}


def test_several_threads_may_break_things_under_one_lease_and_looking_on_does_not_wait(
    fake_cluster: StartCluster,
) -> None:
    cluster = fake_cluster()
    with cluster.lease() as held:
        threads = [threading.Thread(target=held.delay, args=(10 * (place + 1),)) for place in range(8)]
        threads.append(threading.Thread(target=held.restart, args=(1,)))
        for thread in threads:
            thread.start()
        began_s = time.monotonic()
        assert held.nodes
        assert time.monotonic() - began_s < 1.0
        for thread in threads:
            thread.join()
    assert is_whole(cluster)


def test_what_makes_no_sense_is_refused_in_words_and_a_cluster_that_is_gone_needs_no_undoing(
    fake_cluster: StartCluster, cluster_state: Path
) -> None:
    cluster = fake_cluster()
    socket_path = Path(cluster.state().socket)

    with pytest.raises(BadCommand, match="only a lease can be undone"):
        control.ask(socket_path, Undo())
    with pytest.raises(BadCommand, match="makes no sense"):
        control.ask(socket_path, TakeLease(cast(int, "nobody")))
    with pytest.raises(BadCommand, match="no node called"), cluster.lease() as held:
        held.kill(9)
    held = cluster.lease()
    with pytest.raises(BadCommand, match="a lease already"):
        held.do(TakeLease(os.getpid()))
    held.delay(50)
    cluster.stop()
    held.close()
    with pytest.raises(NotRunning):
        cluster.lease()
