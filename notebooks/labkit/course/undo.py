"""Faults with their way back: each is done together with what undoes it.

Invariant: `undo` leaves links, processes, clocks and disks as the first fault found them, whatever failed in between;
what it could not undo it names. It takes the faults back in reverse order.
Must not live here: what else happens in a scene, and the undoing after a kernel that died (the cluster's lease).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

from kvnode.cluster import ClusterError, LocalCluster
from labkit.errors import LabError

Rules = Mapping[str, Mapping[str, Mapping[str, Any]]]
NodeName = str | int

LINK_FAULTS = ("delay", "cut", "partition", "isolate", "heal", "reconnect", "topology")
NODE_FAULTS = ("pause", "resume", "kill", "restart", "wipe", "skew", "slow_disk")


class Faults:
    """Does faults to a cluster and undoes them."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster
        self._undo: list[tuple[str, Callable[[], object]]] = []
        self._links_saved = False
        self._nodes_saved: set[tuple[str, str]] = set()

    def do(self, verb: str, *arguments: Any, **options: Any) -> None:
        """`cluster.VERB(*arguments)`, and remember how to undo it. LabError says what was wrong."""
        if verb not in (*LINK_FAULTS, *NODE_FAULTS):
            raise LabError(
                f"There is no fault called {verb!r}.",
                why=f"expected one of {', '.join((*LINK_FAULTS, *NODE_FAULTS))}",
            )
        try:
            if verb in LINK_FAULTS:
                self._save_links()
            else:
                self._save_node(verb, str(arguments[0]) if arguments else "")
            getattr(self._cluster, verb)(*arguments, **options)
        except (ClusterError, TypeError) as error:
            raise LabError(f"The fault {verb} could not be made.", why=str(error)) from error

    def undo(self) -> list[str]:
        """Take back everything, the last fault first; what could not be taken back, a line each."""
        problems = []
        while self._undo:
            what, back = self._undo.pop()
            try:
                back()
            except ClusterError as error:
                problems.append(f"{what}: {error}")
        self._links_saved = False
        self._nodes_saved.clear()
        return problems

    @property
    def count(self) -> int:
        """How many things are waiting to be undone."""
        return len(self._undo)

    def _save_links(self) -> None:
        if not self._links_saved:
            self._links_saved = True
            before = self._cluster.faults()
            self._undo.append(("the links", lambda: restore_links(self._cluster, before)))

    def _save_node(self, verb: str, node: str) -> None:
        info = self._cluster.node(node)
        name = info.name
        kind = verb if verb in ("skew", "slow_disk") else "process"
        if (kind, name) in self._nodes_saved:
            return
        self._nodes_saved.add((kind, name))
        if kind == "skew":
            before_ms = info.clock_skew_ms
            self._undo.append((f"the clock of {name}", lambda: self._cluster.skew(name, before_ms)))
        elif kind == "slow_disk":
            slow_ms = info.disk_delay_ms
            self._undo.append((f"the disk of {name}", lambda: self._cluster.slow_disk(name, slow_ms)))
        else:
            self._undo.append((name, lambda: self._bring_back(name, info.state)))

    def _bring_back(self, name: str, before: str) -> None:
        state = self._cluster.node(name).state
        if state == before:
            return
        if before == "running":
            self._cluster.resume(name) if state == "paused" else self._cluster.restart(name)
        elif before == "paused":
            self._cluster.pause(name)
        elif before == "dead":
            self._cluster.kill(name)


def restore_links(cluster: LocalCluster, before: Rules) -> None:
    """Make cuts and delays what they were."""
    if not before:
        cluster.heal()
        return
    now = cluster.faults()
    cut_before, cut_now = _cuts(before), _cuts(now)
    if cut_before != cut_now:
        cluster.reconnect()
        for sender, receiver in sorted(cut_before):
            cluster.cut(sender, receiver, both_ways=False)
    for one, other in combinations([info.name for info in cluster.nodes], 2):
        wanted = dict(before.get(one, {}).get(other, {}))
        if _slow(wanted) != _slow(now.get(one, {}).get(other, {})):
            cluster.delay(wanted.get("delay_ms", 0.0), nodes=(one, other), **_scatter(wanted))


def cut_pairs(verb: str, arguments: Sequence[Any], names: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs of nodes that such a fault separates; none for faults that separate nobody."""
    named = [_named(one) for one in arguments if isinstance(one, str | int)]
    if verb == "isolate":
        return [pair for pair in combinations(names, 2) if named[0] in pair]
    if verb == "cut":
        return [(named[0], named[1])]
    if verb != "partition":
        return []
    groups = [{_named(node) for node in group} for group in arguments[0]]
    if len(groups) == 1:
        groups.append(set(names) - groups[0])
    return [pair for pair in combinations(names, 2) if not any(set(pair) <= group for group in groups)]


def _cuts(rules: Rules) -> set[tuple[str, str]]:
    return {(one, other) for one, peers in rules.items() for other, rule in peers.items() if rule.get("cut")}


def _slow(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in rule.items() if name != "cut"}


def _scatter(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {name: rule[name] for name in ("jitter_ms", "loss", "distribution") if name in rule}


def _named(node: NodeName) -> str:
    text = str(node)
    return f"node-{text}" if text.isdigit() else text
