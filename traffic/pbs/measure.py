"""Measuring staleness on a real cluster, for comparison with the model in model.py.

Each sample: a key that all replicas hold is written anew through one node with w, and, once that is acknowledged, read
with r through another node at several times t after the acknowledgement. A read is fresh if it returns the new version.
Many keys are under way at once, paced evenly, so that no request waits for another.

What t really was: a timer is late, so it is measured, by the client. The ways from a node to the client and back come
from comparing the client's wall clock with those in the traces: all are one computer's.

Here: requests and times.
Must not live here: the cluster and its delays (scripts/pbs.py), the model (model.py).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import median

from msgspec import Struct
from msgspec import field as struct_field

from traffic.clock import monotonic
from traffic.pbs.model import TRIALS, OfRead, OfWrite, described, probability_fresh, read_of, write_of
from traffic.stores.base import PutReply, StoreError, TrafficStore

POINTS_MAX = 12
T_MS_MAX = 1_000.0
WRITES_PER_S_MAX = 200.0
WRITES_MAX = 12_000
SECONDS_MAX = 60.0
PREPARED_AT_ONCE = 32
TRACED_READS = 2  # of each write
TRACES_AFTER_S = 1.0  # by then all messages of a request have arrived, and nodes have not forgotten it yet


class Wish(Struct, forbid_unknown_fields=True):
    """What to measure: quorums, at which times after the acknowledgement, how many writes, and how fast.

    Each write is read once at each time: `writes` is also the number of reads of each point. repair: reads mend the
    replicas that they find behind, which the model does not know of.
    """

    r: int = 1
    w: int = 1
    t_ms: list[float] = struct_field(default_factory=lambda: [0.0, 20.0, 50.0, 100.0])
    writes: int = 600
    writes_per_s: float = 60.0
    repair: bool = False

    def check(self, replicas: int, nodes: int) -> None:
        """ValueError says what cannot be measured."""
        if nodes < 2:
            raise ValueError(
                "reads go through another node than the write: expected at least two nodes, got one"
            )
        if not (1 <= self.r <= replicas and 1 <= self.w <= replicas):
            raise ValueError(f"r={self.r}, w={self.w}: expected 1 to {replicas}, the number of replicas")
        if not 1 <= len(self.t_ms) <= POINTS_MAX or not all(0 <= t <= T_MS_MAX for t in self.t_ms):
            raise ValueError(f"t_ms: expected 1 to {POINTS_MAX} times from 0 to {T_MS_MAX:g} ms")
        if len(set(self.t_ms)) < len(self.t_ms):
            raise ValueError("t_ms: each time once")
        if not 0 < self.writes_per_s <= WRITES_PER_S_MAX:
            raise ValueError(
                f"writes_per_s {self.writes_per_s:g}: expected more than 0 and at most {WRITES_PER_S_MAX:g}"
            )
        if not 1 <= self.writes <= WRITES_MAX or self.writes > self.writes_per_s * SECONDS_MAX:
            raise ValueError(
                f"writes {self.writes}: expected 1 to {WRITES_MAX}, and no more than fit into {SECONDS_MAX:g} s"
            )


class Moment:
    """Now, on both clocks: the client's own, and the one that the traces of this computer use."""

    def __init__(self) -> None:
        self.s, self.wall_ms = monotonic(), time.time() * 1000.0


@dataclass
class Point:
    """Reads meant to be sent t_ms after the acknowledgement.

    waited_ms: how long after it each was really sent. traced: the same of some of
    them, with their delays, by the number of the write.
    """

    t_ms: float
    fresh: int = 0
    waited_ms: list[float] = field(default_factory=list)
    traced: dict[int, tuple[float, OfRead]] = field(default_factory=dict)
    predicted: float = float("nan")

    @property
    def reads(self) -> int:
        return len(self.waited_ms)

    @property
    def measured(self) -> float:
        """The share of fresh reads."""
        return self.fresh / self.reads if self.reads else float("nan")

    @property
    def difference(self) -> float:
        """Between predicted and measured, in percentage points."""
        return abs(self.predicted - self.measured) * 100.0


