"""The faults that a scene may make, and which pairs of nodes each of them separates (for drawing).

Must not live here: making and undoing them (the cluster's lease does both).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

FAULTS = (
    "delay", "cut", "partition", "isolate", "heal", "reconnect", "topology",
    "pause", "resume", "kill", "restart", "skew", "slow_disk",
)  # fmt: skip


def node_name(node: str | int) -> str:
    """ "node-2" for 2, "2" and "node-2"."""
    text = str(node)
    return f"node-{text}" if text.isdigit() else text


def cut_pairs(verb: str, arguments: Sequence[Any], names: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs of nodes that such a fault separates; none for faults that separate nobody."""
    if verb == "isolate":
        alone = node_name(arguments[0])
        return [pair for pair in combinations(names, 2) if alone in pair]
    if verb == "cut":
        return [(node_name(arguments[0]), node_name(arguments[1]))]
    if verb != "partition":
        return []
    groups = [{node_name(node) for node in group} for group in arguments[0]]
    if len(groups) == 1:
        groups.append(set(names) - groups[0])
    return [pair for pair in combinations(names, 2) if not any(set(pair) <= group for group in groups)]
