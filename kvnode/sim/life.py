"""One life of one node: from its start to its crash, or to its end in order."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from kvnode.node import Node
from kvnode.sim.clock import SimClock
from kvnode.sim.disk import SimDisk
from kvnode.sim.gate import Gate
from kvnode.sim.network import SimDoor


class Life:
    """A node, and what its world gave it for this life.

    request_count: clients' requests under way. is_ending: it was told to stop, and takes no more of them.
    """

    def __init__(
        self,
        node: Node,
        clock: SimClock,
        gate: Gate,
        disk: SimDisk,
        door: SimDoor,
        tasks: dict[asyncio.Task[Any], None],
    ) -> None:
        self.node = node
        self.clock = clock
        self.gate = gate
        self.disk = disk
        self.door = door
        self.tasks = tasks
        self.request_count = 0
        self.is_ending = False


async def last_word(node: Node, disk: SimDisk) -> None:
    """What a node still does when nobody can ask any more: its own end, and a last sync."""
    await node.close()
    with contextlib.suppress(OSError):  # a full disk
        await disk.commit([])
