"""What is wrong with a cluster: which links are cut or slow, whose clock is off and whose disk slow; what each is told.

Pure values: a command makes a new plan from the old one (`CHANGES`). A plan is a set of *things* that are wrong, each
by itself: one direction of a link cut, slowed or narrowed, one node's clock, one node's disk. A node only knows its own
outgoing rules, so a cut that works both ways is two things. Cuts and delays are kept apart: a partition leaves the
delays as they were. *Healing* undoes every fault of the network; *reconnecting* undoes the cuts alone.
Must not live here: telling the nodes (sync.py), and obeying (the node).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

from kvnode.cluster import contract
from kvnode.cluster.contract import Command, NodeName, Rules
from kvnode.cluster.errors import BadCommand
from kvnode.cluster.faults.topologies import Topology
from kvnode.faults import CLOCK_SKEW_MS_MAX, DISK_DELAY_MS_MAX

Link = tuple[str, str]
"""(from, to): one direction."""

Thing = tuple[str, Any]
"""A kind of OF_LINKS and a link, one of OF_NODES and a node, or ("topology", "")."""

Told = Mapping[str, Any]
"""The parts of a rule, or of the body of POST /faults, that make a thing so."""

OF_LINKS = ("cut", "delay", "bandwidth")
OF_NODES = ("clock", "disk")


@dataclass(frozen=True)
class FaultPlan:
    """All faults of a cluster's links and nodes. wrong: what is, and what its node is told of it, or the Topology.

    Invariant: things are of `nodes` and their links. The topology is there only while all delays are as it made them.
    """

    nodes: tuple[str, ...]
    wrong: Mapping[Thing, Any] = field(default_factory=dict)

    @property
    def topology(self) -> Topology | None:
        """What all delays were made from."""
        return self.wrong.get(("topology", ""))

    def told_to(self, node: str) -> dict[str, Any]:
        """The body of POST /faults that makes it true at one node."""
        return {"rules": self.rules_of(node), **self._parts(OF_NODES, node)}

    def rules_of(self, node: str) -> Rules:
        """The outgoing rules of one node."""
        rules = {peer: self._parts(OF_LINKS, (node, peer)) for peer in self.nodes}
        return {peer: rule for peer, rule in rules.items() if rule}

    def all_rules(self) -> dict[str, Rules]:
        """The rules of every node that has any."""
        rules = {node: self.rules_of(node) for node in self.nodes}
        return {node: mine for node, mine in rules.items() if mine}

    def described(self) -> contract.TopologyInfo | None:
        """The topology, for people."""
        return None if self.topology is None else self.topology.describe(self.nodes)

    def with_nodes(self, nodes: tuple[str, ...]) -> FaultPlan:
        """The same for other nodes: what concerned a node that is gone goes with it; a topology takes a new one in."""
        topology, all_stay_in_place = self.topology, nodes[: len(self.nodes)] == self.nodes
        plan = FaultPlan.of_things(nodes, self.wrong)._without("topology")
        return plan.spread(topology) if topology is not None and all_stay_in_place else plan

    @classmethod
    def of_things(cls, nodes: tuple[str, ...], things: Mapping[Thing, Any]) -> FaultPlan:
        """The plan in which these things are wrong, where their nodes are still there; None: it is as it should be."""
        there = set(nodes)
        plan = cls(
            nodes,
            {
                (kind, place): told
                for (kind, place), told in things.items()
                if told is not None and (kind == "topology" or there.issuperset(_nodes_of(place)))
            },
        )
        topology = plan.topology
        return plan if topology is None or plan.spread(topology) == plan else plan._without("topology")

    # --- the network --------------------------------------------------------------------------------------

    def partitioned(self, groups: Sequence[Sequence[str]]) -> FaultPlan:
        """Two nodes reach each other if and only if some group holds both; replaces all earlier cuts.

        One group alone is cut off from all the others. A node in two groups is a bridge between them.
        """
        named = [tuple(dict.fromkeys(group)) for group in groups if group]
        for group in named:
            self._check(*group)
        grouped = {node for group in named for node in group}
        rest = tuple(node for node in self.nodes if node not in grouped)
        if not named:
            raise BadCommand("a partition needs groups of nodes, as in: node-1,node-2 / node-3")
        if len(named) == 1:
            named.append(rest)
        elif rest:
            raise BadCommand(f"{', '.join(rest)} stands in no group; every node must be in one")
        together = {link for group in named for link in permutations(group, 2)}
        return self._without("cut")._with("cut", set(self._links_of(None)) - together, {"cut": True})

    def isolated(self, node: str) -> FaultPlan:
        """Cut one node off from all others, both ways; earlier cuts stay."""
        self._check(node)
        return self._with("cut", [link for link in self._links_of(None) if node in link], {"cut": True})

    def cut(self, sender: str, receiver: str, *, both_ways: bool = True) -> FaultPlan:
        """Cut one link; with both_ways=False the receiver can still send to the sender."""
        links = self._links_of((sender, receiver))
        return self._with("cut", links if both_ways else links[:1], {"cut": True})

    def healed(self, node: NodeName | None = None) -> FaultPlan:
        """No fault of the network is left, or none on a link of `node`; clocks and disks stay."""
        return self._without(*OF_LINKS, "topology", node=node)

    def reconnected(self, node: NodeName | None = None) -> FaultPlan:
        """Without cuts, or without those that touch `node`; delays stay."""
        return self._without("cut", node=node)

    def delayed(self, delay: contract.Delay) -> FaultPlan:
        """Make all links, or both directions between a pair, this slow; earlier cuts stay. 0 is no delay."""
        return self._without("topology")._with("delay", self._links_of(delay.nodes), delay.told())

    def limited(self, bandwidth: contract.Bandwidth) -> FaultPlan:
        """Let all links, or both directions between a pair, carry so many bytes/s; 0 is no limit. All else stays."""
        return self._with("bandwidth", self._links_of(bandwidth.nodes), bandwidth.told())

    def spread(self, topology: Topology) -> FaultPlan:
        """Delay every link as far as its nodes' regions lie apart; replaces all delays. Earlier cuts stay."""
        plan = self._without("delay")
        for link in self._links_of(None):
            delay = contract.Delay(topology.one_way_ms(*map(self.nodes.index, link)))
            plan = plan._with("delay", [link], delay.told())
        return plan._with("topology", [""], topology)

    # --- nodes themselves -----------------------------------------------------------------------------------

    def skewed(self, node: str, ms: float) -> FaultPlan:
        """Set one node's wall clock so far ahead, or behind if negative; 0 sets it right."""
        if not abs(ms) <= CLOCK_SKEW_MS_MAX:
            raise BadCommand(f"skew {ms:g} ms: expected at most a day either way")
        self._check(node)
        return self._with("clock", [node], {"clock_skew_ms": ms} if ms else {})

    def slow_disk(self, node: str, ms: float) -> FaultPlan:
        """Let each sync of one node's disk take so much longer; 0 undoes it."""
        if not 0 <= ms <= DISK_DELAY_MS_MAX:
            raise BadCommand(f"disk delay {ms:g} ms: expected 0 to {DISK_DELAY_MS_MAX:.0f}")
        self._check(node)
        return self._with("disk", [node], {"disk_delay_ms": ms} if ms else {})

    # --- inside -------------------------------------------------------------------------------------------

    def _parts(self, kinds: Iterable[str], place: Any) -> dict[str, Any]:
        return {name: value for kind in kinds for name, value in self.wrong.get((kind, place), {}).items()}

    def _with(self, kind: str, where: Iterable[Any], told: Told | Topology) -> FaultPlan:
        changed = {**self.wrong, **{(kind, place): told for place in where}}
        return FaultPlan(self.nodes, {thing: told for thing, told in changed.items() if told})

    def _without(self, *kinds: str, node: NodeName | None = None) -> FaultPlan:
        """Nothing of these kinds, or nothing that touches `node`. The topology touches all."""
        if node is not None:
            self._check(str(node))
        gone = {
            (kind, place)
            for kind, place in self.wrong
            if kind in kinds and (node is None or place == "" or node in _nodes_of(place))
        }
        return FaultPlan(self.nodes, {thing: told for thing, told in self.wrong.items() if thing not in gone})

    def _links_of(self, pair: tuple[NodeName, NodeName] | None) -> list[Link]:
        """Both directions between a pair; all links if there is none."""
        if pair is None:
            return list(permutations(self.nodes, 2))
        one, other = map(str, pair)
        self._check(one, other)
        if one == other:
            raise BadCommand(f"a link joins two different nodes; got {one} twice")
        return [(one, other), (other, one)]

    def _check(self, *nodes: str) -> None:
        for node in nodes:
            if node not in self.nodes:
                raise BadCommand(f"no node called {node!r}; there are {', '.join(self.nodes)}")


def _nodes_of(place: Any) -> tuple[str, ...]:
    return (place,) if isinstance(place, str) else place


CHANGES: dict[type[Command], Callable[[FaultPlan, Any], FaultPlan]] = {
    contract.Partition: lambda plan, it: plan.partitioned(it.groups),
    contract.Isolate: lambda plan, it: plan.isolated(it.node),
    contract.Cut: lambda plan, it: plan.cut(it.sender, it.receiver, both_ways=it.both_ways),
    contract.Heal: lambda plan, it: plan.healed(it.node),
    contract.Reconnect: lambda plan, it: plan.reconnected(it.node),
    contract.Delay: lambda plan, it: plan.delayed(it),
    contract.Bandwidth: lambda plan, it: plan.limited(it),
    contract.Spread: lambda plan, it: plan.spread(Topology(it.name, it.factor)),
    contract.Skew: lambda plan, it: plan.skewed(it.node, it.ms),
    contract.SlowDisk: lambda plan, it: plan.slow_disk(it.node, it.ms),
    contract.Reset: lambda plan, it: FaultPlan(plan.nodes),
}
"""What each command makes of a plan; contract.Reset restarts nodes, too (processes/manager.py)."""
