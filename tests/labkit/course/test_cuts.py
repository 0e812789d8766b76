"""Which pairs of nodes a fault separates."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.course.cuts import cut_pairs

NAMES = ("node-1", "node-2", "node-3")


@pytest.mark.parametrize(
    ("verb", "arguments", "pairs"),
    [
        ("isolate", (2,), [("node-1", "node-2"), ("node-2", "node-3")]),
        ("cut", (1, "node-3"), [("node-1", "node-3")]),
        ("partition", ([[1], [2, 3]],), [("node-1", "node-2"), ("node-1", "node-3")]),
        ("partition", ([["node-1"]],), [("node-1", "node-2"), ("node-1", "node-3")]),
        ("partition", ([[1, 2], [2, 3]],), [("node-1", "node-3")]),
        ("delay", (50,), []),
        ("kill", (1,), []),
    ],
)
def test_pairs(verb: str, arguments: tuple[Any, ...], pairs: list[tuple[str, str]]) -> None:
    assert cut_pairs(verb, arguments, NAMES) == pairs
