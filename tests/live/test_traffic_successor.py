"""kill -9 of the service under load: the next one takes over from the cluster and from the journal of the dead.

What is claimed. The journal is written without a system call and survives the process, not the computer. For each
counter of the dead actor: acknowledged <= what the cluster holds of it <= sent, where sent - acknowledged is what was
unanswered when the process died. The test reads the journal itself, too, and asks the cluster itself.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from kvnode.checkers import CounterRead, SiblingRead
from kvnode.cluster import LocalCluster
from kvnode.errors import NotFound
from traffic.verify.journal import DeadJournal, dead_journals

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

StartCluster = Callable[..., LocalCluster]
RATE = 300


@pytest.fixture
def killed_service(
    live_cluster: StartCluster,
    serve: Callable[..., Any],
    until: Callable[..., None],
    cluster_state: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., tuple[LocalCluster, DeadJournal, dict[str, Any]]]:
    """A cluster on which a service was killed in the middle of traffic, a copy of its journal, its last stats."""

    def kill(*workloads: str) -> tuple[LocalCluster, DeadJournal, dict[str, Any]]:
        cluster = live_cluster(nodes=3)
        service = serve(cluster, "--rate", str(RATE))
        for workload in workloads:
            service.post("/api/real/traffic/start", {"workload": workload})
        until(lambda: service.stats["operations_total"] > 3 * RATE, within_s=40, what="operations")
        told = service.stats
        service.process.kill()
        service.process.wait()
        copy = tmp_path_factory.mktemp("journals")
        shutil.copytree(cluster_state / "traffic-journals", copy, dirs_exist_ok=True)
        [journal] = dead_journals(copy)
        journal.read(r=2)
        return cluster, journal, told

    return kill


def judged(cluster: LocalCluster, journal: DeadJournal) -> Any:
    """The verdict by reads of our own: no code of the service takes part."""
    client = cluster.client()
    values: dict[str, list[SiblingRead]] = {}
    for key in journal.ledger.keys:
        try:
            values[key] = [SiblingRead.of(sibling) for sibling in client.get(key)["siblings"]]
        except NotFound:
            values[key] = []
    counters = {key: CounterRead.of(client.counter(key)) for key in journal.ledger.counters}
    return journal.ledger.check(values, counters)


def test_the_next_service_finds_all_counters_right_and_lists_what_is_there(
    killed_service: Callable[..., Any], serve: Callable[..., Any], until: Callable[..., None]
) -> None:
    cluster, journal, told = killed_service("collab", "inventory")
    assert journal.counters > 20
    assert journal.puts > 20
    verdict = judged(cluster, journal)
    assert (verdict.status, verdict.lost, verdict.counters_wrong) == ("ok", 0, 0), verdict.evidence

    second = serve(cluster, "--rate", "100")
    until(
        lambda: second.stats["inherited"]["status"] == "ok", within_s=60, what="a verdict on the inheritance"
    )
    inherited = second.stats["inherited"]
    assert (inherited["processes"], inherited["counters"]) == (1, journal.counters)
    until(lambda: second.stats["operations_total"] > 100, within_s=20, what="operations of the next service")
    for name, world in (("twitter", "tweets"), ("collab", "documents"), ("inventory", "products")):
        listed = second.get(f"/api/real/{name}/active_{world}?limit=200")
        assert listed["total_active"] > 0, name
        assert len(listed[world]) > 0, name
    listed = second.get("/api/real/twitter/active_tweets?limit=200")["tweets"]
    assert sum(tweet["likes"] for tweet in listed) >= told["workloads"]["twitter"]["counts"]["like"]

    second.post("/api/real/traffic/stop")
    answer = second.post("/api/real/traffic/check")
    assert answer["status"] == "ok", answer
    [of_the_dead] = [one for one in answer["verdicts"] if "earlier generator" in one["claim"]]
    assert of_the_dead["status"] == "ok"
    total = cluster.client().counter("twitter/tweets_total")
    assert set(total["actors"]) > journal.actors
    assert len(total["actors"]) == 2
    folder = Path(os.environ["QUORUM_LAB_STATE"], "traffic-journals")
    assert not list(folder.glob(f"{journal.name}.*")), "judged, and so let go"


def test_what_the_dead_had_acknowledged_and_the_disks_lost_is_a_violation(
    killed_service: Callable[..., Any], serve: Callable[..., Any], until: Callable[..., None]
) -> None:
    """The planted disaster, so that the verdict is known to be able to fail."""
    cluster, journal, _ = killed_service()
    for node in ("node-1", "node-2", "node-3"):
        cluster.wipe(node)
    for node in ("node-1", "node-2", "node-3"):
        cluster.restart(node)
    cluster.wait_ready(20)
    client = cluster.client()
    until(
        lambda: not any(client.stats(name)["refill"]["partitions"] for name in client.names),
        within_s=20,
        what="stores of which none knows more than the others count again",
    )
    assert judged(cluster, journal).status == "violated"
    second = serve(cluster, "--no-start")
    until(lambda: second.stats["inherited"]["status"] == "violated", within_s=60, what="the loss is noticed")
    assert second.post("/api/real/traffic/check")["status"] == "violated"


def test_a_service_that_ends_well_leaves_nothing(
    live_cluster: StartCluster, serve: Callable[..., Any], until: Callable[..., None], cluster_state: Path
) -> None:
    service = serve(live_cluster(nodes=3), "--rate", "100")
    until(lambda: service.stats["operations_total"] > 50, within_s=20, what="operations")
    assert len(list((cluster_state / "traffic-journals").iterdir())) == 1
    assert service.stop() == (0, "")
    assert list((cluster_state / "traffic-journals").iterdir()) == []


@pytest.mark.parametrize("processes", [1, 2])
def test_a_service_that_can_keep_no_journal_serves_and_says_so_in_one_line(
    cluster_state: Path, until: Callable[..., None], processes: int
) -> None:
    """There is a file where the folder should be. No cluster is needed for it."""
    (cluster_state / "traffic-journals").write_text("not a folder")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "traffic",
        "serve",
        "--port",
        str(port),
        "--exit-with-stdin",
        "--no-start",
    ]
    command += ["--nodes", "http://127.0.0.1:1", "--processes", str(processes)]
    pipe = subprocess.PIPE
    service = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    try:
        assert service.stdout is not None
        assert service.stdout.readline().startswith("ready traffic ")
        told = requests.get(f"http://127.0.0.1:{port}/api/real/traffic/stats", timeout=10).json()
        assert told["journal"]["kept"] is False
        assert "traffic-journals is not a folder" in told["journal"]["why_not"]
        service.send_signal(signal.SIGTERM)
        _, errors = service.communicate(timeout=20)
    finally:
        service.kill()
    assert service.returncode == 0, errors
    [line] = errors.splitlines()
    assert line.startswith("traffic: no journal is kept: ")
