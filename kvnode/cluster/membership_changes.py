"""Nodes that come and go while the cluster runs: starting one and having it admitted, letting one go and ending it.

The members decide about the ring (kvnode/handover); here are only the processes, and the two files that must stay
true meanwhile. One change at a time. A command returns once the members have admitted the change; the rest goes on in
the background, and `move` in the state tells how far it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Literal, Protocol

from msgspec import structs

from kvnode.cluster import node_http
from kvnode.cluster.contract import Delay, Join, Leave, MembershipChange
from kvnode.cluster.errors import BadCommand, ClusterError, NodeFailed
from kvnode.cluster.faults.sync import FaultSync
from kvnode.cluster.ports import choose
from kvnode.cluster.processes.children import Child
from kvnode.cluster.state import ClusterFile
from kvnode.config import NODE_COUNT_MAX, NodeAddress

START_TRIES_MAX = 5
ADMIT_TIMEOUT_S = 15.0
VIEW_TIMEOUT_S = 2.0
POLL_S = 0.1
LET_GO_S_MAX = 120.0  # the new owners have everything by then; what a leaver still deletes goes with it
EXIT_PORT_BUSY = 3


class Processes(Protocol):
    """What changes need of the manager."""

    cluster: ClusterFile

    def child(self, name: str) -> Child: ...

    def add_node(self, address: NodeAddress) -> Child: ...

    async def remove_node(self, name: str, why: str) -> None: ...

    def save(self, cluster: ClusterFile) -> None: ...


class MembershipChanges:
    """The changes of one running cluster."""

    def __init__(
        self,
        processes: Processes,
        faults: FaultSync,
        on_change: Callable[[], None],
        log: Callable[[str], None],
    ) -> None:
        self._processes, self._faults = processes, faults
        self._on_change = on_change
        self._log = log
        self._task: asyncio.Task[None] | None = None
        self.change: MembershipChange | None = None

    def cancel(self) -> None:
        """The cluster ends."""
        if self._task is not None:
            self._task.cancel()

    # --- join ---------------------------------------------------------------------------------------------

    async def join(self, command: Join) -> None:
        """Start one more node and have it admitted. Raises BadCommand, NodeFailed.

        delay_ms: its links take that much longer, one way, from before it is admitted.
        """
        is_slow = bool(Delay(command.delay_ms).told())
        change = self._begin("join", self._next_name())
        try:
            self._now(change, "its process starts")
            address = await self._start_joiner(change.node)
            if is_slow:
                await self._faults.slow_node(change.node, command.delay_ms)
            self._now(change, "the members decide")
            await self._ask_members("/cluster/join", structs.asdict(address), {change.node})
        except BaseException as error:
            await self._give_up(change, str(error))
            raise
        self._watch(change, self._see_join_through(change))

    def _next_name(self) -> str:
        names = [node.name for node in self._processes.cluster.nodes]
        if len(names) >= NODE_COUNT_MAX:
            raise BadCommand(f"there are {NODE_COUNT_MAX} nodes, the most there may be")
        free = [f"node-{n}" for n in range(1, 100) if f"node-{n}" not in names]
        last = max((int(name.rpartition("-")[2]) for name in names if name[-1].isdigit()), default=0)
        following = f"node-{last + 1}"
        return following if last < NODE_COUNT_MAX else free[0]

    async def _start_joiner(self, name: str) -> NodeAddress:
        """Start the process as a node that waits to be admitted, on ports of its own."""
        processes = self._processes
        avoid = {port for node in processes.cluster.nodes for port in (node.http_port, node.peer_port)}
        wanted = max(node.http_port for node in processes.cluster.nodes) + 1
        for _ in range(START_TRIES_MAX):
            [(http_port, peer_port)] = choose([wanted], avoid=avoid)
            address = NodeAddress(name, processes.cluster.nodes[0].host, http_port, peer_port)
            nodes = tuple(node for node in processes.cluster.nodes if node.name != name)
            processes.save(structs.replace(processes.cluster, nodes=(*nodes, address), joining=(name,)))
            child = processes.add_node(address)
            child.spawn()
            await child.settle()
            child.confirm_running()
            await self._faults.tell_all()
            if child.state == "running":
                return address
            if child.exit_code != EXIT_PORT_BUSY:
                break
            avoid |= {http_port, peer_port}
        raise NodeFailed(f"{name} {child.reason}")

    async def _see_join_through(self, change: MembershipChange) -> None:
        view = await self._until_stable(change)
        if change.node not in view["nodes"]:
            await self._give_up(change, view["note"] or f"{change.node} was not admitted")
            return
        self._save(view)
        self._end(change)

    async def _give_up(self, change: MembershipChange, why: str) -> None:
        await self._processes.remove_node(change.node, why)
        self._end(change, why)

    # --- leave --------------------------------------------------------------------------------------------

    async def leave(self, command: Leave) -> None:
        """Let a member hand its data over and end it; force: it is dead. Raises BadCommand."""
        name, force = str(command.node), command.force
        self._processes.child(name)
        change = self._begin("leave", name)
        self._now(change, "the members decide")
        try:
            await self._ask_members("/cluster/leave", {"node": name, "force": force}, {name})
        except BaseException as error:
            self._end(change, str(error))
            raise
        self._watch(change, self._see_leave_through(change, force=force))

    async def _see_leave_through(self, change: MembershipChange, *, force: bool) -> None:
        view = await self._until_stable(change)
        if change.node in view["nodes"]:
            self._end(change, view["note"])
            return
        if not force:
            self._now(change, f"{change.node} hands over what it still holds")
            await self._until_let_go(change.node)
        await self._processes.remove_node(change.node, "left the cluster")
        self._save(view)
        self._end(change)

    async def _until_let_go(self, name: str) -> None:
        deadline = asyncio.get_running_loop().time() + LET_GO_S_MAX
        while asyncio.get_running_loop().time() < deadline and self._processes.child(name).alive:
            try:
                view = await self._view(name)
                if name not in view["nodes"] and not view["orphaned"]:
                    return
            except OSError:
                pass  # it may be paused, or restarted
            await asyncio.sleep(POLL_S)

    # --- after a start ------------------------------------------------------------------------------------

    def reconcile(self) -> None:
        """After a start: what was under way when the cluster ended goes on, and ends as the members decide."""
        if self._processes.cluster.joining:
            change = self._begin("join", self._processes.cluster.joining[0])
            self._watch(change, self._see_join_through(change))

    # --- inside -------------------------------------------------------------------------------------------

    def _begin(self, what: Literal["join", "leave"], node: str) -> MembershipChange:
        if self.change is not None and not self.change.finished:
            raise BadCommand(f"{self.change.what} of {self.change.node} is under way; one at a time")
        self.change = MembershipChange(what, node)
        self._on_change()
        return self.change

    def _end(self, change: MembershipChange, error: str = "") -> None:
        change.finished, change.error, change.step = True, error, ""
        self._log(f"{change.what} of {change.node}: {error or 'done'}")
        self._on_change()

    def _now(self, change: MembershipChange, step: str) -> None:
        change.step = step
        self._on_change()

    def _watch(self, change: MembershipChange, work: Coroutine[None, None, None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except (ClusterError, OSError, KeyError) as error:
                self._end(change, f"{type(error).__name__}: {error}")

        self._task = asyncio.get_running_loop().create_task(guarded())

    async def _ask_members(self, path: str, body: dict[str, Any], others_than: set[str]) -> None:
        """Ask one running member after the other to admit a change, until one does or says no."""
        why = "no other node is running"
        for node in self._processes.cluster.nodes:
            if node.name in others_than or self._processes.child(node.name).state != "running":
                continue
            try:
                status, answer = await node_http.ask(
                    node, "POST", path, body, token=self._processes.cluster.token, timeout_s=ADMIT_TIMEOUT_S
                )
            except OSError as error:
                why = f"{node.name}: {error}"
                continue
            if status == 200:
                return
            why = str(answer.get("detail", status))
            if status != 503:
                break
        raise BadCommand(why)

    async def _view(self, name: str) -> dict[str, Any]:
        address = next(node for node in self._processes.cluster.nodes if node.name == name)
        token = self._processes.cluster.token
        status, view = await node_http.ask(address, "GET", "/ring", token=token, timeout_s=VIEW_TIMEOUT_S)
        if status != 200:
            raise OSError(f"{name} answered {status}")
        return view

    async def _until_stable(self, change: MembershipChange) -> dict[str, Any]:
        """Follow the newest ring that any running node knows until nothing is under way in it."""
        while True:
            views = []
            for node in self._processes.cluster.nodes:
                if self._processes.child(node.name).state == "running":
                    try:
                        views.append(await self._view(node.name))
                    except OSError:
                        continue
            if views:
                view = max(views, key=lambda view: int(view["epoch"]))
                pending = view["pending"].values()
                if view["phase"] == "stable":
                    return view
                change.done, change.total = sum(p["done"] for p in pending), sum(p["slots"] for p in pending)
                self._now(change, "data goes to its new owners")
            await asyncio.sleep(POLL_S)

    def _save(self, view: dict[str, Any]) -> None:
        self._processes.save(structs.replace(self._processes.cluster, joining=(), epoch=int(view["epoch"])))
