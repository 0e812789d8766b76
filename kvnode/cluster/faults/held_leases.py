"""The supervisor's side of leases: which are held, and undoing what their holders did once they are over.

A lease is over when its connection ends, or when the process that took it does: a forked child of the holder may keep
the connection open, so the process is watched too.

Faults go first and at once; then nodes run again. One that does not come up keeps nothing else from being undone.
Must not live here: what a lease remembers (faults/leases.py), and connections (control.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from kvnode.cluster.contract import LeaseInfo, TakeLease, Undo
from kvnode.cluster.errors import BadCommand, ClusterError
from kvnode.cluster.faults import leases
from kvnode.cluster.faults.leases import Lease
from kvnode.cluster.faults.sync import FaultSync
from kvnode.cluster.processes.children import Child
from kvnode.cluster.processes.watchdog import start_of

LEASE_COUNT_MAX = 64
HOLDER_POLL_S = 0.5


class HeldLeases:
    """The leases of one cluster."""

    def __init__(
        self,
        nodes: Mapping[str, Child],
        faults: FaultSync,
        *,
        restart: Callable[[Sequence[str]], Awaitable[None]],
        log: Callable[[str], None],
    ) -> None:
        self._nodes = nodes
        self._faults = faults
        self._restart = restart
        self._log = log
        self._held: list[Lease] = []
        self._watch: asyncio.Task[None] | None = None

    def state(self) -> list[LeaseInfo]:
        """What `status` tells of them."""
        return [
            LeaseInfo(lease.holder, lease.pid, self._faults.layers.count(lease), sorted(lease.stopped))
            for lease in self._held
        ]

    def stops(self, children: Iterable[Child]) -> None:
        """These are about to be killed, paused or wiped; those that live are the lease's to bring back."""
        lease = leases.current()
        for child in children:
            if lease is not None and child.state not in ("dead", "failed"):
                lease.stopped[child.name] = child.starts

    async def end(self, lease: Lease, *, is_final: bool) -> None:
        """The holder is gone: undo what it did. A connection that was no lease did nothing that is undone.

        is_final: nothing more can come over its connection; until then a last command may still be under way.
        """
        if not lease.held:
            return
        try:
            await self._undo_all_of(lease)
        except ClusterError as error:
            self._log(f"lease of {lease.holder or lease.pid}: {error}")
        if is_final:
            lease.held = False
            self._held.remove(lease)
            self._log(f"lease of {lease.holder or lease.pid} ended, and what it did was undone")

    async def take(self, command: TakeLease) -> None:
        """The connection of this command becomes a lease. BadCommand."""
        lease = leases.of_this_task()
        if lease is None or lease.held:
            raise BadCommand(
                "this connection is a lease already" if lease else "no connection to hold a lease by"
            )
        if len(self._held) >= LEASE_COUNT_MAX:
            raise BadCommand(f"{LEASE_COUNT_MAX} leases are held already; close some first")
        lease.held, lease.holder, lease.pid = True, command.holder[:200], command.pid
        lease.process_start = start_of(command.pid)
        self._held.append(lease)
        if self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(self._watch_holders())

    async def undo(self, command: Undo) -> None:
        """Undo what the lease of this command's connection did. BadCommand if it is none."""
        del command
        lease = leases.current()
        if lease is None:
            raise BadCommand(
                "only a lease can be undone: send the command lease first, over the same connection"
            )
        await self._undo_all_of(lease)

    # --- inside -----------------------------------------------------------------------------------------

    async def _undo_all_of(self, lease: Lease) -> None:
        stopped, lease.stopped = lease.stopped, {}
        children = [
            self._nodes[name]
            for name, starts in stopped.items()
            if name in self._nodes and self._nodes[name].starts == starts
        ]
        for child in children:
            if child.state == "paused":
                child.resume()
        await self._faults.undo(lease)
        down = [child.name for child in children if child.state in ("dead", "failed")]
        if down:
            await self._restart(down)

    async def _watch_holders(self) -> None:
        while self._held:
            await asyncio.sleep(HOLDER_POLL_S)
            for lease in list(self._held):
                if lease.process_start and start_of(lease.pid) != lease.process_start:
                    self._log(f"the holder of a lease is gone: {lease.holder or lease.pid}")
                    lease.process_start = ""
                    await self.end(lease, is_final=False)
        self._watch = None
