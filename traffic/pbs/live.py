"""Measuring staleness while people watch: points, and what the model says of them, as they come.

One measurement at a time, bounded in time and rate; a new one takes the place of the one before. It has connections of
its own, so that it neither slows the traffic nor waits for it. The model is thrown with few dice while points still
come, and with many at the end.

Here: one measurement's life, and its numbers as JSON.
Must not live here: requests and times (measure.py), the model (model.py), delays of links: whoever asks for a
measurement makes the cluster slow.
"""

from __future__ import annotations

import asyncio
import contextlib
from math import sqrt
from random import Random
from statistics import median
from typing import Any

from traffic.clock import monotonic
from traffic.pbs.measure import PbsRun, Point, Wish
from traffic.pbs.model import TRIALS
from traffic.stores.base import TrafficStore

PREDICT_EVERY_S = 1.0
Z95 = 1.959964
TRIALS_MEANWHILE = 1_500
CONNECTIONS_MAX = 48


class LiveMeasurement:
    """The measurement that runs, or the last one that ran."""

    def __init__(self, store: TrafficStore) -> None:
        self._store = store
        self._task: asyncio.Task[None] | None = None
        self._run: PbsRun | None = None
        self._wish = Wish()
        self._began_s = 0.0
        self._problem: str | None = None
        self._changing = asyncio.Lock()  # of two who begin at the same moment, one takes the other's place

    @property
    def running(self) -> bool:
        """Whether points still come."""
        return self._task is not None and not self._task.done()

    async def begin(self, wish: Wish) -> None:
        """Measure this, instead of what is being measured. Raises ValueError."""
        wish.check(self._store.replicas, len(self._store.nodes))
        async with self._changing:
            await self._end()
            self._wish, self._began_s, self._problem = wish, monotonic(), None
            store = self._store.apart(CONNECTIONS_MAX)
            self._run = PbsRun(store, wish, random=Random(), prepares=True)
            self._task = asyncio.create_task(self._measure(self._run, store))

    async def end(self) -> None:
        """Stop measuring; what was measured stays until the next begin."""
        async with self._changing:
            await self._end()

    async def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def as_json(self) -> dict[str, Any]:
        """The wish, and all that is known by now; the shares of fresh reads are null as long as they are not."""
        known = None if self._run is None else self._run.measurement
        return {
            "running": self.running,
            "r": self._wish.r,
            "w": self._wish.w,
            "writes": self._wish.writes,
            "writes_per_s": self._wish.writes_per_s,
            "repair": self._wish.repair,
            "elapsed_s": round(monotonic() - self._began_s, 3) if self.running else None,
            "points": [_point(point) for point in known.points] if known else [],
            "writes_traced": len(known.writes) if known else 0,
            "failed": known.failed if known else 0,
            "delays": known.delays if known and known.writes else "",
            "problem": self._problem,
        }

    async def _measure(self, run: PbsRun, store: TrafficStore) -> None:
        predicting = asyncio.create_task(self._predict_now_and_then(run))
        try:
            await run.run()
            predicting.cancel()
            await asyncio.to_thread(run.measurement.predict, Random(1), trials=TRIALS // 2)
        except Exception as error:  # noqa: BLE001 - nobody awaits this task: whoever looks is told
            self._problem = f"{type(error).__name__}: {error}"
        finally:
            predicting.cancel()
            if store is not self._store:
                await store.close()

    @staticmethod
    async def _predict_now_and_then(run: PbsRun) -> None:
        while True:
            await asyncio.sleep(PREDICT_EVERY_S)
            await asyncio.to_thread(run.measurement.predict, Random(1), trials=TRIALS_MEANWHILE)


def interval(fresh: int, reads: int) -> tuple[float, float]:
    """Where the true share lies with 95 % confidence; Wilson (1927), which is honest for few reads too."""
    if not reads:
        return 0.0, 1.0
    share, square = fresh / reads, Z95**2
    centre = (share + square / (2 * reads)) / (1 + square / reads)
    half = Z95 / (1 + square / reads) * sqrt(share * (1 - share) / reads + square / (4 * reads**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def _point(point: Point) -> dict[str, Any]:
    low, high = interval(point.fresh, point.reads)
    return {
        "t_ms": point.t_ms,
        "reads": point.reads,
        "fresh": point.fresh,
        "share": point.measured if point.reads else None,
        "low": low,
        "high": high,
        "waited_ms": round(median(point.waited_ms), 3) if point.waited_ms else None,
        "predicted": point.predicted if point.predicted == point.predicted else None,
    }
