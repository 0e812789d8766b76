"""LocalCluster: start, find and command a cluster of node processes on this computer.

    with LocalCluster.start(nodes=3) as cluster:
        cluster.kill("node-2")

Every method is one question to the supervisor (control.py), so objects hold no state that can go stale, may be used
from several threads, and several programs can hold the same cluster.
Must not live here: reading and writing data (`.client()` gives a kvnode.client.Client for that).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from kvnode.cluster import contract, control
from kvnode.cluster.contract import (
    ClusterState,
    Command,
    FaultVerbs,
    NodeInfo,
    NodeName,
    Rules,
    SidecarInfo,
    node_name,
)
from kvnode.cluster.errors import AlreadyRunning, BadCommand, ClusterError, NotRunning
from kvnode.cluster.paths import DEFAULT_NAME, Paths
from kvnode.cluster.processes import starting
from kvnode.cluster.processes.starting import NODE_COMMAND, StartOptions, StartWords, StateDir
from kvnode.cluster.progress import Progress, see_change_through, see_start_through
from kvnode.cluster.state import ClusterFile

if TYPE_CHECKING:
    from kvnode.client import Client
    from kvnode.cluster.leased import LeasedCluster
    from kvnode.cluster.maintenance import Outcome


ATTACH_WAIT_S = 30.0


class LocalCluster(FaultVerbs):
    """A running cluster, and what can be done to it (contract.py).

    owned: whether `stop` ends it, because this process started it.
    """

    def __init__(
        self, paths: Paths, *, owned: bool, detached: bool = False, notes: Sequence[str] = ()
    ) -> None:
        self.notes = tuple(notes)
        """What is worth telling people about the start, a sentence each; usually nothing."""
        self._paths = paths
        self._started_here = owned
        self._detached = detached

    # --- start and find ---------------------------------------------------------------------------------

    @classmethod
    def start(
        cls,
        name: str = DEFAULT_NAME,
        nodes: int | None = None,
        *,
        state_dir: StateDir = None,
        replicas: int | None = None,
        base_port: int | None = None,
        detach: bool = False,
        fresh: bool = False,
        node_command: Sequence[str] = NODE_COMMAND,
        host: str | None = None,
        maintenance: Mapping[str, float] | None = None,
        token: bool = False,
    ) -> LocalCluster:
        """Start a cluster and wait until all its nodes are ready.

        A cluster of this name that ran before keeps its data, its ports where they are still free, and its
        number of nodes and replicas; fresh=True deletes all that first. A new one has 3 nodes, 3 `replicas`
        (fewer if there are fewer nodes) and ports from `base_port`, 9999. It ends with this process, however that
        dies, unless detach=True. state_dir: where clusters are kept; else as in paths.py.

        host: where to listen instead of 127.0.0.1, such as 0.0.0.0; nodes then demand a token of clients (`.token`).
        token: they do so on loopback too, which other users of the computer share. It is made here, kept in
        cluster.json, and demanded from then on.

        maintenance: how often each task begins, such as {"sweep_s": 5}, as in kvnode.config.MaintenanceConfig.

        Raises AlreadyRunning, StartFailed (nothing is left running), BadCommand.
        """
        paths = Paths.of(name, state_dir)
        options = StartOptions(
            nodes=nodes,
            replicas=replicas,
            base_port=base_port,
            detach=detach,
            fresh=fresh,
            node_command=node_command,
            host=host,
            maintenance=maintenance,
            token=token,
        )
        return cls(paths, owned=True, detached=detach, notes=starting.start_supervisor(paths, options))

    @classmethod
    def attach(cls, name: str = DEFAULT_NAME, state_dir: StateDir = None) -> LocalCluster:
        """Find a running cluster; NotRunning if there is none (what a dead supervisor left is cleaned up)."""
        paths = Paths.of(name, state_dir)
        cluster = cls(paths, owned=starting.owns(paths))
        cluster.state()
        return cluster

    @classmethod
    def attach_or_start(
        cls,
        name: str = DEFAULT_NAME,
        nodes: int | None = None,
        *,
        state_dir: StateDir = None,
        **options: Unpack[StartWords],
    ) -> LocalCluster:
        """Find a running cluster, or `start` one with these options; `owned` says which.

        Safe when several do it at once.
        """
        deadline = time.monotonic() + ATTACH_WAIT_S
        while True:
            with contextlib.suppress(NotRunning):
                return cls.attach(name, state_dir).wait_started(max(0.0, deadline - time.monotonic()))
            try:
                return cls.start(name, nodes, state_dir=state_dir, **options)
            except AlreadyRunning:  # somebody was first; should their start fail, it is our turn
                if time.monotonic() > deadline:
                    raise

    # --- what there is ----------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self._paths.name

    @property
    def folder(self) -> Path:
        """Where its state, logs and data lie."""
        return self._paths.folder

    @property
    def owned(self) -> bool:
        """Whether this process started it, so that `stop` ends it."""
        return self._started_here

    def state(self) -> ClusterState:
        """All of it at one moment, as in state.json."""
        return self.do(contract.Status())

    @property
    def nodes(self) -> list[NodeInfo]:
        """The nodes as they are now, by number."""
        return self.state().nodes

    def status(self) -> list[NodeInfo]:
        """The same as `nodes`."""
        return self.nodes

    def node(self, node: NodeName) -> NodeInfo:
        """One node as it is now."""
        name = node_name(node)
        known = self.nodes
        for info in known:
            if info.name == name:
                return info
        raise BadCommand(f"no node called {name!r}; there are {', '.join(info.name for info in known)}")

    @property
    def urls(self) -> list[str]:
        """The nodes' base URLs, dead ones too."""
        return [info.url for info in self.nodes]

    @property
    def cluster_id(self) -> str:
        """Names this cluster from its creation until its data is deleted."""
        return self.state().cluster_id

    @property
    def replicas(self) -> int:
        """N: how many nodes keep each key."""
        return self.state().replicas

    @property
    def token(self) -> str | None:
        """What HTTP clients must send; None if the cluster demands none. Not in the state: it is nobody else's."""
        known = ClusterFile.read(self._paths.cluster_file)
        return None if known is None else known.token

    @property
    def supervisor_pid(self) -> int:
        """The process that holds this cluster."""
        return self.state().supervisor_pid

    def client(self, *, timeout_s: float = 5.0) -> Client:
        """A client that knows all nodes of this cluster by name."""
        from kvnode.client import Client  # the supervisor's command line needs no HTTP library

        nodes = self.nodes
        return Client(
            [info.url for info in nodes],
            names=[info.name for info in nodes],
            timeout_s=timeout_s,
            token=self.token,
        )

    def wait_started(self, timeout_s: float = ATTACH_WAIT_S) -> Self:
        """Wait until the start of the cluster is over, whoever started it; NotRunning if that came to nothing.

        Unlike `wait_ready` it does not wait for nodes that somebody has killed since.
        """
        see_start_through(lambda: self.state().phase, self.name, timeout_s)
        return self

    def wait_ready(self, timeout_s: float = 10.0) -> None:
        """Wait until every node that should run does; ClusterError names those that do not."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                waiting = [f"{info.name} is {info.state}" for info in self.nodes if info.state != "running"]
            except NotRunning as error:
                waiting = [str(error)]
            if not waiting:
                return
            if time.monotonic() > deadline:
                raise ClusterError(f"not ready within {timeout_s:.0f} s: {'; '.join(waiting)}")
            time.sleep(0.02)

    # --- maintenance, faults, members -------------------------------------------------------------------

    def maintain(self, *works: str, timeout_s: float = 120.0) -> Outcome:
        """Do maintenance tasks at every running node now, all of them if none is named, and wait until they are over.

        {node: {work: how it went}}. Raises BadCommand, ClusterError (a node fell silent, or it takes too long).
        """
        from kvnode.cluster.maintenance import maintain

        running = [info.name for info in self.nodes if info.state == "running"]
        return maintain(self.client(), works, running, timeout_s)

    def faults(self) -> dict[str, Rules]:
        """The outgoing rules of every node that has any: {"node-1": {"node-2": {"cut": True}}}."""
        return {info.name: info.rules for info in self.nodes if info.rules}

    def lease(self, holder: str = "") -> LeasedCluster:
        """This cluster under a lease: what is done through it is undone when it is closed or this process dies.

        holder: who or what for, for the log and `status`. Joins and leaves are not undone. Raises NotRunning.
        """
        from kvnode.cluster.leased import LeasedCluster

        return LeasedCluster(self._paths, holder)

    def begin_join(self, *, delay_ms: float = 0.0) -> str:
        """Start one more node and have it admitted; its name. Its data follows. BadCommand, NodeFailed.

        delay_ms: its links take that much longer, one way, from its first message on, so that people can watch its data
        arrive. That is a fault like any other: undone by `heal`, and with the lease under which it was made.
        """
        change = self.do(contract.Join(delay_ms)).change
        assert change is not None
        return change.node

    def begin_leave(self, node: NodeName, *, force: bool = False) -> str:
        """Let the members decide that a node goes; its name. Its data follows. BadCommand.

        force: it is dead, and the others rebuild what it held. The members refuse to remove one that is alive by
        force, and to be fewer than the replicas.
        """
        self.do(contract.Leave(node, force))
        return node_name(node)

    @property
    def change(self) -> contract.MembershipChange | None:
        """The newest join or leave, finished or not; None if there was none yet. It goes on whoever began it."""
        return self.state().change

    @property
    def is_settled(self) -> bool:
        """Whether no join or leave is under way."""
        change = self.change
        return change is None or change.finished

    def join(self, *, timeout_s: float = 300.0, on_progress: Progress | None = None) -> NodeInfo:
        """Start one more node, wait until it is a member. Raises BadCommand (refused), NodeFailed (called off)."""
        name = self.begin_join()
        see_change_through(lambda: self.change, timeout_s, on_progress)
        return self.node(name)

    def leave(
        self,
        node: NodeName,
        *,
        force: bool = False,
        timeout_s: float = 300.0,
        on_progress: Progress | None = None,
    ) -> None:
        """Let a member hand its data over, then end it; force: as for `begin_leave`. Raises as `join`."""
        self.begin_leave(node, force=force)
        see_change_through(lambda: self.change, timeout_s, on_progress)

    # --- other processes that live as long as the cluster -----------------------------------------------

    def start_sidecar(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        ready_prefix: str | None = None,
        timeout_s: float = 20.0,
    ) -> SidecarInfo:
        """Run any command as long as the cluster runs, in this directory, with `env` added to the
        environment.

        With ready_prefix this waits until the command prints a line that begins so (`.ready_line`). Its
        output goes to `.log_file`. Raises NodeFailed if it ends before that, with its last line.
        """
        environment = None if env is None else dict(env)
        command = contract.StartSidecar(
            name, list(argv), environment, str(Path.cwd()), ready_prefix, timeout_s
        )
        self.do(command, patience_s=timeout_s)
        return next(sidecar for sidecar in self.sidecars if sidecar.name == name)

    def stop_sidecar(self, name: str) -> None:
        """Ask a sidecar to end (SIGTERM), and kill it if it has not in two seconds."""
        self.do(contract.StopSidecar(name))

    @property
    def sidecars(self) -> list[SidecarInfo]:
        """The other processes that live with this cluster."""
        return self.state().sidecars

    # --- the end ----------------------------------------------------------------------------------------

    def stop(self, *, force: bool = False) -> bool:
        """End the cluster if this process started it, or with force=True anyway; data stays.

        True if it ended it; False if it is not ours, or was gone already.
        """
        if not (self._started_here or force):
            return False
        try:
            self.do(contract.Stop())
            stopped = True
        except NotRunning:
            stopped = False
        starting.wait_for_end(self._paths)
        starting.wait_until_released(self._paths)
        return stopped

    def supervisor_ended(self, *, within_s: float = 0.0) -> bool:
        """Whether the supervisor of a cluster that we own is gone, waiting so long for it. Signals
        interrupt.
        """
        return starting.ended(self._paths, within_s=within_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._detached:
            self.stop()

    def __repr__(self) -> str:
        try:
            states = ", ".join(f"{info.name} {info.state}" for info in self.nodes)
        except ClusterError as error:
            states = str(error)
        return f"<LocalCluster {self.name}: {states}>"

    def do(self, command: Command, *, patience_s: float = 30.0) -> ClusterState:
        """Have one command done (contract.py); the state after it. Raises what it says, and NotRunning."""
        try:
            return control.ask(self._paths.socket_path(), command, timeout_s=patience_s + 10.0)
        except NotRunning:
            hint = "" if self.name == DEFAULT_NAME else f" --cluster {self.name}"
            starting.clean_up_if_stale(self._paths)
            raise NotRunning(
                f"cluster {self.name} is not running; start it: python -m kvnode.cluster start{hint}"
            ) from None
