"""The traffic service of a cluster: found, or started as its sidecar.

Most of its start is importing, which needs no nodes: where the cluster is started too, it imports meanwhile, and waits
for them then (`EarlyStart`). That saves a second from Run All to the first chart.
Must not live here: what the service is asked for (service.py), and which cluster it is (opening.py, launcher.py).
"""

from __future__ import annotations

import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Self

from kvnode.cluster import ClusterError, LocalCluster, NotRunning
from kvnode.cluster.contract import SidecarInfo
from kvnode.cluster.ports import is_free
from labkit.errors import LabError
from labkit.launch.ports import free_port
from labkit.launch.service import TrafficService

TOKEN_VARIABLE = "QUORUM_LAB_TOKEN"
READY_PREFIX = "ready traffic"
READY_TIMEOUT_S = 30.0
CLUSTER_WAIT_S = 30.0
START_TRIES_MAX = 3
POLL_S = 0.02


def find_or_start_traffic(
    cluster: LocalCluster,
    port: int,
    *,
    rate: float | None = None,
    exact_port: bool = False,
    starting: AbstractContextManager[object] | None = None,
) -> tuple[TrafficService, bool]:
    """The service that drives this cluster, and whether it was there before; LabError where neither can be.

    rate: operations/s at its start. exact_port: no other port will do. starting: entered while it is started.
    """
    for sidecar in cluster.sidecars:
        if sidecar.state == "running" and sidecar.ready_line.startswith(READY_PREFIX):
            return service_of(sidecar), True
    service = TrafficService(f"http://127.0.0.1:{port}")
    if service.drives(cluster.urls):
        return service, True
    if exact_port and service.is_answering():
        do = f"name another port: --port {port + 1}"
        raise LabError(f"Port {port} is held by the traffic service of another cluster.", do=do)
    with starting or nullcontext():
        return start_traffic(cluster, port, rate=rate, exact_port=exact_port), False


def service_of(sidecar: SidecarInfo) -> TrafficService:
    """The service of a sidecar that is ready: it says where it answers."""
    return TrafficService(next(word for word in sidecar.ready_line.split() if word.startswith("http://")))


def start_traffic(
    cluster: LocalCluster,
    port: int,
    *,
    rate: float | None = None,
    exact_port: bool = False,
    cluster_wait_s: float = 0.0,
) -> TrafficService:
    """Start it on `port`, or the next free one, and wait until it serves. LabError says why it does not.

    Between the choice of a port and its use the service imports for a second: whoever loses it meanwhile chooses again.
    """
    environment = {} if cluster.token is None else {TOKEN_VARIABLE: cluster.token}
    command = [sys.executable, "-P", "-m", "traffic", "serve", "--cluster", cluster.name]
    command += ["--wait-s", f"{cluster_wait_s:g}", *(() if rate is None else ("--rate", f"{rate:g}"))]
    for tries_left in reversed(range(1 if exact_port else START_TRIES_MAX)):
        free = port if exact_port else free_port(port, purpose="the traffic service")
        try:
            sidecar = cluster.start_sidecar(
                "traffic",
                [*command, "--port", str(free)],
                env=environment,
                ready_prefix=READY_PREFIX,
                timeout_s=READY_TIMEOUT_S + cluster_wait_s,
            )
            return service_of(sidecar)
        except ClusterError as error:
            if not tries_left or is_free(free):
                do = f"if port {port} is taken, name another one: --port {port + 1}" if exact_port else ""
                raise LabError("The traffic service could not be started.", why=str(error), do=do) from error
            port = free + 1
    raise AssertionError("the last try returns or raises")


class EarlyStart:
    """In a `with` block that starts a cluster: starts the service as soon as there is a supervisor to keep it.

    Does nothing if the cluster runs already.
    """

    def __init__(self, name: str, port: int) -> None:
        """For the cluster of this name."""
        self._name, self._port = name, port
        self._service: TrafficService | None = None
        self._error: Exception | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="labkit-traffic-start", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()  # the cluster runs, or will not

    def service(self) -> TrafficService | None:
        """What was started, once it serves; None if nothing was. Raises what went wrong."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._service

    def _run(self) -> None:
        try:
            cluster = self._supervised()
            if cluster is not None and cluster.state().phase == "starting":
                self._service = start_traffic(cluster, self._port, cluster_wait_s=CLUSTER_WAIT_S)
        except Exception as error:  # noqa: BLE001  raised where somebody waits for it
            self._error = error

    def _supervised(self) -> LocalCluster | None:
        """The cluster as soon as its supervisor answers; None if it has not by the end of the block."""
        while not self._over.is_set():
            try:
                return LocalCluster.attach(self._name)
            except NotRunning:
                self._over.wait(POLL_S)
            except ClusterError:
                return None  # who starts it is told the reason
        return None
