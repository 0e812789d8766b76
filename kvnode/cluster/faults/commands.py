"""The commands about faults that a LocalCluster understands: partitions, cuts, delays, topologies; clocks and disks.

Not here: what becomes of them (faults/rules.py, processes/manager.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kvnode.cluster.errors import BadCommand
from kvnode.faults import Distribution

NodeName = str | int
"""A node by its name, "node-2", or by its number, 2 or "2"."""


class FaultCommands:
    """Breaks and mends; `_tell` sends a command to the supervisor."""

    def partition(self, groups: Sequence[Sequence[NodeName]]) -> None:
        """Nodes reach each other only within a group; replaces earlier cuts. One group: cut off from the
        rest."""
        self._tell("partition", groups=[[self._resolve(node) for node in group] for group in groups])

    def isolate(self, node: NodeName) -> None:
        """Cut one node off from all others (clients still reach it); earlier cuts stay."""
        self._tell("isolate", node=self._resolve(node))

    def cut(self, sender: NodeName, receiver: NodeName, *, both_ways: bool = True) -> None:
        """Cut one link; both_ways=False cuts only what `sender` sends, the asymmetric case."""
        self._tell("cut", link=[self._resolve(sender), self._resolve(receiver)], both_ways=both_ways)

    def heal(self, node: NodeName | None = None) -> None:
        """Undo all faults of the network: cuts, delays and loss, or those on the links of one node.

        A wrong clock and a slow disk stay; `skew`, `slow_disk` and `reset` undo those.
        """
        self._tell("heal", node=None if node is None else self._resolve(node))

    def reconnect(self, node: NodeName | None = None) -> None:
        """Undo all cuts, or those that touch one node. Delays and loss stay."""
        self._tell("reconnect", node=None if node is None else self._resolve(node))

    def delay(
        self,
        ms: float,
        *,
        jitter_ms: float = 0.0,
        loss: float = 0.0,
        distribution: Distribution = "fixed",
        nodes: tuple[NodeName, NodeName] | None = None,
    ) -> None:
        """Delay all links between nodes, or those of a pair, by `ms` each way; 0 undoes it. Cuts stay.

        distribution: "fixed", "exponential" or "long-tailed", with `ms` as the mean (kvnode.faults.LinkRule).
        """
        pair = None if nodes is None else [self._resolve(node) for node in nodes]
        if pair is not None and len(pair) != 2:
            raise BadCommand(f"a delay is between two nodes; got {len(pair)}")
        self._tell("delay", delay_ms=ms, jitter_ms=jitter_ms, loss=loss, distribution=distribution, pair=pair)

    def topology(self, name: str, *, factor: float = 1.0) -> None:
        """Put the nodes into regions of the world: "three-regions" or "five-regions" (faults/topologies.py).

        Delays every link by half of a published round trip, times the factor; replaces all delays. Undone as they
        are: by `delay(0)`, `heal` and `reset`. Cuts stay.
        """
        self._tell("topology", name=name, factor=factor)

    def skew(self, node: NodeName, ms: float) -> None:
        """Set a node's wall clock `ms` ahead, or behind if negative; 0 sets it right. `mode=lww` trusts it."""
        self._tell("skew", node=self._resolve(node), ms=ms)

    def slow_disk(self, node: NodeName, ms: float) -> None:
        """Let each sync of a node's disk take `ms` longer; 0 undoes it."""
        self._tell("slow-disk", node=self._resolve(node), ms=ms)

    def _resolve(self, node: NodeName) -> str:
        text = str(node).strip()
        return f"node-{text}" if text.isdigit() else text

    def _tell(self, command: str, *, patience_s: float = 30.0, **arguments: Any) -> dict[str, Any]:
        raise NotImplementedError
