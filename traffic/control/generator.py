"""The generator as a whole: workloads with their drivers on one store, and all that watches them.

Here: putting the parts together, starting and stopping them, one snapshot of their state.
Must not live here: HTTP service and command line, which both stand on this class.

Where several processes send, each runs this class with an actor of its own (fleet/).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from kvnode.checkers import Verdict
from traffic.clock import WEEKDAYS, Runtime, SimulatedClock, monotonic
from traffic.load.driver import Driver, Settings
from traffic.load.executor import Executor, Target
from traffic.load.registry import STARTED_BY_DEFAULT, WORKLOADS, RegisteredWorkload, checked_bug
from traffic.load.retirement import Retirement
from traffic.measure.events import Ended, Events
from traffic.measure.histograms import summary_of_values
from traffic.nodes.convergence import Convergence
from traffic.nodes.health import HealthPoller
from traffic.nodes.membership import Membership
from traffic.nodes.supervisor import Supervisor
from traffic.nodes.table import NodeTable
from traffic.stores.base import TrafficStore
from traffic.verify.journal_keeping import JournalKeeping
from traffic.verify.read_checks import ReadChecks
from traffic.verify.recovery import JournalRecovery
from traffic.verify.totals import RunningTotals
from traffic.verify.write_ledger import WriteLedger
from traffic.workloads.base import Workload
from traffic.workloads.twitter import Twitter

MAINTENANCE_EVERY_S = 1.0
CHECK_DRAIN_S = 5.0


class Generator:
    """Make it inside a running event loop; `begin` starts its tasks, `close` ends them."""

    def __init__(
        self,
        store: TrafficStore,
        *,
        settings: Settings,
        seed: int | None = None,
        journals: Path | None = None,
        successor: bool = True,
        worlds: Mapping[str, RegisteredWorkload] = WORKLOADS,
    ) -> None:
        """journals: the folder in which generators leave word for their successors; None: nowhere. successor:
        whether this one judges what others have left there."""
        self.seed = secrets.randbits(32) if seed is None else seed
        self.store = store
        self.nodes = NodeTable(store.nodes, random=self._random("nodes"), has_room=store.has_room)
        self.totals = RunningTotals()
        self.journal = JournalKeeping(journals, self.totals.actor)
        self.convergence = Convergence(store, self.nodes, random=self._random("convergence"))
        self._begin_records()
        self.recovery = JournalRecovery(journals, self.write_ledger.reads) if journals and successor else None
        self._retirement = Retirement()
        self._health_poller = HealthPoller(store, self.nodes)
        now = datetime.now()
        self.clock = SimulatedClock(hour=now.hour + now.minute / 60, weekday=WEEKDAYS[now.weekday()])
        self.preset: str | None = None
        self.supervisor = Supervisor(lambda: {name: store.url(name) for name in store.nodes})
        self._membership = Membership(store, self.nodes, addresses=self.supervisor.urls)
        self._worlds = worlds
        self.drivers: dict[str, Driver] = self._new_drivers(
            {
                name: settings
                if name in STARTED_BY_DEFAULT
                else replace(settings, rate=world.rate, shape=None)
                for name, world in worlds.items()
            }
        )
        self._somebody_died = asyncio.Event()
        self._listener: Callable[[Ended], None] | None = None
        self._driving: list[asyncio.Task[None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def _new_drivers(self, settings: Mapping[str, Settings]) -> dict[str, Driver]:
        """New people in every world, under new keys; drivers that have counted nothing yet."""
        tag = secrets.token_hex(2)
        return {name: self._driver(name, world, tag, settings[name]) for name, world in self._worlds.items()}

    def _driver(self, name: str, world: RegisteredWorkload, tag: str, settings: Settings) -> Driver:
        workload = world.make(self._random(name), tag)
        if hasattr(workload, "hour_of_day"):  # it lives by the hour: let it be that of the simulated clock
            workload.hour_of_day = self.clock.hour
        return Driver(
            workload,
            self._target,
            settings=settings,
            runtime=Runtime(
                self._random("arrivals" if name in STARTED_BY_DEFAULT else f"arrivals of {name}")
            ),
            schedule=world.schedule() if world.schedule else None,
        )

    def _begin_records(self) -> None:
        """A ledger and checks that have heard of nothing yet, and who sends what people write by hand."""
        self.write_ledger = WriteLedger(self.store, self.nodes, self.totals)
        self.read_checks = ReadChecks(self.store.replicas)
        judges = (
            self.write_ledger,
            self.journal,
            self.totals,
            self.convergence,
            self.nodes,
            self.read_checks,
        )
        self._target = Target(self.store, self.nodes, self.totals, judges)
        self.by_hand = Executor(
            "by hand",
            self._target,
            Events(*judges),
            runtime=Runtime(self._random("by hand")),
            quorums=lambda: (self.drivers["twitter"].settings.r, self.drivers["twitter"].settings.w),
        )
        self._counting_since_ms = int(time.time() * 1000)

    def _random(self, purpose: str) -> Random:
        """One seed, and a stream of its own for each purpose: more node choices do not change the tweets."""
        return Random(f"{self.seed}/{purpose}")

    # --- life ---------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Look at the nodes once, then keep watching, and be ready to drive. Sends nothing before `start`."""
        await self._health_poller.look_once()
        self.nodes.place(self.supervisor.regions())
        self._spawn(self._health_poller.run())
        self._spawn(self._membership.run())
        self._spawn(self.convergence.run())
        self._spawn(self._maintain())
        self._spawn(self._recover_journals())
        self._drive()

    async def close(self, *, keep_journal: bool = False) -> None:
        """keep_journal: leave it to a successor, as if this process had been killed."""
        for driver in self.drivers.values():
            await driver.close()
        await self._retirement.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if not self.failed.done():
            self.failed.cancel()
        await self.store.close()
        self.journal.close(keep=keep_journal)
        if self.recovery is not None:
            self.recovery.close()

    def why_broken(self) -> str | None:
        """One line about the bug that ended one of our tasks; None while all is well."""
        if not self.failed.done() or self.failed.cancelled():
            return None
        failure = self.failed.exception()
        cause = (failure and failure.__cause__) or failure
        return f"the generator broke: {type(cause).__name__}: {cause}"

    @property
    def running(self) -> bool:
        return any(driver.running for driver in self.drivers.values())

    @property
    def twitter(self) -> Twitter:
        workload = self.drivers["twitter"].workload
        assert isinstance(workload, Twitter)
        return workload

    @property
    def workloads(self) -> Mapping[str, Workload]:
        return {name: driver.workload for name, driver in self.drivers.items()}

    def start(self, workload: str | None = None) -> None:
        """One world, or those that start by default."""
        for name in STARTED_BY_DEFAULT if workload is None else (workload,):
            self.drivers[name].start()

    def stop(self, workload: str | None = None) -> None:
        """One world, or all."""
        for name in self.drivers if workload is None else (workload,):
            self.drivers[name].stop()

    def switch_bug(self, workload: str, bug: str | None) -> None:
        """Switch a known mistake of one world on, or (None) all off. ValueError if there is no such."""
        world = self.drivers[workload].workload
        world.bugs = frozenset() if bug is None else frozenset((checked_bug(world, bug),))

    def set_listener(self, listener: Callable[[Ended], None] | None) -> None:
        """Call `listener` for every operation that ends, in all worlds, in place of the one before."""
        for driver in self.drivers.values():
            if self._listener is not None:
                driver.events.unsubscribe(Ended, self._listener)
            if listener is not None:
                driver.events.subscribe(Ended, listener)
        self._listener = listener

    def reset(self) -> None:
        """A new class: every count, record and ledger begins anew, in new worlds without known mistakes; rates,
        patterns and quorums stay, and what ran goes on. The data of the class before stays in the database. What it
        has still out is answered to its own records, so that nothing of it, such as a write at w=1, is counted here.
        """
        before = list(self.drivers.items())
        running = [name for name, driver in before if driver.running]
        for task in self._driving:
            task.cancel()
        self._retirement.take([driver for _, driver in before])
        self._begin_records()
        self.drivers = self._new_drivers({name: driver.settings for name, driver in before})
        self.set_listener(self._listener)
        if self._driving:
            self._drive()
        for name in running:
            self.start(name)

    def give_up(self, reason: str) -> None:
        """The generator is broken, by a cause outside of it."""
        if not self.failed.done():
            self.failed.set_exception(RuntimeError(reason))

    def look_for_the_dead(self) -> None:
        """Soon, see what generators that were killed have left behind."""
        self._somebody_died.set()

    def longest_gap_s(self) -> float:
        now_s = monotonic()
        return max(driver.recorder.longest_gap_s(now_s) for driver in self.drivers.values())

    async def check(self) -> Verdict:
        """Read every acknowledged write back. Stopped traffic first gets a moment to be answered."""
        await self._settled()
        return await self.write_ledger.check()

    async def verdicts(self, worlds: Iterable[str] | None = None) -> list[Verdict]:
        """All verdicts: `check` first, then how the reads of the run stand, whether replicas agree (once nothing
        runs), and what each world (or each of these) has to say about its own promises."""
        found = [await self.check(), *self.read_checks.verdicts()]
        if not self.running:
            found.append(await self.convergence.in_the_end())
        for name in self.drivers if worlds is None else worlds:
            found += await self.drivers[name].workload.check(self.write_ledger.reads)
        if self.recovery is not None and (recovered := await self.recovery.verdict()) is not None:
            found.append(recovered)
        return found

    async def _settled(self) -> None:
        if not self.running:
            for driver in self.drivers.values():
                await driver.drained(CHECK_DRAIN_S)

    # --- the snapshot -------------------------------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        """The state of everything, as GET /api/real/traffic/stats answers it. Rates in operations/s over
        the last two seconds, latencies in ms over the last five."""
        now_s = monotonic()
        now_ms = int(time.time() * 1000)
        hints = [node.hints_pending for node in self.nodes.nodes.values() if node.hints_pending is not None]
        drivers = self.drivers.values()
        return {
            "success": True,
            "running": self.running,
            "timestamp": now_ms,
            "counting_since": self._counting_since_ms,
            "active_tweets": self.twitter.active,
            "active_documents": self._active("collab"),
            "active_products": self._active("inventory"),
            "operations_total": sum(driver.recorder.operations for driver in drivers),
            "errors_total": sum(driver.recorder.errors for driver in drivers),
            "replicas": self.store.replicas,
            "seed": self.seed,
            "journal": self.journal.describe(),
            "inherited": self.recovery.summary() if self.recovery else None,
            "clock": self.clock.describe(),
            "preset": self.preset,
            "workloads": {name: _workload(driver, now_s) for name, driver in self.drivers.items()},
            "nodes": {name: self._node(name, now_s) for name in self.store.nodes},
            "convergence": {
                **self.convergence.summary(now_s, now_ms),
                "hints_pending_total": sum(hints) if hints else None,
                "replication_lag_ms": self.nodes.replication_lag(),
            },
        }

    def _node(self, name: str, now_s: float) -> dict[str, Any]:
        node = self.nodes.nodes[name]
        lag = self.nodes.replication_lag()[name]["p95"]
        counts = self._counts(name, now_s)
        return {
            "url": self.store.url(name),
            "region": node.region,
            "healthy": node.healthy(now_s),
            "state": self.nodes.state(name, now_s),
            "said_by": self.nodes.opinions(name, now_s),
            **counts,
            "hints_pending": node.hints_pending,
            "keys": node.keys,
            "replication_lag_ms": lag,
        }

    def _counts(self, node: str, now_s: float) -> dict[str, Any]:
        """What went through one node, of all worlds together."""
        recorders = [driver.recorder for driver in self.drivers.values()]
        each = [recorder.node(node, now_s) for recorder in recorders]
        return {
            "operations_total": sum(one["operations_total"] for one in each),
            "errors_total": sum(one["errors_total"] for one in each),
            "achieved_rate": round(sum(one["achieved_rate"] for one in each), 1),
            "latency_ms": summary_of_values(
                np.concatenate([recorder.node_latencies_us(node, now_s) for recorder in recorders])
            ),
        }

    def _active(self, workload: str) -> int:
        driver = self.drivers.get(workload)
        return driver.workload.active if driver else 0

    # --- inside -------------------------------------------------------------------------------------------

    def _drive(self) -> None:
        self._driving = [self._spawn(driver.run()) for driver in self.drivers.values()]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A task of ours never ends by itself; if one does, the generator is broken and says so."""
        self._tasks.discard(task)
        if not task.cancelled() and not self.failed.done():
            self.failed.set_exception(task.exception() or RuntimeError("a task of the generator ended"))

    async def _maintain(self) -> None:
        learned = False
        while True:
            await asyncio.sleep(MAINTENANCE_EVERY_S)
            if not learned and await self.store.learn():
                learned = True
                self.journal.belongs_to(self.store.cluster)
                self.look_for_the_dead()
            self.read_checks.replicas = self.store.replicas
            self.nodes.place(self.supervisor.regions())
            if self.write_ledger.full:
                await self.write_ledger.verify_quietly()

    async def _recover_journals(self) -> None:
        while True:
            await self._somebody_died.wait()
            self._somebody_died.clear()
            if self.recovery is not None and self.store.cluster:
                await self.recovery.take(self.store.cluster)


