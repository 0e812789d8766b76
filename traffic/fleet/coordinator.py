"""A fleet: several generators in processes of their own, which the service steers and sees as one.

Here: starting the workers, telling them, hearing them, and replacing those that die.
Must not live here: what a worker does (worker.py), how snapshots become one (snapshots.py).

One process can send some thousands of operations a second; what is asked for beyond that needs more. Each worker is a
whole generator with an actor, a seed stream and ledgers of its own; each gets the same share of every rate. The
coordinator keeps a generator, too, that never sends: it watches the nodes, serves the reads of the service, is the
model of all settings (a change that it refuses goes to nobody), and recovers the journals of workers that were
killed.

When a worker dies its last snapshot stays in the sums, its journal is read back (verify/recovery.py), and another
worker with another actor takes its place; after RESTARTS_MAX deaths within RESTARTS_WITHIN_S the fleet is broken.
Workers end with the pipe to the coordinator.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import msgspec

from kvnode.checkers import Verdict
from traffic.clock import monotonic
from traffic.control.breakdown import merged as merged_breakdowns
from traffic.control.generator import Generator
from traffic.fleet.commands import Change, Command, Time, added, obey, shared, without_habits, without_rate
from traffic.fleet.messages import LINE_BYTES_MAX, Birth, Order, Report
from traffic.fleet.snapshots import Stats, merged
from traffic.load.driver import Settings
from traffic.load.registry import STARTED_BY_DEFAULT
from traffic.verify.write_ledger import merged as merged_verdicts

PROCESSES_MAX = 16
READY_TIMEOUT_S = 30.0
TELL_TIMEOUT_S = 10.0
CHECK_TIMEOUT_S = 300.0
CLOSE_TIMEOUT_S = 5.0
RESTARTS_MAX = 8
RESTARTS_WITHIN_S = 30.0
RESTART_PAUSE_S = 0.2
EVENTS_MAX = 50
SERIES_EVERY_S = 1.0
SERIES_ROWS_MAX = 900


class WorkerDied(Exception):
    """It ended before it answered."""


class CannotBegin(Exception):
    """The fleet could not be started; the text says why."""


class WorkerProcess:
    """The coordinator's side of the pipe to one worker."""

    def __init__(self, number: int, process: asyncio.subprocess.Process) -> None:
        self.number = number
        self.process = process
        self.actor = ""
        self.snapshot: dict[str, Any] | None = None
        self.breakdown: dict[str, Any] | None = None
        self.ready = asyncio.get_running_loop().create_future()
        self._answers: dict[int, asyncio.Future[Report]] = {}
        self._orders = 0

    def order(self, command: Command) -> asyncio.Future[Report]:
        """Send it now; the future brings the report. WorkerDied if there will be none."""
        self._orders += 1
        answer = asyncio.get_running_loop().create_future()
        if self.process.returncode is not None:
            answer.set_exception(WorkerDied(self.name))
            return answer
        self._answers[self._orders] = answer
        self.write(Order(self._orders, command))
        return answer

    @property
    def name(self) -> str:
        return f"generator process {self.number} (pid {self.process.pid})"

    def write(self, line: Birth | Order) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError, RuntimeError):  # it is gone: whoever reads its output finds out
            self.process.stdin.write(msgspec.json.encode(line) + b"\n")

    def heard(self, report: Report) -> None:
        if report.actor is not None:
            self.actor = report.actor
            if not self.ready.done():
                self.ready.set_result(None)
        if report.snapshot is not None:
            self.breakdown = report.snapshot.pop("breakdown", self.breakdown)
            self.snapshot = report.snapshot
        answer = self._answers.pop(report.number, None) if report.number is not None else None
        if answer is not None and not answer.done():
            answer.set_result(report)

    def died(self) -> None:
        for answer in (self.ready, *self._answers.values()):
            if not answer.done():
                answer.set_exception(WorkerDied(self.name))
        self._answers.clear()


def _with_something_to_say(verdicts: list[Verdict]) -> list[Verdict]:
    """Without those of processes that had nothing to check (the coordinator never sends), unless that is all there is
    on a claim."""
    telling = [
        one for one in verdicts if one.status != "unknown" or one.acknowledged or any(one.facts.values())
    ]
    told = {one.claim for one in telling}
    return [one for one in verdicts if one in telling or one.claim not in told]


