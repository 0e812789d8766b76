"""The ways to divide nodes into two sides, for a menu.

Pure.
Must not live here: cutting (the cluster).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

ALL_UP_TO = 5
"""So many nodes have fifteen ways to be divided; of more nodes only the plainest ways are offered."""


def sides(nodes: Sequence[str]) -> dict[str, list[list[str]]]:
    """What is shown -> the two sides: each smaller side beside the rest, the smallest first."""
    found: dict[str, list[list[str]]] = {}
    half = len(nodes) // 2
    sizes = range(1, half + 1) if len(nodes) <= ALL_UP_TO else (1, half)
    for size in sizes:
        groups = combinations(nodes, size) if len(nodes) <= ALL_UP_TO or size == 1 else [tuple(nodes[:half])]
        for group in groups:
            rest = [node for node in nodes if node not in group]
            if len(group) == len(rest) and nodes[0] not in group:
                continue  # the same two sides, the other way round
            found[f"{_named(list(group))} | {_named(rest)}"] = [list(group), rest]
    return found


def _named(nodes: Sequence[str]) -> str:
    """ "node-1, 2, 3": short enough for a menu."""
    stem = nodes[0].rstrip("0123456789") if nodes else ""
    return ", ".join([nodes[0], *(node.removeprefix(stem) for node in nodes[1:])]) if nodes else "nobody"
