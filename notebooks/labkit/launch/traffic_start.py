"""The traffic service as a sidecar of its cluster: its command line, and its start beside the nodes.

Most of its start is importing, which needs no nodes: where the cluster is started too, it imports meanwhile, and waits
for them then. That saves a second from Run All to the first chart.
Must not live here: which service a session uses (opening.py).
"""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import Self

from kvnode.cluster import ClusterError, LocalCluster, NotRunning
from kvnode.cluster.ports import is_free
from kvnode.cluster.state import SidecarInfo
from labkit.launch.ports import free_port

TOKEN_VARIABLE = "QUORUM_LAB_TOKEN"
READY_TIMEOUT_S = 20.0
CLUSTER_WAIT_S = 30.0
START_TRIES_MAX = 3
POLL_S = 0.02


def start_service(cluster: LocalCluster, port: int, *, cluster_wait_s: float = 0.0) -> SidecarInfo:
    """Start it on `port`, or the next free one, and wait until it serves. ClusterError says why it does not.

    Between the choice of a port and its use the service imports for a second: whoever loses it meanwhile chooses again.
    """
    environment = {} if cluster.token is None else {TOKEN_VARIABLE: cluster.token}
    for tries_left in reversed(range(START_TRIES_MAX)):
        free = free_port(port, purpose="the traffic service")
        argv = [
            sys.executable,
            "-P",
            "-m",
            "traffic",
            "serve",
            "--port",
            str(free),
            "--cluster",
            cluster.name,
        ]
        try:
            return cluster.start_sidecar(
                "traffic",
                [*argv, "--wait-s", f"{cluster_wait_s:g}"],
                env=environment,
                ready_prefix="ready traffic",
                timeout_s=READY_TIMEOUT_S + cluster_wait_s,
            )
        except ClusterError:
            if not tries_left or is_free(free):
                raise
            port = free + 1
    raise AssertionError("the last try returns or raises")


class EarlyStart:
    """In a `with` block that starts a cluster: starts the service as soon as there is a supervisor to keep it.

    Does nothing if the cluster runs already.
    """

    def __init__(self, name: str, port: int) -> None:
        """For the cluster of this name."""
        self._name, self._port = name, port
        self._sidecar: SidecarInfo | None = None
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

    def sidecar(self) -> SidecarInfo | None:
        """What was started, once it serves; None if nothing was. Raises what went wrong."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._sidecar

    def _run(self) -> None:
        try:
            cluster = self._supervised()
            if cluster is not None and cluster.state()["phase"] == "starting":
                self._sidecar = start_service(cluster, self._port, cluster_wait_s=CLUSTER_WAIT_S)
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
