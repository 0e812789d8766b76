"""A lab without processes: what the panels press is written down, and its stats have the service's shape."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from kvnode.cluster import ClusterError
from kvnode.cluster.contract import MembershipChange
from kvnode.errors import Unreachable
from kvnode.ring import Ring
from labkit.lab import NodeFacts
from labkit.samples import History, sample_from_stats


def stats_at(second: float, *, nodes: int = 3, dead: str | None = None, rate: float = 50.0) -> dict[str, Any]:
    """An answer of GET /api/real/traffic/stats as the service gives it."""
    wave = 1 + 0.05 * math.sin(second)
    names = [f"node-{number}" for number in range(1, nodes + 1)]
    alive = [name for name in names if name != dead]
    total = rate * second
    latency = {"p50": 2.1 * wave, "p95": 5.5 * wave, "p99": 9.0 * wave, "max": 14.0}
    return {
        "success": True,
        "running": True,
        "timestamp": 1_700_000_000.0 + second,
        "workloads": {
            "twitter": {
                "running": True, "target_rate": rate, "achieved_rate": rate * wave,
                "operations_total": int(total), "errors_total": 0, "r": 2, "w": 2,
                "latency_ms": latency, "service_latency_ms": latency, "longest_gap_s": 0.08,
                "counts": {
                    "tweet": int(total * 0.02), "retweet": int(total * 0.08), "comment": int(total * 0.1),
                    "like": int(total * 0.3), "view": int(total * 0.2),
                    "read": int(total * 0.25), "tally": int(total * 0.05),
                },
            }
        },
        "nodes": {
            name: {
                "url": f"http://127.0.0.1:{9998 + number}", "healthy": name in alive,
                "state": "alive" if name in alive else "dead", "operations_total": int(total / nodes),
                "achieved_rate": rate * wave / len(alive) if name in alive else 0.0, "hints_pending": 0,
            }
            for number, name in enumerate(names, 1)
        },
        "convergence": {
            "sampled_keys": 100, "agreeing_keys": 100, "share": 0.0 if dead else 1.0,
            "hints_pending_total": int(second) if dead else 0,
            "replication_lag_ms": {name: {"p50": 1.0, "p95": 2.5 * wave} for name in alive},
        },
    }  # fmt: skip


class FakeLab:
    """A double of labkit.lab.Lab: commands run in the caller's thread and land in `calls`."""

    def __init__(self, nodes: int = 3) -> None:
        """Three nodes that run, fifty operations/s."""
        self.history = History()
        self.replicas = min(3, nodes)
        self.summary = "attached to the running cluster quorum-lab (3 nodes)."
        self.calls: list[tuple[str, Any]] = []
        self.states = {f"node-{number}": "running" for number in range(1, nodes + 1)}
        self.cut: set[str] = set()
        self.values: dict[str, float] = {"rate": 50, "r": 2, "w": 2, "delay_ms": 0}
        self.refreshers: list[Callable[[], None]] = []
        self.problem: str | None = None
        self.large = False
        self.chosen_world = "twitter"
        self.said = ("ready", False)
        self.hold: list[Callable[[], None]] | None = None
        self.second = 0.0
        self.stored: dict[str, list[Mapping[str, Any]]] = {}

    def nodes(self) -> list[NodeFacts]:
        return [
            NodeFacts(name, state, 9998 + number, 4000 + number, "alive", 17.0, cut_off=name in self.cut)
            for number, (name, state) in enumerate(self.states.items(), 1)
        ]

    def choose(self, world: str) -> None:
        self.chosen_world = world

    def settings(self) -> Mapping[str, float]:
        return self.values

    def subscribe(self, refresh: Callable[[], None]) -> Callable[[], None]:
        self.refreshers.append(refresh)
        return lambda: self.refreshers.remove(refresh)

    def submit(
        self,
        doing: str,
        action: Callable[[], object],
        *,
        done: Callable[[str | None], None] | None = None,
    ) -> None:
        def run() -> None:
            problem = self.problem
            if problem is None:
                action()
            self.said = (f"{doing}: {problem or 'done'}", problem is not None)
            if done:
                done(problem)

        if self.hold is None:
            run()
        else:
            self.hold.append(run)

    def status(self) -> tuple[str, bool]:
        return self.said

    def kill(self, node: str) -> None:
        self.calls.append(("kill", node))
        self.states[node] = "dead"

    def pause(self, node: str) -> None:
        self.calls.append(("pause", node))
        self.states[node] = "paused"

    def resume(self, node: str) -> None:
        self.calls.append(("resume", node))
        self.states[node] = "running"

    def restart(self, node: str) -> None:
        self.calls.append(("restart", node))
        self.states[node] = "running"

    def isolate(self, node: str) -> None:
        self.calls.append(("isolate", node))
        self.cut.add(node)

    def heal(self) -> None:
        self.calls.append(("heal", None))
        self.cut.clear()

    def delay(self, delay_ms: float) -> None:
        self.calls.append(("delay", delay_ms))

    def set_rate(self, rate: float) -> None:
        self.calls.append(("set_rate", rate))
        self.values["rate"] = rate

    def set_quorum(self, *, r: int | None = None, w: int | None = None) -> None:
        self.calls.append(("set_quorum", (r, w)))

    def start_traffic(self) -> None:
        self.calls.append(("start_traffic", None))

    def stop_traffic(self) -> None:
        self.calls.append(("stop_traffic", None))

    def reset(self) -> None:
        self.calls.append(("reset", None))

    def put(self, key: str, value: str) -> Mapping[str, Any]:
        dot = "node-2.3f2a91c205d8b7aa:7"
        self.stored[key] = [
            {
                "node": f"node-{number}", "reachable": True, "digest": "ab12",
                "stored_at": 1_700_000_000_000.0 + number,
                "siblings": [
                    {
                        "value": value, "dot": dot, "vector_clock": {"node-2.3f2a91c205d8b7aa": 7},
                        "timestamp": 1_700_000_000_000.0,
                    }
                ],
            }
            for number in (1, 2, 3)
        ]  # fmt: skip
        return {
            "key": key, "dot": dot, "node": "node-2", "timestamp": 1_700_000_000_000, "w": 2,
            "acknowledged_by": ["node-2", "node-1"],
        }  # fmt: skip

    def replicas_of(self, key: str) -> list[Mapping[str, Any]]:
        return self.stored[key]

    def run_for(self, seconds: float, *, dead: str | None = None, interval_s: float = 0.25) -> None:
        """Let that much time pass: samples arrive and everybody refreshes once at the end."""
        jitter = random.Random(1)
        for _ in range(int(seconds / interval_s)):
            self.second += interval_s
            stats = stats_at(self.second, nodes=len(self.states), dead=dead, rate=self.values["rate"])
            self.history.add(sample_from_stats(stats, self.second + jitter.random() * 0.01))
        for refresh in self.refreshers:
            refresh()