@dataclass
class Measurement:
    """What came out."""

    r: int
    w: int
    points: list[Point]
    writes: dict[int, OfWrite] = field(default_factory=dict)
    failed: int = 0

    def predict(self, random: Random, *, trials: int = TRIALS) -> None:
        """Fill in what the model says of every point, from the traces. May run in a thread of its own meanwhile."""
        writes = dict(self.writes)
        for point in self.points:
            traced = dict(point.traced)
            if writes and traced:
                point.predicted = probability_fresh(
                    writes, traced, r=self.r, w=self.w, random=random, trials=trials
                )

    @property
    def delays(self) -> str:
        """The mean of every delay, in words."""
        return described(
            self.writes.values(), (read for point in self.points for _, read in point.traced.values())
        )

    def table(self) -> list[str]:
        """Predicted beside measured, one line a point."""
        lines = ["  t (ms)   really, median (ms)   reads   measured   predicted   difference (points)"]
        for point in self.points:
            lines.append(
                f"{point.t_ms:8g}   {_median(point.waited_ms):19.2f}   {point.reads:5}   {point.measured:8.3f}"
                f"   {point.predicted:9.3f}   {point.difference:19.1f}"
            )
        return lines


class PbsRun:
    """One measurement, through two nodes or more.

    prepares: each key is stored at all replicas just before it is needed, instead of all of them by `prepare`.
    """

    def __init__(
        self,
        store: TrafficStore,
        wish: Wish,
        *,
        random: Random,
        prepares: bool = False,
    ) -> None:
        self._store = store
        self._wish = wish
        self._random = random
        self._prepares = prepares
        self._tag = f"pbs/{random.getrandbits(32):08x}"
        self.measurement = Measurement(wish.r, wish.w, [Point(t) for t in sorted(wish.t_ms)])

    async def prepare(self) -> None:
        """Store every key at all replicas. To be done before links are made slow."""
        left = iter(range(self._wish.writes))

        async def worker(number: int) -> None:
            node = self._store.nodes[number % len(self._store.nodes)]
            for key in left:
                await self._store.put(node, f"{self._tag}/{key}", "old", w=self._store.replicas)

        await asyncio.gather(*(worker(number) for number in range(PREPARED_AT_ONCE)))

    async def run(self) -> Measurement:
        """Write and read every key. Requests that fail are left out, and counted; cancelled, none stays under way."""
        tasks: list[asyncio.Task[None]] = []
        began_s = monotonic()
        try:
            for number in range(self._wish.writes):
                await asyncio.sleep(max(0.0, began_s + number / self._wish.writes_per_s - monotonic()))
                tasks.append(asyncio.create_task(self._sample(number)))
            await asyncio.gather(*tasks)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        return self.measurement

    async def _sample(self, number: int) -> None:
        key = f"{self._tag}/{number}"
        writer, reader = self._random.sample(list(self._store.nodes), 2)
        points = self.measurement.points
        traced = self._random.sample(points, min(TRACED_READS, len(points)))
        try:
            if self._prepares:
                await self._store.put(writer, key, "old", w=self._store.replicas)
            put = await self._store.put(writer, key, "new", w=self.measurement.w)
            answered = Moment()
            sent = await asyncio.gather(*(self._read(reader, key, put, point, answered) for point in points))
            await asyncio.sleep(TRACES_AFTER_S)
            reads = [one for point, one in zip(points, sent, strict=True) if point in traced]
            await self._learn(number, writer, put, answered, reader, reads)
        except StoreError:
            self.measurement.failed += 1

    async def _read(
        self, reader: str, key: str, put: PutReply, point: Point, answered: Moment
    ) -> tuple[Point, str | None, Moment]:
        """Read at its time; answers the trace id of the read, and when it was sent."""
        wait_s = answered.s + point.t_ms / 1000.0 - monotonic()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        sent = Moment()
        got = await self._store.get(reader, key, r=self.measurement.r, repair=self._wish.repair)
        point.waited_ms.append((sent.s - answered.s) * 1000.0)
        point.fresh += any(sibling.dot == put.dot for sibling in got.siblings)
        return point, got.trace_id, sent

    async def _learn(
        self,
        number: int,
        writer: str,
        put: PutReply,
        answered: Moment,
        reader: str,
        reads: Sequence[tuple[Point, str | None, Moment]],
    ) -> None:
        """The delays, from the traces of the write and of some of its reads."""
        measurement = self.measurement
        told = None if put.trace_id is None else write_of(await self._store.trace(writer, put.trace_id))
        if told is None:
            return
        write, sent_ms = told
        to_client_ms = answered.wall_ms - sent_ms - write.committed(measurement.w)
        measurement.writes[number] = write._replace(to_client=to_client_ms)
        for point, trace_id, sent in reads:
            found = None if trace_id is None else read_of(await self._store.trace(reader, trace_id))
            if found is not None:
                read, began_ms = found
                waited_ms = (sent.s - answered.s) * 1000.0
                point.traced[number] = waited_ms, read._replace(from_client=began_ms - sent.wall_ms)


def _median(values: Sequence[float]) -> float:
    return median(values) if values else float("nan")