def _workload(driver: Driver, now_s: float) -> dict[str, Any]:
    recorder, settings, world = driver.recorder, driver.settings, driver.workload
    return {
        "running": driver.running,
        "target_rate": round(driver.target_rate(now_s), 1) if driver.running else settings.rate,
        "rate_shape": settings.whole_rate().describe(),
        "loop": settings.loop,
        "workers": settings.workers if settings.loop == "closed" else None,
        "achieved_rate": round(recorder.achieved_rate(now_s), 1),
        "operations_total": recorder.operations,
        "errors_total": recorder.errors,
        "errors_definite": recorder.failed_definite,
        "errors_indefinite": recorder.failed_indefinite,
        "resent_total": recorder.resent,
        "queued": driver.queued,
        "in_flight": driver.in_flight,
        "resending": driver.resending,
        "shed_total": recorder.shed,
        "queued_total": recorder.queued,
        "r": settings.r,
        "w": settings.w,
        "pattern": settings.pattern,
        "latency_ms": recorder.latency_ms(now_s),
        "service_latency_ms": recorder.service_latency_ms(now_s),
        "counts": dict(recorder.ok),
        "active": world.active,
        "world": dict(world.counts()),
        "bug": next(iter(sorted(world.bugs)), None),
        "longest_gap_s": round(recorder.longest_gap_s(now_s), 3),
    }
