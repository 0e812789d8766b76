"""Attempts that failed, counted by what the node (or the network) said: the first thing to read in trouble.

Here: a bounded table.
Must not live here: how an operation ended (recorder.py), whether it is tried again (load/executor.py).

Invariant: at most MESSAGES_MAX different messages are kept apart; what comes beyond is counted under OTHERS, so that
nothing is lost from the sum.
"""

from __future__ import annotations

from typing import Any

MESSAGES_MAX = 40
MESSAGE_LENGTH_MAX = 200
OTHERS = "(other messages)"

Key = tuple[str, str, str]
"""(message, kind of operation, node)"""


class FailedAttempts:
    """Counts by message, kind and node."""

    def __init__(self) -> None:
        self._counts: dict[Key, int] = {}
        self._last_ms: dict[Key, int] = {}
        self._messages: set[str] = set()

    def note(self, message: str, *, kind: str, node: str, at_ms: int) -> None:
        """One more. at_ms: wall clock."""
        message = message[:MESSAGE_LENGTH_MAX]
        if message not in self._messages:
            if len(self._messages) >= MESSAGES_MAX:
                message = OTHERS
            self._messages.add(message)
        key = (message, kind, node)
        self._counts[key] = self._counts.get(key, 0) + 1
        self._last_ms[key] = at_ms

    def rows(self) -> list[dict[str, Any]]:
        """The most frequent first."""
        found = [
            {"message": key[0], "kind": key[1], "node": key[2], "count": count, "last_at": self._last_ms[key]}
            for key, count in self._counts.items()
        ]
        return sorted(found, key=lambda row: (-int(row["count"]), row["message"], row["kind"], row["node"]))


def merged_rows(tables: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Those of several processes as one."""
    total: dict[Key, dict[str, Any]] = {}
    for row in (row for table in tables for row in table):
        key = (row["message"], row["kind"], row["node"])
        known = total.setdefault(key, {**row, "count": 0})
        known["count"] += row["count"]
        known["last_at"] = max(known["last_at"], row["last_at"])
    return sorted(total.values(), key=lambda row: (-row["count"], row["message"], row["kind"], row["node"]))
