"""Keeps every running node's link rules equal to the plan, whatever happens to nodes in between.

A node forgets its rules when it dies, so it is told again before it counts as running; one that is paused
or does not listen is told later. Not here: what the rules are (faults.py), and the request that carries
them (rules_http.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from kvnode.cluster.children import Child
from kvnode.cluster.faults import FaultPlan, Rules
from kvnode.cluster.rules_http import post_rules
from kvnode.config import NodeAddress

RETELL_PERIOD_S = 0.25


class RuleTeller:
    """The plan, and what each living node was told of it."""

    def __init__(
        self,
        nodes: Mapping[str, Child],
        *,
        address_of: Callable[[str], NodeAddress],
        log: Callable[[str], None],
        token: str | None = None,
    ) -> None:
        self._token = token
        self.plan = FaultPlan(tuple(nodes))
        self._nodes = nodes
        self._address_of = address_of
        self._log = log
        self._told: dict[str, tuple[int | None, Rules]] = {}  # for which process, and what
        self._locks = {name: asyncio.Lock() for name in nodes}
        self._retell: asyncio.Task[None] | None = None

    def follow_nodes(self) -> None:
        """Nodes came or went."""
        self.plan = self.plan.with_nodes(tuple(self._nodes))
        for name in self._nodes:
            self._locks.setdefault(name, asyncio.Lock())

    async def adopt(self, plan: FaultPlan) -> None:
        """Make this the plan and tell everybody who runs."""
        self.plan = plan
        await self.tell_all()

    async def tell_all(self) -> None:
        """Bring every running node's rules up to date."""
        running = [name for name, child in self._nodes.items() if child.state == "running"]
        await asyncio.gather(*(self.tell(name) for name in running))

    async def tell(self, name: str) -> None:
        """Bring one node's rules up to date; if it does not listen, all are told again soon."""
        async with self._locks[name]:  # so that an older plan never arrives after a newer one
            await self._tell(name)

    async def _tell(self, name: str) -> None:
        rules, pid = self.plan.rules_of(name), self._nodes[name].pid
        known_pid, known_rules = self._told.get(name, (None, {}))
        if rules == (known_rules if known_pid == pid else {}):
            return
        refusal = await post_rules(self._address_of(name), rules, self._token)
        if not refusal:
            self._told[name] = pid, rules
        elif self._nodes[name].pid == pid:
            self._log(f"{name} was not told its rules: {refusal}")
            if self._retell is None:
                self._retell = asyncio.get_running_loop().create_task(self._tell_later())

    async def _tell_later(self) -> None:
        await asyncio.sleep(RETELL_PERIOD_S)
        self._retell = None
        await self.tell_all()
