"""The manager: what the supervisor knows of its nodes and sidecars, and what each command does to them.

Everything happens on one event loop in one thread. Commands that start a node take that node's lock, so two
restarts follow each other; kill and pause do not, so they work on a node that is still starting. Faults are
kept here too: a node forgets its rules when it dies, so it is told again before it counts as running. Not
here: the supervisor's own life (supervisor.py), and how commands arrive (control.py).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from msgspec import structs

from kvnode.cluster import contract
from kvnode.cluster.contract import ClusterState, Command, NodeInfo, NodeName, SidecarInfo
from kvnode.cluster.errors import BadCommand, NodeFailed, StartFailed
from kvnode.cluster.faults.held_leases import HeldLeases
from kvnode.cluster.faults.rules import CHANGES
from kvnode.cluster.faults.sync import FaultSync
from kvnode.cluster.membership_changes import MembershipChanges
from kvnode.cluster.paths import Paths
from kvnode.cluster.ports import choose
from kvnode.cluster.processes.children import Child, ChildSpec
from kvnode.cluster.processes.state_writer import StateWriter
from kvnode.cluster.state import ClusterFile
from kvnode.config import NodeAddress

EXIT_PORT_BUSY = 3
START_TRIES_MAX = 5
SIDECAR_COUNT_MAX = 8
WIPED = "killed, and its data deleted"
KEPT_BY_WIPE = ("log.jsonl",)  # what a wiped node did stays readable


class ProcessManager:
    """The processes of one running cluster, and its faults."""

    def __init__(
        self,
        paths: Paths,
        cluster: ClusterFile,
        *,
        node_command: Sequence[str],
        detached: bool,
        log: Callable[[str], None],
    ) -> None:
        self.paths = paths
        self.cluster = cluster
        self.stop_asked = asyncio.Event()
        self._detached = detached
        self._log = log
        self._is_started = False
        self._state_writer = StateWriter(paths.state_file, self.state, log)
        self._on_change = self._state_writer.write
        self._created_at_ms = int(time.time() * 1000)
        self._sidecars: dict[str, Child] = {}
        self._node_command = tuple(node_command)
        self._locks: dict[str, asyncio.Lock] = {}
        self._nodes: dict[str, Child] = {}
        for node in cluster.nodes:
            self._make_child(node.name)
        self._faults = FaultSync(
            self._nodes, address_of=self._address, on_change=self._on_change, log=log, token=cluster.token
        )
        self.leases = HeldLeases(self._nodes, self._faults, restart=self._restart_named, log=log)
        self._membership_changes = MembershipChanges(self, self._faults, self._on_change, log)

    def _make_child(self, name: str) -> Child:
        files = ["--cluster-file", str(self.paths.cluster_file), "--data-dir", str(self.paths.data_dir(name))]
        spec = ChildSpec(
            name,
            [*self._node_command, "--name", name, *files],
            log_file=self.paths.folder / f"{name}.out",
            ready_prefix=f"ready {name} ",
            watches_stdin=True,
        )
        child = self._nodes[name] = Child(spec, self._on_change)
        self._locks[name] = asyncio.Lock()
        return child

    # --- nodes that come and go (membership_changes.py) ---------------------------------------------------

    def child(self, name: str) -> Child:
        """The process of a node; BadCommand if there is no such node."""
        return self._named([name])[0]

    def add_node(self, address: NodeAddress) -> Child:
        """One more node, with an empty data directory; `save` has made it known."""
        _empty(self.paths.data_dir(address.name))
        child = self._make_child(address.name)
        self._faults.follow_nodes()
        return child

    async def remove_node(self, name: str, why: str) -> None:
        """End a node that is not a member, and forget it; its data goes, its log stays."""
        child = self._nodes.get(name)
        if child is not None:
            await child.terminate(why=why)
            del self._nodes[name], self._locks[name]
        nodes = tuple(node for node in self.cluster.nodes if node.name != name)
        self.save(structs.replace(self.cluster, nodes=nodes, joining=()))
        _empty(self.paths.data_dir(name))
        self._faults.follow_nodes()
        self._on_change()

    def save(self, cluster: ClusterFile) -> None:
        """Make this the cluster, here and in cluster.json."""
        self.cluster = cluster
        cluster.write(self.paths.cluster_file)

    # --- the whole cluster ------------------------------------------------------------------------------

    async def start_all(self) -> None:
        """Start every node at once. A port that was taken since it was chosen makes all choose again."""
        avoid: set[int] = set()
        for _ in range(START_TRIES_MAX):
            self.cluster.write(self.paths.cluster_file)
            for child in self._nodes.values():
                child.spawn()
            await asyncio.gather(*(child.settle() for child in self._nodes.values()))
            busy = [node for node in self.cluster.nodes if self._nodes[node.name].exit_code == EXIT_PORT_BUSY]
            if not busy:
                break
            avoid.update(port for node in busy for port in (node.http_port, node.peer_port))
            self._log(f"ports were taken meanwhile, choosing again: {sorted(avoid)}")
            await asyncio.gather(*(child.kill("ports are chosen again") for child in self._nodes.values()))
            self.choose_ports([node.http_port for node in self.cluster.nodes], avoid=avoid)
        for child in self._nodes.values():
            child.confirm_running()
        failed = [child for child in self._nodes.values() if child.state != "running"]
        if failed:
            reasons = "; ".join(f"{child.name} {child.reason}" for child in failed)
            raise StartFailed(f"{reasons} (its own log: {self.paths.data_dir(failed[0].name)}/log.jsonl)")
        self.save(structs.replace(self.cluster, founded=True))
        self._is_started = True
        self._on_change()
        self._membership_changes.reconcile()

    def choose_ports(self, wanted: Sequence[int], *, avoid: Iterable[int] = ()) -> None:
        """Give every node the wanted HTTP port, or the next free one, and its peer port."""
        pairs = choose(wanted, avoid=set(avoid))
        nodes = tuple(
            structs.replace(node, http_port=http, peer_port=peer)
            for node, (http, peer) in zip(self.cluster.nodes, pairs, strict=True)
        )
        self.cluster = structs.replace(self.cluster, nodes=nodes)

    def kill_all_now(self) -> None:
        """SIGKILL to every child, stopped ones too, without waiting."""
        self._membership_changes.cancel()
        self._state_writer.stop()
        for child in self._children():
            child.kill_now("the cluster ended")

    async def stop_all(self) -> None:
        """Sidecars first, so that they do not see their nodes go; then the nodes."""
        await asyncio.gather(*(child.terminate() for child in self._sidecars.values()))
        await asyncio.gather(*(child.terminate() for child in self._nodes.values()))

    def reap(self) -> None:
        """Some child changed; see which."""
        for child in self._children():
            child.reap()

    def state(self) -> ClusterState:
        """What state.json says."""
        return ClusterState(
            cluster=self.cluster.cluster,
            cluster_id=self.cluster.cluster_id,
            supervisor_pid=os.getpid(),
            detached=self._detached,
            socket=str(self.paths.socket_path()),
            replicas=self.cluster.replicas,
            created_at=self._created_at_ms,
            phase="running" if self._is_started else "starting",
            trouble=self._state_writer.trouble,
            topology=self._faults.plan.described(),
            nodes=[self._node_state(node.name) for node in self.cluster.nodes if node.name in self._nodes],
            change=self._membership_changes.change,
            leases=self.leases.state(),
            sidecars=[
                SidecarInfo(
                    name=child.name,
                    argv=list(child.spec.argv),
                    ready_line=child.ready_line,
                    log_file=child.log_file,
                    **child.described(),
                )
                for child in self._sidecars.values()
            ],
        )

    # --- commands ---------------------------------------------------------------------------------------

    def _actions(self) -> dict[type[Command], Callable[[Any], Awaitable[None]]]:
        """What each command does that changes more than the fault plan (CHANGES)."""
        return {
            contract.Kill: self._kill,
            contract.Pause: self._pause,
            contract.Resume: self._resume,
            contract.Restart: self._restart,
            contract.Wipe: self._wipe,
            contract.Reset: self._reset,
            contract.Join: self._membership_changes.join,
            contract.Leave: self._membership_changes.leave,
            contract.TakeLease: self.leases.take,
            contract.Undo: self.leases.undo,
            contract.StartSidecar: self._start_sidecar,
            contract.StopSidecar: self._stop_sidecar,
        }

    async def handle(self, command: Command) -> ClusterState:
        """Do what one command says and answer the state after it."""
        if isinstance(command, contract.Stop):
            self.stop_asked.set()
        elif not isinstance(command, contract.Status):
            shown = (
                structs.replace(command, env=None) if isinstance(command, contract.StartSidecar) else command
            )
            self._log(f"command {shown}")
            if action := self._actions().get(type(command)):
                await action(command)
            else:
                await self._faults.adopt(CHANGES[type(command)](self._faults.plan, command))
        return self.state()

    async def _kill(self, command: contract.Kill) -> None:
        children = self._named(command.nodes)
        self.leases.stops(children)
        for child in children:
            child.killed = child.killed or child.alive
        await asyncio.gather(*(child.kill() for child in children))

    async def _pause(self, command: contract.Pause) -> None:
        children = self._named(command.nodes)
        self.leases.stops(child for child in children if child.state != "paused")
        for child in children:
            child.pause()

    async def _resume(self, command: contract.Resume) -> None:
        for child in self._named(command.nodes):
            child.resume()
        await self._faults.tell_all()

    async def _restart(self, command: contract.Restart) -> None:
        await self._restart_named([child.name for child in self._named(command.nodes)])

    async def _restart_named(self, names: Sequence[str]) -> None:
        children = [self._nodes[name] for name in names]
        await asyncio.gather(*(self._restart_one(child) for child in children))
        failed = [f"{child.name} {child.reason}" for child in children if child.state == "failed"]
        if failed:
            raise NodeFailed("; ".join(failed))

    async def _restart_one(self, child: Child) -> None:
        async with self._locks[child.name]:
            await child.terminate(why="restarting")
            child.spawn()
            await child.settle()
            if child.state == "starting":
                await self._faults.tell(child.name)
                child.confirm_running()
            elif child.exit_code == EXIT_PORT_BUSY:
                address = self._address(child.name)
                child.explain(
                    f"port {address.http_port} or {address.peer_port} was taken by another program; "
                    f"stop that and restart {child.name}, or start the whole cluster again"
                )

    async def _wipe(self, command: contract.Wipe) -> None:
        children = self._named(command.nodes)
        self.leases.stops(children)
        for child in children:
            async with self._locks[child.name]:
                await child.kill(WIPED)
                _empty(self.paths.data_dir(child.name))
                child.wiped = True
                child.explain(WIPED)

    async def _reset(self, command: contract.Reset) -> None:
        for child in self._nodes.values():
            if child.state == "paused":
                child.resume()
        # before any restart: one that fails must not keep the faults of the others
        await self._faults.adopt(CHANGES[contract.Reset](self._faults.plan, command))
        down = [child for child in self._nodes.values() if child.state in ("dead", "failed")]
        if down:
            await self._restart_named([child.name for child in down])

    # --- sidecars ---------------------------------------------------------------------------------------

    async def _start_sidecar(self, command: contract.StartSidecar) -> None:
        name = command.name
        known = self._sidecars.get(name)
        if known is not None and known.alive:
            raise BadCommand(f"a sidecar called {name!r} runs already (process {known.pid})")
        if not command.argv or name in self._nodes or not name.replace("-", "").replace("_", "").isalnum():
            raise BadCommand(
                f"sidecar {name!r}: expected a command, and a name of letters, digits and dashes"
            )
        if known is None and len(self._sidecars) >= SIDECAR_COUNT_MAX:
            raise BadCommand(f"at most {SIDECAR_COUNT_MAX} sidecars")
        log_file = self.paths.folder / f"{name}.log"
        spec = ChildSpec(name, command.argv, log_file, command.ready_prefix, env=command.env, cwd=command.cwd)
        child = self._sidecars[name] = Child(spec, self._on_change)
        child.spawn()
        await child.settle(command.timeout_s)
        child.confirm_running()
        if child.state == "failed":
            raise NodeFailed(f"{name} {child.reason}")

    async def _stop_sidecar(self, command: contract.StopSidecar) -> None:
        child = self._sidecars.get(command.name)
        if child is None:
            known = ", ".join(sorted(self._sidecars)) or "none"
            raise BadCommand(f"no sidecar called {command.name!r}; there is {known}")
        await child.terminate()
        del self._sidecars[child.name]
        self._on_change()

    # --- inside -----------------------------------------------------------------------------------------

    def _children(self) -> list[Child]:
        return [*self._nodes.values(), *self._sidecars.values()]

    def _node_state(self, name: str) -> NodeInfo:
        address, child = self._address(name), self._nodes[name]
        data_dir = self.paths.data_dir(name)
        return NodeInfo(
            **structs.asdict(address),
            url=address.url,
            since_ms=child.since_ms,
            **child.described(),
            restarts=max(0, child.starts - 1),
            data_dir=data_dir,
            log_file=data_dir / "log.jsonl",
            killed=child.killed,
            wiped=child.wiped,
            **self._faults.plan.told_to(name),
        )

    def _address(self, name: str) -> NodeAddress:
        return next(node for node in self.cluster.nodes if node.name == name)

    def _named(self, nodes: Sequence[NodeName]) -> list[Child]:
        names = [str(node) for node in nodes]
        unknown = [name for name in names if name not in self._nodes]
        if unknown:
            raise BadCommand(f"no node called {unknown[0]!r}; there are {', '.join(self._nodes)}")
        return [self._nodes[name] for name in dict.fromkeys(names)]


def _empty(data_dir: Path) -> None:
    for entry in data_dir.iterdir() if data_dir.is_dir() else ():
        if entry.name in KEPT_BY_WIPE:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
