"""What an operation costs: CPU time of each process, and syncs, around a fixed number of operations.

Rates of a shared computer say little while others use it; the CPU time of a process hardly changes with the load
beside it. Three nodes and their client share the cores, so the sum is what bounds the rate.
"""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
_US = 1e6


@dataclass(frozen=True)
class Used:
    """CPU time (s) of each process so far, by name, and the syncs of all of them together."""

    user_s: dict[str, float]
    system_s: dict[str, float]
    syncs: int


def read(pids: Mapping[str, int], syncs: Callable[[], int]) -> Used:
    """What these processes have used so far, and this one as "client"."""
    user_s, system_s = {}, {}
    for name, pid in {**pids, "client": os.getpid()}.items():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        user_s[name], system_s[name] = int(fields[11]) * _TICK_S, int(fields[12]) * _TICK_S
    return Used(user_s, system_s, syncs())


def line(title: str, before: Used, after: Used, operations: int) -> str:
    """µs of CPU an operation: each process (user+system), the sum, and syncs an operation."""
    total = system = 0.0
    parts = []
    for name in before.user_s:
        user_us = (after.user_s[name] - before.user_s[name]) * _US / operations
        system_us = (after.system_s[name] - before.system_s[name]) * _US / operations
        total, system = total + user_us + system_us, system + system_us
        parts.append(f"{name} {user_us:.0f}+{system_us:.0f}")
    syncs = (after.syncs - before.syncs) / operations
    return f"{title:<34} {total:6.0f} µs/op ({system:.0f} system)  {'  '.join(parts)}  {syncs:.2f} syncs/op"


def kvnode_syncs(urls: list[str]) -> int:
    """Syncs of all nodes so far, from GET /stats."""
    return sum(msgspec.json.decode(_get(url + "/stats"))["storage"]["commits_total"] for url in urls)


def etcd_syncs(urls: list[str]) -> int:
    """Syncs of all members' logs so far, from GET /metrics."""
    name = b"etcd_disk_wal_fsync_duration_seconds_count "
    lines = (row for url in urls for row in _get(url + "/metrics").splitlines())
    return sum(int(float(row.removeprefix(name))) for row in lines if row.startswith(name))


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        body: bytes = answer.read()
        return body
