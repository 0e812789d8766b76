"""Reading notes by who holds them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from kvnode.errors import BadRequest
from labkit.course.teaching import Teaching

LISTS = [["node-1", "node-2", "node-3"], ["node-5", "node-1", "node-2"]]


class Client:
    """Knows these nodes, and the ring that the cluster has by now."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def ring(self, node: str) -> dict[str, Any]:
        return {"epoch": 3, "preference_lists": LISTS}

    def get(self, key: str, *, node: str) -> dict[str, Any]:
        if node not in self.names:
            raise BadRequest(f"no node {node!r}")
        return {"value": key}


def test_a_node_that_has_joined_since_the_last_tick_is_asked_too() -> None:
    """1. A fifth node joins. 2. The session's client hears of it with the next tick. 3. A cell that came before it
    failed on a busy computer: "no node 'node-5'"."""
    session = Teaching()
    session.client = Client("node-1", "node-2", "node-3")  # type: ignore[assignment]
    session.cluster = SimpleNamespace(client=lambda: Client("node-1", "node-2", "node-3", "node-5"))  # type: ignore[assignment]
    shares = session.read_notes([f"note/{number}" for number in range(50)])
    assert shares.reads["node-1"] > 0 and shares.reads["node-5"] > 0
    assert shares.copies == {"node-1": 2, "node-2": 2, "node-3": 1, "node-5": 1}
