"""A cluster held under a lease: what is done through it is undone when it is closed, or when its process dies.

    with cluster.lease("Alice tells Bob") as held:
        held.delay(700, nodes=(1, 2))
        held.kill(3)
    # the link is as fast as before, and node-3 runs again

Must not live here: what is undone, and when (faults/leases.py, processes/manager.py).
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from types import TracebackType
from typing import Self

from kvnode.cluster import control
from kvnode.cluster.contract import ClusterState, Command, Status, TakeLease, Undo
from kvnode.cluster.errors import ClusterError, NotRunning
from kvnode.cluster.local import LocalCluster
from kvnode.cluster.paths import Paths

PATIENCE_S = 40.0
"""A node that is restarted must be ready within 20 s."""


class LeasedCluster(LocalCluster):
    """The same cluster; every command that changes it goes over one connection, which is the lease."""

    def __init__(self, paths: Paths, holder: str) -> None:
        """Use `LocalCluster.lease()`. Raises NotRunning."""
        super().__init__(paths, owned=False)
        self._one_at_a_time = threading.RLock()
        self._connection: socket.socket | None = control.connect(paths.socket_path())
        self.do(TakeLease(os.getpid(), holder))

    @property
    def held(self) -> bool:
        """Whether it has not been closed yet."""
        return self._connection is not None

    def undo(self) -> None:
        """Undo everything that was done through this lease, and keep it for more. Raises NodeFailed as `restart`."""
        self.do(Undo())

    def close(self) -> None:
        """Undo everything and give the lease back; a second time does nothing. A cluster that is gone needs no undoing.

        Raises NodeFailed if a node that was killed does not come up again; all else is undone even so.
        """
        with self._one_at_a_time:
            if self._connection is None:
                return
            try:
                with contextlib.suppress(NotRunning):
                    self.undo()
            finally:
                self._connection.close()
                self._connection = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except ClusterError:
            if error is None:  # what went wrong first says more
                raise

    def __enter__(self) -> Self:
        return self

    def do(self, command: Command, *, patience_s: float = 30.0) -> ClusterState:
        """As of LocalCluster; whatever changes the cluster is this lease's."""
        if isinstance(command, Status):  # looking on need not wait for a restart
            return super().do(command, patience_s=patience_s)
        with self._one_at_a_time:
            if self._connection is None:
                raise ClusterError("this lease was given back; take another one: cluster.lease()")
            return control.say(self._connection, command, timeout_s=max(patience_s, PATIENCE_S))
