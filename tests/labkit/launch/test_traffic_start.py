"""The service is started beside the nodes, once there is a supervisor, and never twice or for nothing."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from kvnode.cluster import NodeFailed, NotRunning
from labkit.launch import ports, traffic_start
from labkit.launch.traffic_start import EarlyStart, start_service
from labkit.waiting import wait_until

READY = SimpleNamespace(ready_line="ready traffic http://127.0.0.1:21999")


class FakeCluster:
    """A supervisor that starts a sidecar at once, or refuses."""

    name, token = "demo", None

    def __init__(self, phase: str = "starting", error: Exception | None = None) -> None:
        self.phase, self.error = phase, error
        self.commands: list[dict[str, Any]] = []

    def state(self) -> dict[str, Any]:
        return {"phase": self.phase}

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

        monkeypatch.setattr(traffic_start.LocalCluster, "attach", attach)

    return after


def test_it_starts_as_soon_as_the_supervisor_answers_and_waits_for_the_nodes_itself(supervised: Any) -> None:
    cluster = FakeCluster()
    supervised(cluster, absent=3)
    with EarlyStart("demo", 21_900) as early:
        wait_until(lambda: cluster.commands, what="the service to be started", timeout_s=5)
    assert early.sidecar() is READY
    argv = cluster.commands[0]["argv"]
    assert argv[argv.index("--wait-s") + 1] == f"{traffic_start.CLUSTER_WAIT_S:g}"
    assert cluster.commands[0]["timeout_s"] > traffic_start.CLUSTER_WAIT_S


def test_a_cluster_that_runs_already_gets_no_second_service(supervised: Any) -> None:
    cluster = FakeCluster(phase="running")
    supervised(cluster)
    with EarlyStart("demo", 21_900) as early:
        pass
    assert early.sidecar() is None
    assert cluster.commands == []


def test_a_cluster_that_cannot_be_started_leaves_no_thread_that_waits_for_it(supervised: Any) -> None:
    supervised(FakeCluster(), absent=10_000)
    with pytest.raises(KeyError), EarlyStart("demo", 21_900) as early:
        raise KeyError("the start failed")
    assert early.sidecar() is None
    assert not [one for one in threading.enumerate() if one.name == "labkit-traffic-start"]


def test_why_the_service_does_not_start_is_raised_where_it_is_waited_for(supervised: Any) -> None:
    cluster = FakeCluster(error=NodeFailed("traffic ended with status 3"))
    supervised(cluster)
    with EarlyStart("demo", 21_900) as early:
        wait_until(lambda: cluster.commands, what="the service to be started", timeout_s=5)
    with pytest.raises(NodeFailed, match="status 3"):
        early.sidecar()


def test_a_token_reaches_the_service_by_its_environment_and_no_command_line() -> None:
    cluster = FakeCluster()
    cluster.token = "geheim"  # type: ignore[assignment]
    start_service(cluster, 21_900)  # type: ignore[arg-type]
    assert "geheim" not in " ".join(cluster.commands[0]["argv"])
    assert cluster.commands[0]["env"] == {traffic_start.TOKEN_VARIABLE: "geheim"}


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
    assert start_service(cluster, 21_900) is READY
    assert [command["argv"][command["argv"].index("--port") + 1] for command in cluster.commands] == [
        "21900",
        "21901",
    ]
    broken = FakeCluster(error=NodeFailed("traffic ended with exit code 1"))
    with pytest.raises(NodeFailed, match="exit code 1"):
        start_service(broken, 21_950)
    assert len(broken.commands) == 1, "what has another cause is not tried again"
