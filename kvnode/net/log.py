"""A node's log: one JSON object a line, in its data directory, bounded by keeping one older file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec

from kvnode.storage.files import make_way

_BYTES_MAX = 8 * 1024 * 1024


class JsonLog:
    """Appends events with their facts. A log that cannot be written must not end the node: it is then given up."""

    def __init__(self, path: Path, node: str) -> None:
        self._path = path
        self._node = node
        make_way(path)
        self._file = path.open("ab", buffering=0)

    def write(self, event: str, *, level: str = "info", **facts: Any) -> None:
        """One event."""
        line = {"time": round(time.time(), 6), "node": self._node, "level": level, "event": event, **facts}
        try:
            self._file.write(msgspec.json.encode(line) + b"\n")
            if self._file.tell() > _BYTES_MAX:
                self._turn_over()
        except OSError:
            return

    def _turn_over(self) -> None:
        older = self._path.with_suffix(".1.jsonl")
        make_way(older)
        self._path.replace(older)
        full, self._file = self._file, self._path.open("ab", buffering=0)
        full.close()
