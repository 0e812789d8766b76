"""Upkeep of a whole cluster on demand: begins works at every running node and waits until they are over.

Must not live here: what the works do (kvnode/maintenance.py).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from kvnode.client import Client
from kvnode.cluster.errors import BadCommand, ClusterError
from kvnode.cluster.table import aligned
from kvnode.config import MAINTENANCE_TASKS
from kvnode.errors import KvError

POLL_S = 0.2
Outcome = dict[str, dict[str, dict[str, Any]]]
"""{node: {work: how its last round went}}, as /stats tells it."""


def maintain(client: Client, works: Sequence[str], nodes: Sequence[str], timeout_s: float) -> Outcome:
    """Begin these works at these nodes, all at once, and wait. BadCommand, or ClusterError if it takes too long."""
    for work in works:
        if work not in MAINTENANCE_TASKS:
            raise BadCommand(f"no work called {work!r}; there are {', '.join(MAINTENANCE_TASKS)}")
    wanted, deadline = tuple(works) or MAINTENANCE_TASKS, time.monotonic() + timeout_s
    try:
        before = {node: client.stats(node)["maintenance"] for node in nodes}
        for node in nodes:
            client.maintain(*wanted, node=node)
        outcome: Outcome = {}
        while len(outcome) < len(nodes):
            for node in nodes:
                now = client.stats(node)["maintenance"]
                if all(now[work]["rounds_total"] > before[node][work]["rounds_total"] for work in wanted):
                    outcome[node] = {work: now[work] for work in wanted}
            if len(outcome) < len(nodes) and time.monotonic() > deadline:
                waiting = ", ".join(node for node in nodes if node not in outcome)
                raise ClusterError(
                    f"maintenance goes on at {waiting}, but was not done within {timeout_s:.0f} s"
                )
            time.sleep(POLL_S * (len(outcome) < len(nodes)))
        return outcome
    except KvError as error:
        raise ClusterError(str(error)) from None


def outcome_table(outcome: Outcome) -> str:
    """The outcome for people."""
    rows = [["NODE", "WORK", "TOOK", "RESULT"]]
    for node, works in outcome.items():
        for work, state in works.items():
            rows.append(
                [node, work, f"{state['last_duration_s']:.2f} s", state["error"] or _words(state["result"])]
            )
    return aligned(rows)


def _words(result: dict[str, Any]) -> str:
    told = (
        f"{name} {'no answer' if value is None else value}"
        for name, value in _flat(result)
        if value not in ({}, "")
    )
    return ", ".join(told) or "done"


def _flat(result: dict[str, Any]) -> list[tuple[str, Any]]:
    """Names for people; a table within (partitions by node, tombstones by reason) becomes one entry a row."""
    flat: list[tuple[str, Any]] = []
    for name, value in result.items():
        if isinstance(value, dict):
            flat += [(f"{name.replace('_', ' ')}: {inner}:", figure) for inner, figure in value.items()]
        else:
            flat.append((name.replace("_", " "), value))
    return flat
