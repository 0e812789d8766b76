"""What goes over the pipe between the coordinator and a worker: one JSON line each.

Here: the shapes.
Must not live here: who reads and writes them (coordinator.py, worker.py).
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from traffic.fleet.commands import Command
from traffic.load.arrivals import Pattern

LINE_BYTES_MAX = 16 * 1024 * 1024


class Birth(Struct):
    """The first line that a worker reads: what to be."""

    names: list[str]
    urls: list[str]
    replicas: int
    seed: int
    rate: float
    pattern: Pattern
    r: int
    w: int
    journals: str | None = None


class Order(Struct):
    """Every further line: a command, and a number for the answer. The last one says bye."""

    number: int = 0
    command: Command | None = None
    bye: bool = False


class Report(Struct, omit_defaults=True):
    """What a worker says: that it is ready, what it looks like, what became of an order."""

    actor: str | None = None
    snapshot: dict[str, Any] | None = None
    number: int | None = None
    verdicts: list[Any] = []
    error: str | None = None