@pytest.fixture(name="stats_at")
def stats_at_fixture() -> Callable[..., dict[str, Any]]:
    """`stats_at` for tests that make samples themselves."""
    return stats_at


@pytest.fixture
def make_lab() -> Callable[[int], FakeLab]:
    """A lab of any size."""
    return FakeLab


@pytest.fixture
def lab() -> FakeLab:
    """A lab in which half a minute has passed."""
    fake = FakeLab()
    fake.run_for(30)
    return fake


class RingCluster:
    """A double of a cluster whose nodes come and go: a change is over when a test calls `finish`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.replicas = 3
        self.members = ["node-1", "node-2", "node-3"]
        self.change: MembershipChange | None = None
        self.refusal: ClusterError | None = None
        self.arrived = 0
        self.silent: set[str] = set()
        self.leases: list[str] = []
        self.delays: list[float] = []

    @property
    def nodes(self) -> list[Any]:
        joining = [self.change.node] if self.change and not self.change.finished else []
        names = dict.fromkeys([*self.members, *joining])
        return [SimpleNamespace(name=name, state="running", rules={}, reason="") for name in names]

    @property
    def is_settled(self) -> bool:
        return self.change is None or self.change.finished

    def client(self, *, timeout_s: float = 5.0) -> RingCluster:
        return self

    @contextlib.contextmanager
    def lease(self, holder: str) -> Iterator[RingCluster]:
        self.leases.append(holder)
        yield self
        self.leases.remove(holder)

    def begin_join(self, *, delay_ms: float = 0.0) -> str:
        self.delays.append(delay_ms)
        return self._begin("join", f"node-{len(self.members) + 1}")

    def begin_leave(self, node: str) -> str:
        return self._begin("leave", node)

    def leave(self, node: str, *, timeout_s: float) -> None:
        self.begin_leave(node)
        self.finish()

    def reset(self) -> None:
        self.silent = set()

    def wait_ready(self, timeout_s: float) -> None:
        assert not self.silent

    def health(self, node: str) -> dict[str, Any]:
        return {"members": dict.fromkeys(self.members, "alive")}

    def _begin(self, what: Literal["join", "leave"], node: str) -> str:
        if self.refusal is not None:
            raise self.refusal
        self.change = MembershipChange(what, node, step="data moves")
        return node

    def finish(self, error: str = "") -> None:
        """The change is over; error: it came to nothing."""
        assert self.change is not None
        node = self.change.node
        if not error:
            others = [name for name in self.members if name != node]
            self.members = [*others, node] if self.change.what == "join" else others
        self.change = MembershipChange(self.change.what, node, finished=True, error=error)

    # --- as its nodes' client ---

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(info.name for info in self.nodes)

    def ring(self, node: str | None = None, key: str | None = None) -> dict[str, Any]:
        if node in self.silent:
            raise Unreachable(f"{node} takes no connections")
        lists, pending = _lists(self.members), None
        if self.change and not self.change.finished:
            going = self.change.node
            after = [name for name in self.members if name != going]
            after = [*after, going] if self.change.what == "join" else after
            pending = [
                [name for name in new if name not in old]
                for old, new in zip(lists, _lists(after), strict=True)
            ]
        return {
            "epoch": 1, "members": self.members, "nodes": self.members, "preference_lists": lists,
            "pending_lists": pending, "change": "node-4 is joining" if pending else "", "partition": 131,
        }  # fmt: skip

    def merkle(self, node: str) -> dict[str, Any]:
        is_new = node not in self.members
        return {
            "roots": ["0" if is_new and place >= self.arrived else f"{place:x}" for place in range(1, 257)]
        }

    def stats(self, node: str) -> dict[str, Any]:
        if node in self.silent:
            raise Unreachable(f"{node} takes no connections")
        return {"keys": 100}


def _lists(members: list[str]) -> list[list[str]]:
    return [list(owners) for owners in Ring.build(members, replicas=3, partitions=256).preference_lists]


@pytest.fixture
def ring_cluster(tmp_path: Path) -> RingCluster:
    """Three nodes, and nothing under way."""
    return RingCluster(tmp_path)
