"""What exercises measure on the cluster: bounded, undone at its end, and returned as plain data for the judges.

Must not live here: judging (ex00.py, ex02.py, ex04.py).
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kvnode.client import Client
from kvnode.cluster import LocalCluster
from kvnode.errors import KvError, NotFound
from labkit.course.stage import on_stage
from labkit.errors import LabError
from labkit.waiting import wait_until

KEYS = 60
AT_ONCE = 8
DELAY_MS = 50.0
DISK_MS = 1.0
WHILE_DEAD = 12
KNOWN_DEAD_S_MAX = 8.0
WAITS = 400
LASTS_S_MAX = 15.0
BACK_S_MAX = 15.0


@dataclass(frozen=True)
class QuorumTrial:
    """How R and W did: staleness under slow links, refusals while one node was dead.

    round_trip_ms: of a write to all replicas while links were slow: whether the delay was really there.
    """

    reads: int
    stale: int
    refused_by: dict[str, int]
    tried_while_dead: int
    round_trip_ms: float
    killed: str

    @property
    def refused(self) -> int:
        """Of all writes and reads while the node was dead."""
        return sum(self.refused_by.values())


def try_quorum(cluster: LocalCluster, *, r: int, w: int) -> QuorumTrial:
    """Write and read through different nodes on slow links; then kill a node, and write and read on."""
    with on_stage(cluster, f"trying R={r}, W={w}") as held:
        names = [info.name for info in held.nodes][: held.replicas]
        client = held.client()
        held.delay(DELAY_MS, distribution="exponential")
        for name in names:
            held.slow_disk(name, DISK_MS)
        reads, stale = _stale(client, names, r=r, w=w)
        round_trip_ms = _write_to_all_ms(client, names)
        held.delay(0)
        killed = names[-1]
        held.kill(killed)
        _wait_until_known_dead(client, names[:-1], [killed])
        refused = _refused(client, names[:-1], r=r, w=w)
    return QuorumTrial(reads, stale, refused, WHILE_DEAD * 2, round_trip_ms, killed)


def _stale(client: Client, names: list[str], *, r: int, w: int) -> tuple[int, int]:
    """Of so many reads sent at once after the acknowledgement, how many missed the write."""
    stem = f"trial/{secrets.token_hex(4)}"

    def sample(number: int) -> bool | None:
        writer, reader = (
            names[number % len(names)],
            names[(number + 1 + number // len(names) % 2) % len(names)],
        )
        try:
            put = client.put(f"{stem}/{number}", "new", w=w, node=writer)
            got = client.get(f"{stem}/{number}", r=r, repair=False, node=reader)
        except NotFound:
            return True
        except KvError:
            return None
        return all(one["dot"] != put["dot"] for one in got["siblings"])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = [one for one in pool.map(sample, range(KEYS)) if one is not None]
    return len(found), sum(found)


def _write_to_all_ms(client: Client, names: list[str]) -> float:
    took_ms = []
    for number in range(3):
        began_s = time.monotonic()
        client.put(f"trial/{secrets.token_hex(4)}", "x", w=len(names), node=names[number % len(names)])
        took_ms.append((time.monotonic() - began_s) * 1000.0)
    return sum(took_ms) / len(took_ms)


def _wait_until_known_dead(client: Client, alive: Iterable[str], dead: Sequence[str]) -> None:
    """Until then a write waits for its two seconds and nobody knows; afterwards the answer comes at once."""
    wait_until(
        lambda: all(client.health(name)["members"].get(gone) == "dead" for name in alive for gone in dead),
        what=f"the others to know that {' and '.join(dead)} died", timeout_s=KNOWN_DEAD_S_MAX,
    )  # fmt: skip


def _refused(client: Client, alive: list[str], *, r: int, w: int) -> dict[str, int]:
    refused = {"writes": 0, "reads": 0}
    stem = f"trial/{secrets.token_hex(4)}"
    for number in range(WHILE_DEAD):
        node = alive[number % len(alive)]
        try:
            client.put(f"{stem}/{number}", "x", w=w, node=node)
        except KvError:
            refused["writes"] += 1
        try:
            client.get(f"{stem}/{number}", r=r, node=node)
        except NotFound:
            continue
        except KvError:
            refused["reads"] += 1
    return refused


@dataclass(frozen=True)
class FreshTrial:
    """The share of fresh reads at one time after a write, as the traffic service measured and PBS predicts it."""

    reads: int
    percent: float
    low: float
    high: float
    predicted: float | None


def fresh_at(session: Any, *, t_ms: float, mean_ms: float, seconds: float = 8.0) -> FreshTrial:
    """Measure freshness with R=W=1 on links with this mean delay, at one t."""
    with on_stage(session.cluster, "measuring freshness") as held:
        held.delay(mean_ms, distribution="exponential")
        for info in held.nodes:
            held.slow_disk(info.name, DISK_MS)
        per_s = 60.0
        session.traffic.begin_pbs(r=1, w=1, writes=int(per_s * seconds), writes_per_s=per_s, t_ms=[t_ms])
        try:
            wait_until(
                lambda: not session.traffic.pbs()["running"],
                what="the end of the measurement",
                timeout_s=seconds + 12.0,
            )
            told = session.traffic.pbs()
        finally:
            session.traffic.end_pbs()
    point = told["points"][0]
    if not point["reads"]:
        raise LabError("No read was answered.", why=str(told.get("problem") or "nobody knows"))
    predicted = point.get("predicted")
    return FreshTrial(
        int(point["reads"]), 100.0 * point["share"], 100.0 * point["low"], 100.0 * point["high"],
        None if predicted is None else 100.0 * predicted,
    )  # fmt: skip


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
        _wait_until_known_dead(client, [alive], dead)
        try:
            client.put(key, "refused?", w=2, node=alive)
        except KvError as error:
            status, detail, definite = error.status, error.detail, error.definite
    return Refused(status, detail, definite, _is_there(cluster, names, key), " and ".join(dead))


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
