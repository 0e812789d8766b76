"""Traces that are asked for twice: of each node the fuller account, and nothing twice."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from labkit.course.aftermath import Aftermath
from labkit.course.operations import Operation


class Nodes:
    """A cluster whose nodes tell what they are given to tell."""

    replicas = 3

    def __init__(self, *traces: dict[str, Any]) -> None:
        self._traces = list(traces)

    def client(self) -> Any:
        return SimpleNamespace(
            trace=lambda _: self._traces.pop(0), get=lambda key, r: {"siblings": [{"dot": "a:2"}]}
        )


def told(*events: tuple[str, float, str]) -> dict[str, Any]:
    return {
        "began": 1000.0,
        "events": [
            {"node": node, "at_ms": at_ms, "event": event, "peer": ""} for node, at_ms, event in events
        ],
    }


def test_a_later_answer_adds_what_has_arrived_and_keeps_what_a_node_has_forgotten(
    operation: Callable[..., Operation],
) -> None:
    first = told(("node-1", 0, "sent"), ("node-1", 5, "answered"))
    later = told(("node-2", 700, "stored"), ("node-1", 0, "sent"))
    aftermath = Aftermath(Nodes(first, later))  # type: ignore[arg-type]
    done = [operation("Alice", "put", "x", trace_id="ab")]
    aftermath.look(done)
    aftermath.fetch_traces(done)
    assert [(one["node"], one["wall_ms"]) for one in aftermath.events["ab"]] == [
        ("node-1", 1000.0), ("node-1", 1005.0), ("node-2", 1700.0),
    ]  # fmt: skip
    assert aftermath.left == {"k": {"a:2"}}
