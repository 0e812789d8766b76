"""Breaking and mending the cluster from the page: what may be asked for, and what is broken now.

Here: from the body of a request to the supervisor's command; from the supervisor's state to sentences. Must not live
here: the socket (nodes/supervisor.py), who may (access.py), HTTP (api.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, structs

from kvnode.cluster import contract
from traffic.nodes.supervisor import NodeState, State


class _OfOneNode(Struct, forbid_unknown_fields=True):
    node: str


class Kill(_OfOneNode, tag_field="action", tag="kill"):
    """SIGKILL; it stays dead until it is restarted, and its disk stays."""


class Pause(_OfOneNode, tag_field="action", tag="pause"):
    """SIGSTOP: alive, but silent."""


class Resume(_OfOneNode, tag_field="action", tag="resume"):
    """SIGCONT."""


class Restart(_OfOneNode, tag_field="action", tag="restart"):
    """Bring it back on its own disk."""


class Isolate(_OfOneNode, tag_field="action", tag="isolate"):
    """Cut all links to its peers; clients still reach it."""


class Partition(Struct, tag_field="action", tag="partition", forbid_unknown_fields=True):
    """Nodes reach each other only within a group; every node stands in one."""

    groups: list[list[str]]


class Heal(Struct, tag_field="action", tag="heal", forbid_unknown_fields=True):
    """Undo all that is wrong with the network: cuts, delays, loss."""


class Delay(Struct, tag_field="action", tag="delay", forbid_unknown_fields=True):
    """Every message between nodes takes so much longer, one way; 0 undoes it."""

    delay_ms: float
    jitter_ms: float = 0.0


class Bandwidth(Struct, tag_field="action", tag="bandwidth", forbid_unknown_fields=True):
    """Every link carries so many bytes/s each way; 0 undoes it."""

    bytes_per_s: float


class Topology(Struct, tag_field="action", tag="topology", forbid_unknown_fields=True):
    """Put the nodes into regions of the world: links as slow as published round trips, times a factor."""

    name: str
    factor: float = 1.0


class Reset(Struct, tag_field="action", tag="reset", forbid_unknown_fields=True):
    """Everybody running, no faults."""


Failure = Kill | Pause | Resume | Restart | Isolate | Partition | Heal | Delay | Bandwidth | Topology | Reset
ACTIONS = tuple(one.__struct_config__.tag for one in Failure.__args__)


def command_of(failure: Failure) -> contract.Command:
    """What the supervisor is told."""
    if isinstance(failure, Kill | Pause | Resume | Restart):
        return contract.commands()[_tag(failure)]([failure.node])
    if isinstance(failure, Delay):
        return contract.Delay(failure.delay_ms, failure.jitter_ms)
    return contract.commands()[_tag(failure)](**structs.asdict(failure))


def snapshot(state: State | None) -> dict[str, Any]:
    """What the supervisor says of the nodes, and what is broken in words; `known` is false if there is none."""
    if state is None:
        return {"known": False, "nodes": {}, "topology": None, "broken": []}
    nodes = {
        node.name: {"state": node.state, "reason": node.reason, "since_ms": node.since_ms}
        for node in state.nodes
    }
    return {
        "known": bool(state.socket),
        "nodes": nodes,
        "topology": state.topology.name if state.topology else None,
        "broken": broken(state),
    }


def broken(state: State) -> list[dict[str, Any]]:
    """What is not as it should be, one entry each: {what, nodes, says, mend}; mend is the action that undoes it."""
    found = [_of_process(node) for node in state.nodes if node.state != "running"]
    found += _cuts(state)
    found += _delays(state)
    for node in state.nodes:
        if node.clock_skew_ms:
            found.append(
                _entry("skew", [node.name], f"the clock of {node.name} is {node.clock_skew_ms:+g} ms off")
            )
        if node.disk_delay_ms:
            text = f"each sync of {node.name}'s disk takes {node.disk_delay_ms:g} ms longer"
            found.append(_entry("slow-disk", [node.name], text))
    return found


def _entry(what: str, nodes: list[str], says: str, mend: str = "reset") -> dict[str, Any]:
    return {"what": what, "nodes": nodes, "says": says, "mend": mend}


def _of_process(node: NodeState) -> dict[str, Any]:
    reason = f" ({node.reason})" if node.reason and node.reason != node.state else ""
    mend = "resume" if node.state == "paused" else "restart"
    return {
        **_entry(node.state, [node.name], f"{node.name} is {node.state}{reason}", mend),
        "since_ms": node.since_ms,
    }


def _cuts(state: State) -> list[dict[str, Any]]:
    names = [node.name for node in state.nodes]
    cut = {(node.name, peer) for node in state.nodes for peer, rule in node.rules.items() if rule.get("cut")}
    found: list[dict[str, Any]] = []
    told: set[tuple[str, str]] = set()
    for name in names:
        others = [other for other in names if other != name]
        whole = {(name, other) for other in others} | {(other, name) for other in others}
        if len(others) > 1 and whole <= cut:
            found.append(_entry("cut off", [name], f"{name} is cut off from all other nodes", "heal"))
            told |= whole
    for one, other in sorted(cut - told):
        if (other, one) not in cut:
            found.append(_entry("cut", [one, other], f"what {one} sends to {other} is lost", "heal"))
        elif one < other:
            found.append(
                _entry("cut", [one, other], f"{one} and {other} are cut off from each other", "heal")
            )
    return found


def _delays(state: State) -> list[dict[str, Any]]:
    if state.topology is not None:
        where = ", ".join(f"{node} in {region}" for node, region in state.topology.regions.items())
        return [_entry("topology", list(state.topology.regions), f"the nodes lie far apart: {where}", "heal")]
    slow: dict[str, list[tuple[str, str]]] = {}
    for node in state.nodes:
        for peer, rule in node.rules.items():
            if words := _words(rule):
                slow.setdefault(words, []).append((node.name, peer))
    return [
        _entry("delay", _nodes_of(pairs), f"{_links(pairs, len(state.nodes))}: {words}", "heal")
        for words, pairs in slow.items()
    ]


def _nodes_of(pairs: list[tuple[str, str]]) -> list[str]:
    return sorted({name for pair in pairs for name in pair})


def _links(pairs: list[tuple[str, str]], nodes: int) -> str:
    if len(pairs) == nodes * (nodes - 1):
        return "every link"
    return ", ".join(f"{one} to {other}" for one, other in pairs)


def _words(rule: Mapping[str, float | bool | str]) -> str:
    parts = []
    if delay := rule.get("delay_ms"):
        parts.append(f"{delay:g} ms slower each way")
    if jitter := rule.get("jitter_ms"):
        parts.append(f"give or take {jitter:g} ms")
    if loss := rule.get("loss"):
        parts.append(f"{float(loss):.0%} of the messages lost")
    if rate := rule.get("bytes_per_s"):
        parts.append(f"{rate:g} bytes/s each way")
    return ", ".join(parts)


def _tag(failure: Failure) -> str:
    return str(failure.__struct_config__.tag)
