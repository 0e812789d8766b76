"""What exercises measure on the cluster: bounded, undone at its end, and returned as plain data for the judges.

Must not live here: judging (ex02.py, ex04.py).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
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
        _wait_until_known_dead(client, names[:-1], killed)
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


def _wait_until_known_dead(client: Client, alive: Iterable[str], dead: str) -> None:
    """Until then a write waits for its two seconds; afterwards the answer comes at once."""
    wait_until(
        lambda: all(client.health(name)["members"].get(dead) == "dead" for name in alive),
        what=f"the others to know that {dead} is dead", timeout_s=KNOWN_DEAD_S_MAX,
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
