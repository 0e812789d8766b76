"""What the supervisor's table means to a class: facts for the lights, and marks for the charts.

Pure: from two looks at the nodes follow the moments worth a mark, whoever caused them (a button here, a
command line there, or a crash).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kvnode.cluster import NodeInfo
from kvnode.cluster.contract import MembershipChange
from labkit.lab import NodeFacts
from labkit.samples import Sample


def is_cut_off(name: str, infos: Sequence[NodeInfo]) -> bool:
    """Whether all links from this node to its peers are cut."""
    rules = next((info.rules for info in infos if info.name == name), {})
    peers = [info.name for info in infos if info.name != name]
    return bool(peers) and all(rules.get(peer, {}).get("cut") for peer in peers)


def link_delay_ms(infos: Iterable[NodeInfo]) -> float:
    """The greatest delay set on any link, one way."""
    delays = [rule.get("delay_ms", 0.0) for info in infos for rule in info.rules.values()]
    return float(max(delays, default=0.0))


def joining_node(change: MembershipChange | None) -> str:
    """The node that a change of members, as the supervisor tells it, is still taking in; "" if there is none."""
    is_joining = change is not None and change.what == "join" and not change.finished
    return change.node if change is not None and is_joining else ""


def node_facts(infos: Sequence[NodeInfo], sample: Sample | None, *, joining: str = "") -> list[NodeFacts]:
    """One fact sheet a node; `joining`: the one that is not a member yet."""
    facts = []
    silent = {info.name for info in infos if info.state != "running"}  # what they said last they say no more
    for info in infos:
        seen = sample.nodes.get(info.name) if sample else None
        facts.append(
            NodeFacts(
                name=info.name,
                state=info.state,
                http_port=info.http_port,
                pid=info.pid,
                peers_say=seen.state if seen else "unknown",
                said_by={
                    who: says for who, says in (seen.said_by if seen else {}).items() if who not in silent
                },
                rate=seen.rate if seen and seen.rate == seen.rate else 0.0,
                cut_off=is_cut_off(info.name, infos),
                joining=info.name == joining,
                reason=info.reason,
                killed=info.killed,
            )
        )
    return facts


def moments(before: Sequence[NodeFacts], after: Sequence[NodeFacts]) -> list[str]:
    """What happened between two looks, in the words of the marks."""
    if not before:
        return []
    earlier = {facts.name: facts for facts in before}
    found = []
    for now in after:
        was = earlier.pop(now.name, None)
        if not now.joining and (was is None or was.joining):
            found.append(f"{now.name} joined")
        if was is None:
            continue
        if now.state != was.state:
            found += _change(was, now)
        elif now.state == "running" and now.pid != was.pid:
            found.append(f"{now.name} restarted")
        if now.cut_off != was.cut_off:
            found.append(f"{now.name} {'cut off' if now.cut_off else 'healed'}")
    found += [f"{was.name} {'did not join' if was.joining else 'left'}" for was in earlier.values()]
    return found


def _change(was: NodeFacts, now: NodeFacts) -> list[str]:
    if now.state in ("dead", "failed"):
        return [f"{now.name} {'killed' if now.killed else now.state}"]
    if now.state == "paused":
        return [f"{now.name} paused"]
    if now.state == "running" and not was.joining:
        return [f"{now.name} {'resumed' if was.state == 'paused' and was.pid == now.pid else 'restarted'}"]
    return []
