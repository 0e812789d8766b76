"""The last minute as the charts need it: one sample a poll, and the moments when somebody broke something.

Lives here: the one place that knows the shape of the traffic service's stats.
Must not live here: threads, HTTP, widgets. A value that was not measured is NaN, so that a chart shows a gap and never
an invented zero.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from labkit.worlds import FIRST

KINDS = ("tweet", "comment", "retweet", "like", "view", "read", "tally")
PERCENTILES = ("p50", "p95", "p99")


@dataclass(frozen=True, slots=True)
class NodeSample:
    """What was measured about one node at one moment."""

    rate: float
    state: str
    lag_p95_ms: float
    hints_pending: float
    said_by: Mapping[str, str] = field(default_factory=dict)  # what each other node believes of it


@dataclass(frozen=True, slots=True)
class Load:
    """What was measured about one world at one moment. counts: acknowledged operations by kind; world: what the world
    itself counts, such as collisions; mistake: the known mistake that is switched on, or ""."""

    running: bool
    target_rate: float
    achieved_rate: float
    operations_total: float
    errors_total: float
    counts: Mapping[str, float]
    latency_ms: Mapping[str, float]
    longest_gap_s: float
    world: Mapping[str, float] = field(default_factory=dict)
    mistake: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(Load):
    """One poll of the traffic service; `at_s` is on the kernel's monotonic clock. Its figures are of the first world;
    `of` tells of another one."""

    at_s: float
    nodes: Mapping[str, NodeSample]
    agreeing_share: float
    hints_pending_total: float
    worlds: Mapping[str, Load] = field(default_factory=dict)

    def of(self, world: str) -> Sample:
        """The same moment with the figures of that world; this sample, if nothing is known of it."""
        load = self.worlds.get(world)
        return self if load is None or world == FIRST else replace(self, **_fields_of(load))


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment worth remembering, for example "node-2 killed"."""

    at_s: float
    text: str


@dataclass
class History:
    """A bounded window of samples and marks.

    Invariant: samples are in order of time and number at most `sample_count_max`.
    """

    window_s: float = 60.0
    sample_count_max: int = 400
    mark_count_max: int = 30
    _samples: deque[Sample] = field(init=False)
    _marks: deque[Mark] = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Make the two bounded queues."""
        self._samples = deque(maxlen=self.sample_count_max)
        self._marks = deque(maxlen=self.mark_count_max)

    def add(self, sample: Sample) -> None:
        """Append one sample; one that is older than the newest is a programmer's error."""
        with self._lock:
            assert not self._samples or sample.at_s >= self._samples[-1].at_s, "time ran backwards"
            self._samples.append(sample)

    def mark(self, text: str, at_s: float) -> None:
        """Remember that something was done at `at_s`; every time chart shows it."""
        with self._lock:
            self._marks.append(Mark(at_s, text))

    def clear(self) -> None:
        """Forget everything, for the next class."""
        with self._lock:
            self._samples.clear()
            self._marks.clear()

    @property
    def samples(self) -> list[Sample]:
        """The samples of the window, oldest first."""
        with self._lock:
            return list(self._samples)

    @property
    def marks(self) -> list[Mark]:
        """The marks, oldest first."""
        with self._lock:
            return list(self._marks)

    @property
    def latest(self) -> Sample | None:
        """The newest sample."""
        with self._lock:
            return self._samples[-1] if self._samples else None


def blank(at_s: float) -> Sample:
    """A moment at which nothing was measured: every line has a gap there."""
    return replace(sample_from_stats({}, at_s), running=True)


def number(value: object) -> float:
    """A measured number as float; anything else is NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value)


def _part(of: object, name: str) -> Mapping[str, Any]:
    found = of.get(name) if isinstance(of, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def sample_from_stats(stats: Mapping[str, Any], at_s: float, workload: str = "twitter") -> Sample:
    """One sample from the answer of GET /api/real/traffic/stats."""
    loads = _part(stats, "workloads")
    told = _part(loads, workload)
    load = load_of({"running": stats.get("running"), **told})
    convergence = _part(stats, "convergence")
    lag = _part(convergence, "replication_lag_ms")
    nodes = {
        name: NodeSample(
            rate=number(node.get("achieved_rate")),
            state=str(node.get("state", "unknown")),
            lag_p95_ms=number(_part(lag, name).get("p95", node.get("replication_lag_ms"))),
            hints_pending=number(node.get("hints_pending")),
            said_by=dict(_part(node, "said_by")),
        )
        for name, node in _part(stats, "nodes").items()
    }
    return Sample(
        **_fields_of(replace(load, counts={kind: load.counts.get(kind, math.nan) for kind in KINDS})),
        at_s=at_s,
        nodes=nodes,
        agreeing_share=number(convergence.get("share")),
        hints_pending_total=number(convergence.get("hints_pending_total")),
        worlds={name: load_of(_part(loads, name)) for name in loads},
    )


def _fields_of(load: Load) -> dict[str, Any]:
    return {one.name: getattr(load, one.name) for one in fields(Load)}


def load_of(told: Mapping[str, Any]) -> Load:
    """One world, from its part of the service's answer."""
    return Load(
        running=bool(told.get("running")),
        target_rate=number(told.get("target_rate")),
        achieved_rate=number(told.get("achieved_rate")),
        operations_total=number(told.get("operations_total")),
        errors_total=number(told.get("errors_total")),
        counts={kind: number(count) for kind, count in _part(told, "counts").items()},
        latency_ms={name: number(_part(told, "latency_ms").get(name)) for name in PERCENTILES},
        longest_gap_s=number(told.get("longest_gap_s")),
        world={name: number(count) for name, count in _part(told, "world").items()},
        mistake=str(told.get("bug") or ""),
    )


@dataclass(frozen=True, slots=True)
class Measured:
    """What happened between two looks at the service."""

    seconds: float
    operations: int
    failed: int
    counts: Mapping[str, int]
    by_node: Mapping[str, int]

    @property
    def per_second(self) -> float:
        """Acknowledged operations/s."""
        return self.operations / self.seconds

    def __repr__(self) -> str:
        """One sentence."""
        parts = ", ".join(f"{count} {kind}s" for kind, count in self.counts.items() if kind != "tally")
        return (
            f"{self.operations} operations acknowledged in {self.seconds:.1f} s "
            f"({self.per_second:.0f}/s), {self.failed} failed: {parts}"
        )


def measured_between(before: Mapping[str, Any], after: Mapping[str, Any], seconds: float) -> Measured:
    """What was acknowledged from one answer of the service to the next."""
    loads = [_part(_part(stats, "workloads"), "twitter") for stats in (before, after)]
    counts = [_part(load, "counts") for load in loads]
    nodes = [_part(stats, "nodes") for stats in (before, after)]
    return Measured(
        seconds=seconds,
        operations=int(loads[1]["operations_total"] - loads[0]["operations_total"]),
        failed=int(loads[1]["errors_total"] - loads[0]["errors_total"]),
        counts={kind: int(counts[1].get(kind, 0) - counts[0].get(kind, 0)) for kind in KINDS},
        by_node={
            name: int(node.get("operations_total", 0) - _part(nodes[0], name).get("operations_total", 0))
            for name, node in nodes[1].items()
        },
    )
