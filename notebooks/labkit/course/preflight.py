"""Before a class: is this computer, and this cluster, fit for the lesson? One table, at most two seconds.

Each row is ok, slow (the lesson works, numbers will be larger) or stop, with what to do.
Must not live here: mending anything.
"""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from statistics import median
from typing import Literal, Protocol

from kvnode.client import Client
from kvnode.cluster import ClusterError, LocalCluster
from kvnode.errors import KvError

State = Literal["ok", "slow", "stop"]
MIB = 1024 * 1024
ROUND_TRIPS = 7


@dataclass(frozen=True)
class Row:
    """One finding."""

    what: str
    found: str
    state: State
    do: str = ""


class Lab(Protocol):
    """What is looked at."""

    cluster: LocalCluster
    client: Client


class Preflight:
    """The table; shown by a cell that ends with it."""

    def __init__(self, rows: Sequence[Row], seconds: float) -> None:
        self.rows = list(rows)
        self.seconds = seconds

    @property
    def state(self) -> State:
        """The worst of all rows."""
        found = {row.state for row in self.rows}
        return "stop" if "stop" in found else "slow" if "slow" in found else "ok"

    def __repr__(self) -> str:
        lines = [
            f"{row.state:5} {row.what}: {row.found}{f' → {row.do}' if row.do else ''}" for row in self.rows
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        signs = {"ok": ("✓ ok", "lab-good"), "slow": ("! slow", "lab-warn"), "stop": ("✗ stop", "lab-bad")}
        left = 'style="text-align: left"'
        body = "".join(
            f"<tr><td {left}>{escape(row.what)}</td><td {left}>{escape(row.found)}</td>"
            f'<td {left} class="{signs[row.state][1]}"><b>{signs[row.state][0]}</b></td>'
            f"<td {left}>{escape(row.do)}</td></tr>"
            for row in self.rows
        )
        head = "".join(f"<th {left}>{name}</th>" for name in ("what", "found", "fit?", "what to do"))
        return (
            f'<div class="lab-panel"><table class="lab-table"><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )


def look(lab: Lab) -> Preflight:
    """Look at everything once."""
    began_s = time.monotonic()
    rows = [
        _rated(
            "Python", float(platform.python_version_tuple()[1]), platform.python_version(), slow=0, stop=0
        ),
        *_guarded("database nodes", lambda: _nodes(lab.cluster)),
        *_guarded("a read, there and back", lambda: [_round_trip(lab.client)]),
        *_guarded("safe on disk (fsync)", lambda: [_sync(lab.client)]),
        _load(),
        *_memory(),
        _disk(lab.cluster.folder),
    ]
    return Preflight(rows, time.monotonic() - began_s)


def _nodes(cluster: LocalCluster) -> list[Row]:
    infos = cluster.nodes
    running = [info for info in infos if info.state == "running"]
    ports = ", ".join(str(info.http_port) for info in running)
    ill = [f"{info.name} is {info.state}" for info in infos if info.state != "running"]
    reset = "run the first cell again: it resets the lab"
    rows = [
        Row("database nodes", f"{len(running)} run (ports {ports})", "stop" if ill or len(running) < 3 else "ok",
            f"{'; '.join(ill)}: {reset}" if ill else "")
    ]  # fmt: skip
    broken = len(cluster.faults()) + sum(bool(info.clock_skew_ms or info.disk_delay_ms) for info in infos)
    found = "none" if not broken else f"{broken} nodes have slow or cut links, a wrong clock or a slow disk"
    return [*rows, Row("faults that are left", found, "stop" if broken else "ok", reset if broken else "")]


def _round_trip(client: Client) -> Row:
    took_ms = []
    for _ in range(ROUND_TRIPS):
        began_s = time.monotonic()
        client.health()
        took_ms.append((time.monotonic() - began_s) * 1000.0)
    found_ms = median(took_ms)
    return _rated("a request, there and back", found_ms, f"{found_ms:.1f} ms", slow=20, stop=200)


def _sync(client: Client) -> Row:
    told = (client.stats().get("storage") or {}).get("sync_ms") or {}
    found_ms = told.get("p50")
    if found_ms is None:
        return Row("safe on disk (fsync)", "not measured yet", "ok")
    return _rated("safe on disk (fsync)", float(found_ms), f"{float(found_ms):.1f} ms", slow=15, stop=150)


def _load() -> Row:
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0]
    return _rated(
        "load of the computer", load / cores, f"{load:.1f} on {cores} cores", slow=1.5, stop=8,
        do="close other programs: delays will be longer than set",
    )  # fmt: skip


def _memory() -> list[Row]:
    try:
        told = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return []  # macOS says it only to programs of its own
    free = next(int(line.split()[1]) / 1024 for line in told.splitlines() if line.startswith("MemAvailable"))
    state: State = "ok" if free > 800 else "slow" if free > 250 else "stop"
    return [Row("free memory", f"{free:,.0f} MiB", state, "" if state == "ok" else "close other programs")]


def _disk(folder: Path) -> Row:
    free = shutil.disk_usage(folder).free / MIB
    state: State = "ok" if free > 1000 else "slow" if free > 200 else "stop"
    return Row("free disk", f"{free:,.0f} MiB", state, "" if state == "ok" else "make room on this disk")


def _rated(what: str, value: float, found: str, *, slow: float, stop: float, do: str = "") -> Row:
    state: State = "ok"
    if stop and value >= slow:
        state = "stop" if value >= stop else "slow"
    return Row(what, found, state, "" if state == "ok" else do or "numbers will be larger than in the text")


def _guarded(what: str, ask: Callable[[], list[Row]]) -> list[Row]:
    try:
        return ask()
    except (KvError, ClusterError, LookupError, ValueError) as error:
        return [
            Row(
                what,
                f"no answer: {error}",
                "stop",
                "run the first cell again: it finds or starts the cluster",
            )
        ]
