"""Which links are cut and which are slow, whose clock is wrong and whose disk slow; and what each node is told of it.

Pure values: a command makes a new plan from the old one. Every node only knows its own outgoing rules, so a
cut that works both ways is two rules. Cuts and delays are kept apart: a partition leaves the delays as they were.
*Healing* undoes every fault of the network: cuts, delays and loss; *reconnecting* undoes the cuts alone.
Not here: telling the nodes (faults/sync.py), and obeying (the node).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Any

from kvnode.cluster.errors import BadCommand
from kvnode.cluster.faults.topologies import Topology
from kvnode.faults import CLOCK_SKEW_MS_MAX, DELAY_MS_MAX, DISK_DELAY_MS_MAX, DISTRIBUTIONS, Distribution

Link = tuple[str, str]
"""(from, to): one direction."""

Rules = dict[str, dict[str, Any]]
"""What one node is told: {peer: {"delay_ms"?, "jitter_ms"?, "loss"?, "cut"?, "distribution"?}}; peers without a fault
are left out, and so is the distribution "fixed"."""


@dataclass(frozen=True)
class Slow:
    """A link that takes longer, one way, and may lose messages; see kvnode.faults.LinkRule."""

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    distribution: Distribution = "fixed"

    def rule(self) -> dict[str, Any]:
        """The parts that are not zero."""
        parts = {"delay_ms": self.delay_ms, "jitter_ms": self.jitter_ms, "loss": self.loss}
        rule: dict[str, Any] = {name: value for name, value in parts.items() if value}
        if self.delay_ms and self.distribution != "fixed":
            rule["distribution"] = self.distribution
        return rule

    def check(self) -> None:
        """BadCommand says what is out of bounds."""
        if not 0 <= self.delay_ms <= DELAY_MS_MAX or not 0 <= self.jitter_ms <= DELAY_MS_MAX:
            raise BadCommand(f"delay and jitter must be from 0 to {DELAY_MS_MAX:.0f} ms")
        if not 0 <= self.loss <= 1:
            raise BadCommand(f"loss {self.loss}: expected a share from 0 to 1")
        if self.distribution not in DISTRIBUTIONS:
            raise BadCommand(f"distribution {self.distribution!r}: expected {', '.join(DISTRIBUTIONS)}")


@dataclass(frozen=True)
class NodeFault:
    """What is wrong with a node itself.

    clock_skew_ms: its wall clock is so far ahead (negative: behind). disk_delay_ms: each sync of its disk takes so much
    longer.
    """

    clock_skew_ms: float = 0.0
    disk_delay_ms: float = 0.0

    def check(self) -> None:
        """BadCommand says what is out of bounds."""
        if not abs(self.clock_skew_ms) <= CLOCK_SKEW_MS_MAX:
            raise BadCommand(f"skew {self.clock_skew_ms:g} ms: expected at most a day either way")
        if not 0 <= self.disk_delay_ms <= DISK_DELAY_MS_MAX:
            raise BadCommand(f"disk delay {self.disk_delay_ms:g} ms: expected 0 to {DISK_DELAY_MS_MAX:.0f}")

    def parts(self) -> dict[str, float]:
        """The parts that are not zero."""
        parts = {"clock_skew_ms": self.clock_skew_ms, "disk_delay_ms": self.disk_delay_ms}
        return {name: value for name, value in parts.items() if value}


@dataclass(frozen=True)
class FaultPlan:
    """All faults of a cluster's links and nodes. Invariant: links join two different nodes of `nodes`.

    topology: what all of `slow` was made from. Invariant: None once anything else has changed `slow`.
    """

    nodes: tuple[str, ...]
    cuts: frozenset[Link] = frozenset()
    slow: Mapping[Link, Slow] = field(default_factory=dict)
    topology: Topology | None = None
    own: Mapping[str, NodeFault] = field(default_factory=dict)

    def told_to(self, node: str) -> dict[str, Any]:
        """The body of POST /faults that makes it true at one node."""
        return {"rules": self.rules_of(node), **self.fault_of(node).parts()}

    def fault_of(self, node: str) -> NodeFault:
        """What is wrong with this node itself."""
        return self.own.get(node, NodeFault())

    def rules_of(self, node: str) -> Rules:
        """The outgoing rules of one node."""
        rules: Rules = {}
        for peer in self.nodes:
            link = (node, peer)
            rule = self.slow[link].rule() if link in self.slow else {}
            if link in self.cuts:
                rule["cut"] = True
            if rule:
                rules[peer] = rule
        return rules

    def all_rules(self) -> dict[str, Rules]:
        """The rules of every node that has any."""
        rules = {node: self.rules_of(node) for node in self.nodes}
        return {node: mine for node, mine in rules.items() if mine}

    def with_nodes(self, nodes: tuple[str, ...]) -> FaultPlan:
        """The same for other nodes: what concerned a node that is gone goes with it; a topology takes a new one in."""
        plan = FaultPlan(
            nodes,
            frozenset(link for link in self.cuts if set(link) <= set(nodes)),
            {link: slow for link, slow in self.slow.items() if set(link) <= set(nodes)},
            own={node: fault for node, fault in self.own.items() if node in nodes},
        )
        all_stay_in_place = nodes[: len(self.nodes)] == self.nodes
        return plan.spread(self.topology) if self.topology is not None and all_stay_in_place else plan

    def partitioned(self, groups: Sequence[Sequence[str]]) -> FaultPlan:
        """Two nodes reach each other if and only if some group holds both; replaces all earlier cuts.

        One group alone is cut off from all the others. A node in two groups is a bridge between them.
        """
        named = [tuple(dict.fromkeys(group)) for group in groups if group]
        for group in named:
            self._check(group)
        grouped = {node for group in named for node in group}
        rest = tuple(node for node in self.nodes if node not in grouped)
        if not named:
            raise BadCommand("a partition needs groups of nodes, as in: node-1,node-2 / node-3")
        if len(named) == 1:
            named.append(rest)
        elif rest:
            raise BadCommand(f"{', '.join(rest)} stands in no group; every node must be in one")
        together = {link for group in named for link in permutations(group, 2)}
        return replace(self, cuts=frozenset(permutations(self.nodes, 2)) - together)

    def isolated(self, node: str) -> FaultPlan:
        """Cut one node off from all others, both ways; earlier cuts stay."""
        self._check([node])
        links = {link for link in permutations(self.nodes, 2) if node in link}
        return replace(self, cuts=self.cuts | links)

    def cut(self, sender: str, receiver: str, *, both_ways: bool = True) -> FaultPlan:
        """Cut one link; with both_ways=False the receiver can still send to the sender."""
        links = self._pair(sender, receiver)
        return replace(self, cuts=self.cuts | set(links if both_ways else links[:1]))

    def healed(self, node: str | None = None) -> FaultPlan:
        """No fault of the network is left (cuts, delays, loss), or none on a link of `node`; clocks and disks stay."""
        if node is None:
            return FaultPlan(self.nodes, own=self.own)
        self._check([node])
        slow = {link: each for link, each in self.slow.items() if node not in link}
        return replace(self, cuts=self._cuts_without(node), slow=slow, topology=None)

    def reconnected(self, node: str | None = None) -> FaultPlan:
        """Without cuts, or without those that touch `node`; delays stay."""
        if node is None:
            return replace(self, cuts=frozenset())
        self._check([node])
        return replace(self, cuts=self._cuts_without(node))

    def _cuts_without(self, node: str) -> frozenset[Link]:
        return frozenset(link for link in self.cuts if node not in link)

    def delayed(self, slow: Slow, pair: Link | None = None) -> FaultPlan:
        """Make all links, or both directions between a pair, this slow; earlier cuts stay. Slow() is no
        fault."""
        slow.check()
        links: Iterable[Link] = permutations(self.nodes, 2) if pair is None else self._pair(*pair)
        changed = {**self.slow, **dict.fromkeys(links, slow)}
        kept = {link: each for link, each in sorted(changed.items()) if each.rule()}
        return replace(self, slow=kept, topology=None)

    def spread(self, topology: Topology) -> FaultPlan:
        """Delay every link as far as its nodes' regions lie apart; replaces all delays. Earlier cuts stay."""
        slow = {}
        for one, other in permutations(self.nodes, 2):
            delay_ms = topology.one_way_ms(self.nodes.index(one), self.nodes.index(other))
            if delay_ms:
                slow[one, other] = Slow(delay_ms)
                slow[one, other].check()
        return replace(self, slow=slow, topology=topology)

    def skewed(self, node: str, ms: float) -> FaultPlan:
        """Set one node's wall clock so far ahead, or behind if negative; 0 sets it right."""
        return self._with_own(node, replace(self.fault_of(node), clock_skew_ms=ms))

    def slow_disk(self, node: str, ms: float) -> FaultPlan:
        """Let each sync of one node's disk take so much longer; 0 undoes it."""
        return self._with_own(node, replace(self.fault_of(node), disk_delay_ms=ms))

    def _with_own(self, node: str, fault: NodeFault) -> FaultPlan:
        self._check([node])
        fault.check()
        own = {**self.own, node: fault}
        return replace(self, own={name: each for name, each in sorted(own.items()) if each.parts()})

    def _pair(self, one: str, other: str) -> tuple[Link, Link]:
        self._check([one, other])
        if one == other:
            raise BadCommand(f"a link joins two different nodes; got {one} twice")
        return (one, other), (other, one)

    def _check(self, nodes: Iterable[str]) -> None:
        for node in nodes:
            if node not in self.nodes:
                raise BadCommand(f"no node called {node!r}; there are {', '.join(self.nodes)}")


def parse_groups(words: Sequence[str]) -> list[list[str]]:
    """Groups from a command line: "node-1,node-2 / node-3", with or without spaces around the slash."""
    groups = " ".join(words).split("/")
    return [group.replace(",", " ").split() for group in groups]
