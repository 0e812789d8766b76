"""Keeps every running node's faults equal to the plan, whatever happens to nodes in between.

A node forgets its faults when it dies, so it is told again before it counts as running; one that is paused or does not
listen is told later.
Must not live here: what the faults are (faults/rules.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from kvnode.cluster import node_http
from kvnode.cluster.contract import Delay
from kvnode.cluster.faults import leases
from kvnode.cluster.faults.leases import Layers, Lease
from kvnode.cluster.faults.rules import FaultPlan
from kvnode.cluster.processes.children import Child
from kvnode.config import NodeAddress

POST_TIMEOUT_S = 2.0
RETELL_PERIOD_S = 0.25
NONE: dict[str, Any] = {"rules": {}}  # what a node starts with


class FaultSync:
    """The plan, and what each living node was told of it."""

    def __init__(
        self,
        nodes: Mapping[str, Child],
        *,
        address_of: Callable[[str], NodeAddress],
        on_change: Callable[[], None],
        log: Callable[[str], None],
        token: str | None = None,
    ) -> None:
        self._token = token
        self._on_change = on_change
        self._plan = FaultPlan(tuple(nodes))
        self.layers = Layers()
        self._nodes = nodes
        self._address_of = address_of
        self._log = log
        self._told: dict[str, tuple[int | None, dict[str, Any]]] = {}  # for which process, and what
        self._locks = {name: asyncio.Lock() for name in nodes}
        self._retell: asyncio.Task[None] | None = None

    @property
    def plan(self) -> FaultPlan:
        """What is wrong now, as far as it was asked for."""
        return self._plan

    def _change(self, plan: FaultPlan, *, is_undoing: bool = False) -> None:
        """The only way to another plan. Invariant: whoever reads the state file finds this plan in it."""
        if not is_undoing:
            self.layers.note(leases.current(), self._plan, plan)
        self._plan = plan
        self._on_change()

    def follow_nodes(self) -> None:
        """Nodes came or went."""
        for name in self._nodes:
            self._locks.setdefault(name, asyncio.Lock())
        self._change(self._plan.with_nodes(tuple(self._nodes)))

    async def adopt(self, plan: FaultPlan) -> None:
        """Make this the plan and tell everybody who runs."""
        self._change(plan)
        await self.tell_all()

    async def slow_node(self, name: str, delay_ms: float) -> None:
        """Make every link of one node this slow, both ways."""
        plan = self.plan
        for other in self._nodes:
            plan = plan if other == name else plan.delayed(Delay(delay_ms, nodes=(name, other)))
        await self.adopt(plan)

    async def undo(self, lease: Lease) -> None:
        """Take back what a lease's holder did (faults/leases.py), and tell everybody who runs."""
        self._change(self.layers.without(lease, self._plan), is_undoing=True)
        await self.tell_all()

    async def tell_all(self) -> None:
        """Bring every running node's faults up to date."""
        running = [name for name, child in self._nodes.items() if child.state == "running"]
        await asyncio.gather(*(self.tell(name) for name in running))

    async def tell(self, name: str) -> None:
        """Bring one node's faults up to date; if it does not listen, all are told again soon."""
        async with self._locks[name]:  # so that an older plan never arrives after a newer one
            await self._tell(name)

    async def _tell(self, name: str) -> None:
        faults, pid = self.plan.told_to(name), self._nodes[name].pid
        known_pid, known = self._told.get(name, (None, NONE))
        if faults == (known if known_pid == pid else NONE):
            return
        refusal = await self._post(name, faults)
        if not refusal:
            self._told[name] = pid, faults
        elif self._nodes[name].pid == pid:
            self._log(f"{name} was not told its faults: {refusal}")
            if self._retell is None:
                self._retell = asyncio.get_running_loop().create_task(self._tell_later())

    async def _tell_later(self) -> None:
        await asyncio.sleep(RETELL_PERIOD_S)
        self._retell = None
        await self.tell_all()

    async def _post(self, name: str, faults: dict[str, Any]) -> str:
        """Replace all faults of the node; an empty answer is success, else it says why not."""
        try:
            status, answer = await node_http.ask(
                self._address_of(name), "POST", "/faults", faults, token=self._token, timeout_s=POST_TIMEOUT_S
            )
        except OSError as error:
            return str(error) or type(error).__name__
        return "" if status == 200 else f"{status}: {answer.get('detail', answer)}"
