"""A cluster's traffic service is found, or started, beside the nodes too, and never twice or for nothing."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from kvnode.cluster import LocalCluster, NodeFailed, NotRunning
from labkit.errors import LabError
from labkit.launch import launcher, ports, start, traffic_start
from labkit.launch.service import TrafficService
from labkit.launch.traffic_start import EarlyStart, find_or_start_traffic, start_traffic
from labkit.waiting import wait_until

URL = "http://127.0.0.1:21999"
READY = SimpleNamespace(name="traffic", state="running", ready_line=f"ready traffic {URL}")


class FakeCluster:
    """A supervisor that starts a sidecar at once, or refuses."""

    name, owned = "demo", False

    def __init__(
        self, phase: str = "starting", error: Exception | None = None, token: str | None = None
    ) -> None:
        self.phase, self.error, self.token = phase, error, token
        self.sidecars: list[Any] = []
        self.urls = ["http://127.0.0.1:21001"]
        self.commands: list[dict[str, Any]] = []

    def state(self) -> SimpleNamespace:
        return SimpleNamespace(phase=self.phase)

    def start_sidecar(self, name: str, argv: list[str], **options: Any) -> Any:
        self.commands.append({"name": name, "argv": argv, **options})
        if self.error is not None:
            raise self.error
        return READY


@pytest.fixture
def supervised(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let `attach` say NotRunning so often, and then find this cluster."""

    def after(cluster: FakeCluster, *, absent: int = 0) -> None:
        left = iter([NotRunning("no supervisor yet")] * absent)

        def attach(_name: str) -> FakeCluster:
            if (error := next(left, None)) is not None:
                raise error
            return cluster

        monkeypatch.setattr(LocalCluster, "attach", attach)

    return after


def test_it_starts_as_soon_as_the_supervisor_answers_and_waits_for_the_nodes_itself(supervised: Any) -> None:
    cluster = FakeCluster()
    supervised(cluster, absent=3)
    with EarlyStart("demo", 21_900) as early:
        wait_until(lambda: cluster.commands, what="the service to be started", timeout_s=5)
    assert (service := early.service()) is not None and service.url == URL
    argv = cluster.commands[0]["argv"]
    assert argv[argv.index("--wait-s") + 1] == f"{traffic_start.CLUSTER_WAIT_S:g}"
    assert cluster.commands[0]["timeout_s"] > traffic_start.CLUSTER_WAIT_S


def test_a_cluster_that_runs_already_gets_no_second_service(supervised: Any) -> None:
    cluster = FakeCluster(phase="running")
    supervised(cluster)
    with EarlyStart("demo", 21_900) as early:
        pass
    assert early.service() is None
    assert cluster.commands == []


def test_a_cluster_that_cannot_be_started_leaves_no_thread_that_waits_for_it(supervised: Any) -> None:
    supervised(FakeCluster(), absent=10_000)
    with pytest.raises(KeyError), EarlyStart("demo", 21_900) as early:
        raise KeyError("the start failed")
    assert early.service() is None
    assert not [one for one in threading.enumerate() if one.name == "labkit-traffic-start"]


def test_why_the_service_does_not_start_is_raised_where_it_is_waited_for(supervised: Any) -> None:
    cluster = FakeCluster(error=NodeFailed("traffic ended with status 3"))
    supervised(cluster)
    with EarlyStart("demo", 21_900) as early:
        wait_until(lambda: cluster.commands, what="the service to be started", timeout_s=5)
    with pytest.raises(LabError, match=r"could not be started.*status 3"):
        early.service()


def for_a_notebook(cluster: Any) -> TrafficService:
    return find_or_start_traffic(cluster, 21_900)[0]


def for_the_demo(cluster: Any) -> TrafficService:
    options = start.parser().parse_args(["--port", "21900", "--rate", "20"])
    with contextlib.ExitStack() as running:
        return launcher.start_traffic(running, cluster, options)


@pytest.mark.parametrize("find_or_start", [for_a_notebook, for_the_demo])
def test_a_token_reaches_the_service_by_its_environment_and_no_command_line(
    find_or_start: Callable[[Any], TrafficService],
) -> None:
    """The story: 1. a cluster demands a token. 2. The demo finds it without traffic, and starts the service. 3. Nobody
    handed the token over: another cluster's, exported in that shell, was used, and every operation was refused."""
    cluster = FakeCluster(token="geheim")
    cluster.stop_sidecar = lambda name: None  # type: ignore[attr-defined]
    assert find_or_start(cluster).url == URL
    assert "geheim" not in " ".join(cluster.commands[0]["argv"])
    assert cluster.commands[0]["env"] == {traffic_start.TOKEN_VARIABLE: "geheim"}


@pytest.mark.parametrize("find_or_start", [for_a_notebook, for_the_demo])
def test_a_service_that_the_cluster_has_is_found_and_not_started_again(
    find_or_start: Callable[[Any], TrafficService],
) -> None:
    cluster = FakeCluster(phase="running")
    cluster.sidecars = [SimpleNamespace(name="traffic", state="dead", ready_line=READY.ready_line), READY]
    assert find_or_start(cluster).url == URL
    assert cluster.commands == []


def test_the_rate_and_a_port_that_was_named_reach_the_service() -> None:
    cluster = FakeCluster(error=NodeFailed("traffic ended with exit code 3"))
    with pytest.raises(LabError, match="if port 21900 is taken, name another one: --port 21901"):
        find_or_start_traffic(cluster, 21_900, rate=20, exact_port=True)  # type: ignore[arg-type]
    [command] = cluster.commands
    assert command["argv"][command["argv"].index("--rate") + 1] == "20"
    assert command["argv"][command["argv"].index("--port") + 1] == "21900"


def test_a_port_that_another_clusters_service_holds_is_refused_if_it_was_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stats = {"workloads": {}, "nodes": {"node-1": {"url": "http://127.0.0.1:23001/"}}}
    monkeypatch.setattr(TrafficService, "_call", lambda *_, **__: stats)
    cluster = FakeCluster()
    with pytest.raises(LabError, match="21900 is held by the traffic service of another cluster"):
        find_or_start_traffic(cluster, 21_900, exact_port=True)  # type: ignore[arg-type]
    cluster.urls = ["http://127.0.0.1:23001"]
    assert find_or_start_traffic(cluster, 21_900, exact_port=True)[1], "it drives just these nodes"  # type: ignore[arg-type]
    assert cluster.commands == []


def test_a_port_that_was_taken_between_its_choice_and_its_use_is_chosen_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1. Port 21900 is free. 2. While the service imports, another program takes it. 3. A notebook said that the
    service could not be started."""
    taken: set[int] = set()

    class Cluster(FakeCluster):
        def start_sidecar(self, name: str, argv: list[str], **options: Any) -> Any:
            super().start_sidecar(name, argv, **options)
            port = int(argv[argv.index("--port") + 1])
            if len(self.commands) == 1:
                taken.add(port)
                raise NodeFailed("traffic ended with exit code 3")
            return READY

    for module in (traffic_start, ports):
        monkeypatch.setattr(module, "is_free", lambda port: port not in taken)
    cluster = Cluster()
    assert start_traffic(cluster, 21_900).url == URL  # type: ignore[arg-type]
    assert [command["argv"][command["argv"].index("--port") + 1] for command in cluster.commands] == [
        "21900",
        "21901",
    ]
    broken = FakeCluster(error=NodeFailed("traffic ended with exit code 1"))
    with pytest.raises(LabError, match="exit code 1"):
        start_traffic(broken, 21_950)  # type: ignore[arg-type]
    assert len(broken.commands) == 1, "what has another cause is not tried again"
