"""What the exercises of 00 measure on the cluster: bounded, undone at its end, returned as plain data for the judges.

Must not live here: judging (ex00.py).
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kvnode.client import Client
from kvnode.cluster import LocalCluster
from kvnode.errors import KvError, NotFound
from labkit.course.stage import on_stage
from labkit.waiting import wait_until

WAITS = 400
LASTS_S_MAX = 15.0
KNOWN_DEAD_S_MAX = 8.0
BACK_S_MAX = 15.0


@dataclass(frozen=True)
class Waits:
    """How long so many reads took. shown_ms: what the chart in the cockpit calls p99 at the moment; NaN if nothing."""

    took_ms: tuple[float, ...]
    shown_ms: float = math.nan

    @property
    def p99_ms(self) -> float:
        """The shortest wait that 99 of 100 did not exceed."""
        ordered = sorted(self.took_ms)
        return ordered[math.ceil(0.99 * len(ordered)) - 1]

    @property
    def longer(self) -> int:
        """How many took longer than the p99."""
        return sum(took > self.p99_ms for took in self.took_ms)


def time_reads(session: Any, *, count: int = WAITS) -> Waits:
    """Read one key so often, one read after the other, through each node in turn."""
    client: Client = session.cluster.client()
    names = [info.name for info in session.cluster.nodes if info.state == "running"]
    key = f"trial/{secrets.token_hex(4)}"
    client.put(key, "hello")
    took_ms: list[float] = []
    began_s = time.monotonic()
    for number in range(count):
        if time.monotonic() - began_s > LASTS_S_MAX:
            break
        sent_s = time.monotonic()
        with suppress(KvError):
            client.get(key, node=names[number % len(names)])
            took_ms.append((time.monotonic() - sent_s) * 1000.0)
    latest = session.history.latest
    return Waits(tuple(took_ms), latest.latency_ms["p99"] if latest else math.nan)


@dataclass(frozen=True)
class Refused:
    """What a write came to while all nodes but one were dead, and whether it was there once they were back.

    definite: what the answer said of itself; None if it was acknowledged. killed: in words.
    """

    status: int
    detail: str
    definite: bool | None
    found_later: bool
    killed: str


def write_with_two_dead(cluster: LocalCluster) -> Refused:
    """Kill all nodes but one, wait until that one knows, write with W=2 through it, bring them back, and look."""
    key, status, detail, definite = f"trial/{secrets.token_hex(4)}", 200, "acknowledged", None
    with on_stage(cluster, "writing while two nodes are dead") as held:
        names = [info.name for info in held.nodes]
        alive, dead = names[0], names[1:]
        client = held.client()
        for name in dead:
            held.kill(name)
        _wait_until_known_dead(client, alive, dead)
        try:
            client.put(key, "refused?", w=2, node=alive)
        except KvError as error:
            status, detail, definite = error.status, error.detail, error.definite
    return Refused(status, detail, definite, _is_there(cluster, names, key), " and ".join(dead))


def _wait_until_known_dead(client: Client, by: str, dead: Sequence[str]) -> None:
    """Before, a write is tried for two seconds, and its answer is that nobody knows."""
    wait_until(
        lambda: all(client.health(by)["members"].get(name) == "dead" for name in dead),
        what=f"{by} to know that {' and '.join(dead)} are dead", timeout_s=KNOWN_DEAD_S_MAX,
    )  # fmt: skip


def _is_there(cluster: LocalCluster, names: Sequence[str], key: str) -> bool:
    """Once all nodes are back: whether a read of all replicas finds the key."""
    client = cluster.client()

    def answer() -> str:
        try:
            client.get(key, r=cluster.replicas, node=names[0])
        except NotFound:
            return "no"
        except KvError:
            return ""
        return "yes"

    return wait_until(answer, what="all nodes to be back", timeout_s=BACK_S_MAX) == "yes"