class Fleet:
    """`processes` workers beside `own`, a generator that never sends."""

    def __init__(
        self, own: Generator, *, processes: int, settings: Settings, journals: Path | None = None
    ) -> None:
        self.own = own
        self._processes = processes
        self._settings = settings
        self._journals = journals
        self._workers: list[WorkerProcess] = []
        self._born = 0
        self._past: list[Stats] = []
        self._past_breakdowns: list[Stats] = []
        self._deaths: deque[float] = deque(maxlen=RESTARTS_MAX)
        self._events: deque[dict[str, Any]] = deque(maxlen=EVENTS_MAX)
        self._running: set[str] = set()
        self._preset: str | None = None
        self._changes = {name: Change(rate=driver.settings.rate) for name, driver in own.drivers.items()}
        self._series: dict[str, deque[Stats]] = {name: deque(maxlen=SERIES_ROWS_MAX) for name in own.drivers}
        self._began_s = monotonic()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    # --- life ---------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        await self.own.begin()
        try:
            await asyncio.gather(*(self._bear() for _ in range(self._processes)))
        except (WorkerDied, TimeoutError) as error:
            await self.close()
            raise CannotBegin(
                f"{error or 'a generator process'} was not ready in time; stderr may say why"
            ) from None
        self._spawn(self._write_series())

    async def close(self) -> None:
        """Say bye to all, and kill who does not go."""
        self._closing = True
        for worker in self._workers:
            worker.write(Order(bye=True))
            assert worker.process.stdin is not None
            worker.process.stdin.close()
        leaving = [asyncio.create_task(worker.process.wait()) for worker in self._workers]
        if leaving:
            await asyncio.wait(leaving, timeout=CLOSE_TIMEOUT_S)
        for worker in self._workers:
            if worker.process.returncode is None:
                worker.process.kill()
        await asyncio.gather(*leaving, return_exceptions=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.own.close()

    def why_broken(self) -> str | None:
        return self.own.why_broken()

    # --- what the service asks ----------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        return bool(self._running)

    def stats(self) -> Stats:
        snapshots = [worker.snapshot for worker in self._workers if worker.snapshot is not None]
        stats = merged(self.own.stats(), snapshots, self._past)
        for name, workload in stats["workloads"].items():
            workload["running"] = name in self._running
        stats["running"] = self.running
        stats["processes"] = {
            "wanted": self._processes,
            "alive": len(self._workers),
            "actors": [worker.actor for worker in self._workers],
            "died": self._born - len(self._workers),
            "events": list(self._events),
        }
        return stats

    def series(self, workload: str) -> list[Stats]:
        return list(self._series[workload])

    def breakdown(self) -> Stats:
        """As of at most five seconds ago."""
        living = [worker.breakdown for worker in self._workers if worker.breakdown is not None]
        everybody = [*self._past_breakdowns, *living]
        return {name: merged_breakdowns([one[name] for one in everybody]) for name in self.own.drivers}

    def tables(self) -> dict[str, dict[str, list[Stats]]]:
        """The series alone: rows of single nodes and cells stay with the workers."""
        return {"series": {name: list(rows) for name, rows in self._series.items()}, "nodes": {}, "cells": {}}

    async def tell(self, command: Command) -> list[Verdict]:
        if command.do == "check":
            return await self._check(command)
        if command.do not in ("start", "stop"):
            await obey(self.own, command)  # the model of all settings: what it refuses goes to nobody
        self._remember(command)
        await self._tell_all(shared(command, self._processes))
        if (
            command.do == "reset"
        ):  # whoever has obeyed makes a new snapshot; those from before are out of date
            self._forget_snapshots()
        return []

    # --- inside: orders -----------------------------------------------------------------------------------

    def _remember(self, command: Command) -> None:
        """For the workers that are still to come."""
        if command.do == "start":
            self._running |= {command.workload} if command.workload else set(STARTED_BY_DEFAULT)
        elif command.do == "stop":
            self._running -= {command.workload} if command.workload else set(self._running)
        elif command.do == "preset":
            self._preset = command.change.preset
            self._changes = {name: without_rate(change) for name, change in self._changes.items()}
        elif command.do == "change":
            assert command.workload is not None
            before = self._changes.get(command.workload, Change())
            self._changes[command.workload] = added(before, command.change)
        elif command.do == "reset":
            self._changes = {name: without_habits(change) for name, change in self._changes.items()}

    def _forget_snapshots(self) -> None:
        self._past.clear()
        self._past_breakdowns.clear()
        for worker in self._workers:
            worker.snapshot = worker.breakdown = None
        for rows in self._series.values():
            rows.clear()

    async def _tell_all(self, command: Command) -> None:
        """One that dies meanwhile is replaced by one that knows."""
        orders = [worker.order(command) for worker in self._workers]
        if orders:
            await asyncio.wait(orders, timeout=TELL_TIMEOUT_S)
        for order in orders:
            if order.done() and not order.exception() and (error := order.result().error):
                raise ValueError(error)

    async def _check(self, command: Command) -> list[Verdict]:
        found = await self.own.verdicts()
        claim = found[0].claim
        workers = list(self._workers)
        orders = [worker.order(command) for worker in workers]
        if orders:
            await asyncio.wait(orders, timeout=CHECK_TIMEOUT_S)
        silent: list[Verdict] = []
        for worker, order in zip(workers, orders, strict=True):
            report = order.result() if order.done() and not order.exception() else None
            if report is None:
                order.cancel()
                silent.append(
                    Verdict.not_known(
                        claim, f"{worker.name} did not say what it knows; its journal will be read"
                    )
                )
            elif report.error is not None:
                silent.append(Verdict.not_known(claim, f"{worker.name} could not check: {report.error}"))
            else:
                found += [msgspec.convert(verdict, Verdict) for verdict in report.verdicts]
        by_claim: dict[str, list[Verdict]] = {}
        for verdict in [*_with_something_to_say(found), *silent]:
            by_claim.setdefault(verdict.claim, []).append(verdict)
        return sorted((merged_verdicts(one) for one in by_claim.values()), key=lambda one: one.claim != claim)

    # --- inside: workers ---------------------------------------------------------------------------------

    async def _bear(self) -> None:
        """A new worker, ready and as busy as the others."""
        self._born += 1
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "traffic.fleet.worker"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_BYTES_MAX,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        worker = WorkerProcess(self._born, process)
        store = self.own.store
        worker.write(
            Birth(
                names=list(store.nodes),
                urls=[store.url(node) for node in store.nodes],
                replicas=store.replicas,
                seed=self.own.seed + self._born,
                rate=self._settings.rate / self._processes,
                pattern=self._settings.pattern,
                r=self._settings.r,
                w=self._settings.w,
                journals=str(self._journals) if self._journals and self.own.journal.kept else None,
            )
        )
        self._spawn(self._listen(worker))
        async with asyncio.timeout(READY_TIMEOUT_S):
            await worker.ready
        lesson = [worker.order(shared(command, self._processes)) for command in self._lesson()]
        if worker.process.returncode is None:
            self._workers.append(
                worker
            )  # in the same moment: what is told from now on comes after the lesson
        await asyncio.gather(*lesson)

    def _lesson(self) -> list[Command]:
        """What a new worker must be told to be like the others."""
        lesson: list[Command] = []
        if self._preset is not None:
            lesson.append(Command("preset", change=Change(preset=self._preset)))
            clock = self.own.clock.describe()
            time_now = Time(hour=clock["hour"], weekday=clock["weekday"], speed=clock["speed"])
            lesson.append(Command("time", time=time_now))
        lesson += [Command("change", name, change) for name, change in self._changes.items()]
        lesson += [Command("start", name) for name in sorted(self._running)]
        return lesson

    async def _listen(self, worker: WorkerProcess) -> None:
        assert worker.process.stdout is not None
        with contextlib.suppress(ValueError):  # a line beyond the bound: it is out of its mind
            while line := await worker.process.stdout.readline():
                with contextlib.suppress(msgspec.MsgspecError):
                    worker.heard(msgspec.json.decode(line, type=Report))
        with contextlib.suppress(ProcessLookupError):
            worker.process.kill()
        status = await worker.process.wait()
        worker.died()
        if self._closing:
            return
        if worker in self._workers:
            self._workers.remove(worker)
        if worker.snapshot is not None:
            self._past.append(worker.snapshot["stats"])
        if worker.breakdown is not None:
            self._past_breakdowns.append(worker.breakdown)
        ended = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        self._events.append(
            {"at": int(time.time() * 1000), "event": f"{worker.name}, actor {worker.actor}, {ended}"}
        )
        self.own.look_for_the_dead()
        await self._replace()

    async def _replace(self) -> None:
        self._deaths.append(monotonic())
        if len(self._deaths) == RESTARTS_MAX and monotonic() - self._deaths[0] < RESTARTS_WITHIN_S:
            self.own.give_up(f"{RESTARTS_MAX} generator processes died within {RESTARTS_WITHIN_S:g} s")
            return
        await asyncio.sleep(RESTART_PAUSE_S)
        with contextlib.suppress(WorkerDied, TimeoutError):  # whoever listens to it knows already
            await self._bear()

    async def _write_series(self) -> None:
        before = self.stats()["workloads"]
        while True:
            await asyncio.sleep(SERIES_EVERY_S)
            stats = self.stats()
            for name, workload in stats["workloads"].items():
                old = before[name]
                self._series[name].append(
                    {
                        "t_s": round(monotonic() - self._began_s, 3),
                        "target_rate": workload["target_rate"] if workload["running"] else 0.0,
                        "achieved_rate": workload["achieved_rate"],
                        "errors": max(0, workload["errors_total"] - old["errors_total"]),
                        "shed": max(0, workload["shed_total"] - old["shed_total"]),
                        "in_flight": workload["in_flight"],
                        **{f"{part}_ms": value for part, value in workload["latency_ms"].items()},
                    }
                )
            before = stats["workloads"]

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
