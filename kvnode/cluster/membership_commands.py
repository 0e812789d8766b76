"""The commands of a LocalCluster by which nodes come and go: begin a change, or begin it and see it through.

A change goes on in the supervisor whatever becomes of who began it; `change` tells how far it is.
Not here: what becomes of them (membership_changes.py), and who decides about the ring (kvnode/handover).
"""

from __future__ import annotations

from typing import Any, Protocol

from kvnode.cluster.faults.commands import NodeName
from kvnode.cluster.progress import Progress, see_change_through
from kvnode.cluster.state import NodeInfo


class Cluster(Protocol):
    """What the commands need of the cluster that has them."""

    def state(self) -> dict[str, Any]: ...

    def node(self, node: NodeName) -> NodeInfo: ...

    def begin_join(self, *, delay_ms: float = 0.0) -> str: ...

    def begin_leave(self, node: NodeName, *, force: bool = False) -> str: ...

    def _resolve(self, node: NodeName) -> str: ...

    def _tell(self, command: str, **arguments: Any) -> dict[str, Any]: ...


class MembershipCommands:
    """Joins and leaves."""

    def begin_join(self: Cluster, *, delay_ms: float = 0.0) -> str:
        """Start one more node and have it admitted; its name. Its data follows. BadCommand, NodeFailed.

        delay_ms: its links take that much longer, one way, from its first message on, so that people can watch its data
        arrive. That is a fault like any other: undone by `heal`, and with the lease under which it was made.
        """
        return str(self._tell("join", delay_ms=delay_ms)["state"]["move"]["node"])

    def begin_leave(self: Cluster, node: NodeName, *, force: bool = False) -> str:
        """Let the members decide that a node goes; its name. Its data follows. BadCommand.

        force: it is dead, and the others rebuild what it held. The members refuse to remove one that is alive by
        force, and to be fewer than the replicas.
        """
        name = self._resolve(node)
        self._tell("leave", node=name, force=force)
        return name

    @property
    def change(self: Cluster) -> dict[str, Any] | None:
        """The newest join or leave, finished or not, as `move` in the state has it; None if there was none yet."""
        change: dict[str, Any] | None = self.state()["move"]
        return change

    def join(self: Cluster, *, timeout_s: float = 300.0, on_progress: Progress | None = None) -> NodeInfo:
        """Start one more node, wait until it is a member. Raises BadCommand (refused), NodeFailed (called off)."""
        name = self.begin_join()
        see_change_through(lambda: self.state()["move"], timeout_s, on_progress)
        return self.node(name)

    def leave(
        self: Cluster,
        node: NodeName,
        *,
        force: bool = False,
        timeout_s: float = 300.0,
        on_progress: Progress | None = None,
    ) -> None:
        """Let a member hand its data over, then end it; force: as for `begin_leave`. Raises as `join`."""
        self.begin_leave(node, force=force)
        see_change_through(lambda: self.state()["move"], timeout_s, on_progress)
