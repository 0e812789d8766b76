"""One run without the service: traffic for a while, then the verdicts.

Here: what a run is (Plan), its course from the first arrival to the exit status, and what is left of it: a recording, a
report, CSV.
Must not live here: the generator, the checks, what is printed (console.py), arguments (commandline.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from kvnode.checkers import Verdict
from traffic.clock import SimulatedClock, monotonic
from traffic.control.generator import Generator
from traffic.control.presets import PEAK_OF_WORLD, apply_preset, preset
from traffic.control.rate_parser import rate_of
from traffic.discovery import Address, require_a_node
from traffic.load.driver import Driver, Settings
from traffic.load.rates import Constant, Rate, Scaled
from traffic.load.registry import checked_bug
from traffic.measure.environment import environment
from traffic.measure.series import CELL_COLUMNS, NODE_COLUMNS, ROW_COLUMNS, Row, csv_of, labelled
from traffic.nodes.supervisor import State
from traffic.runs import console
from traffic.runs.faults import Repeating, fault_actions, seen
from traffic.runs.recording import Fault, Header, Judged
from traffic.runs.report import Report, write_report
from traffic.runs.writer import RecordingWriter
from traffic.stores.kvnode import connect

PROGRESS_EVERY_S = 0.5
LOOK_EVERY_S = 0.25
DRAIN_S = 15.0
EXIT_STATUS = {"ok": 0, "at risk": 0, "violated": 1, "unknown": 2}


class CannotRun(Exception):
    """The run was asked for in a way that makes no sense; one line says why."""


@dataclass(frozen=True)
class Plan:
    """What somebody asked for. rate: None leaves every world its own; of all worlds together where there are
    several. With a preset it is the rate at its busiest."""

    worlds: tuple[str, ...]
    settings: Settings
    duration_s: float
    rate: str | None = None
    preset: str | None = None
    bug: str | None = None
    seed: int | None = None
    record: Path | None = None
    report: Path | None = None
    csv: Path | None = None
    command: str = ""


@dataclass
class Course:
    """A run under way: where its notes go."""

    generator: Generator
    worlds: tuple[str, ...]
    plan: Plan
    title: str
    began_s: float = 0.0
    writer: RecordingWriter | None = None
    faults: list[Fault] = field(default_factory=list)
    repeating: Repeating | None = None
    rows_written: dict[str, float] = field(default_factory=dict)

    @property
    def drivers(self) -> dict[str, Driver]:
        return {name: self.generator.drivers[name] for name in self.worlds}


async def run_workloads(addresses: Sequence[Address], plan: Plan) -> int:
    """0 if all verdicts are ok or at risk, 1 if one is violated (or the generator broke), 2 if it cannot be
    told."""
    if plan.preset is not None:
        sensible(preset, plan.preset)
    if plan.rate is not None:
        sensible(rate_of, plan.rate, clock=SimulatedClock())
    store = await connect(addresses)
    generator = Generator(store, settings=plan.settings, seed=plan.seed)
    try:
        _set_up(generator, plan)
        await require_a_node(addresses)
        return await run_course(
            Course(generator, plan.worlds, plan, " and ".join(plan.worlds)),
            lambda ran_s: ran_s >= plan.duration_s,
        )
    finally:
        await generator.close()


# --- before ------------------------------------------------------------------------------------------------


def sensible(change: Callable[..., Any], *args: Any, **more: Any) -> Any:
    """The call's answer; its ValueError is somebody's mistake in asking."""
    try:
        return change(*args, **more)
    except ValueError as error:
        raise CannotRun(str(error)) from None


def _set_up(generator: Generator, plan: Plan) -> None:
    if plan.bug is not None:
        knowing = [name for name in plan.worlds if plan.bug in generator.drivers[name].workload.bugs_known]
        if not knowing:
            sensible(checked_bug, generator.drivers[plan.worlds[0]].workload, plan.bug)
        generator.switch_bug(knowing[0], plan.bug)
    whole = None if plan.rate is None else sensible(rate_of, plan.rate, clock=generator.clock)
    if plan.preset is not None:
        scale = 1.0 if whole is None else whole.peak_ops_per_s / _peak(generator, plan)
        sensible(apply_preset, generator, plan.preset, scale=scale, start=False)
    elif whole is not None:
        for name in plan.worlds:
            sensible(generator.drivers[name].change, rate=_share(whole, name, plan.worlds))
    for name in plan.worlds:
        settings = plan.settings
        generator.drivers[name].change(loop=settings.loop, workers=settings.workers, pattern=settings.pattern)


def _peak(generator: Generator, plan: Plan) -> float:
    assert plan.preset is not None
    chosen = preset(plan.preset)
    return sum(chosen.rate(name, generator.clock).peak_ops_per_s for name in plan.worlds)


def _share(whole: Rate, world: str, worlds: Sequence[str]) -> Rate:
    if len(worlds) == 1:
        return whole
    share = PEAK_OF_WORLD[world] / sum(PEAK_OF_WORLD[name] for name in worlds)
    return Constant(whole.ops_per_s * share) if isinstance(whole, Constant) else Scaled(whole, share)


# --- the course --------------------------------------------------------------------------------------------


async def run_course(course: Course, over: Callable[[float], bool]) -> int:
    """From the first arrival until it is `over` (asked with the seconds that it has run) or somebody stops it;
    then the verdicts, what was asked for in files, and the exit status."""
    generator = course.generator
    await generator.begin()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    header = _header(course)
    console.beginning(course.drivers, seed=generator.seed, duration_s=course.plan.duration_s)
    course.began_s = monotonic()
    if course.plan.record is not None:
        course.writer = _opened(course.plan.record, header, course.began_s)
        generator.set_listener(course.writer.operation)
    began_cpu_s = _cpu_s()
    for name, driver in course.drivers.items():
        driver.recorder.begin_series(course.began_s)
        generator.start(name)
    beside = [asyncio.create_task(_look(course))]
    if course.repeating is not None:
        beside.append(asyncio.create_task(course.repeating.run()))
    try:
        while not stopped.is_set() and not over(ran_s := monotonic() - course.began_s):
            if (broken := generator.why_broken()) is not None:
                print(f"traffic: {broken}", file=sys.stderr)
                return 1
            console.line(course.drivers, ran_s)
            left_s = course.plan.duration_s - ran_s
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), min(PROGRESS_EVERY_S, max(left_s, 0.01)))
        targets = {name: driver.target_rate() for name, driver in course.drivers.items()}
        generator.stop()
        cpu_s = _cpu_s() - began_cpu_s
        console.line(course.drivers, monotonic() - course.began_s, last=True)
        for name, driver in course.drivers.items():
            if not await driver.drained(DRAIN_S):
                print(f"{driver.in_flight + driver.resending} operations are still unanswered", flush=True)
            driver.recorder.write_row(monotonic(), target_rate=targets[name], in_flight=driver.in_flight)
    finally:
        for task in beside:
            task.cancel()
        generator.set_listener(None)
    console.summary(course.drivers, cpu_s=cpu_s, longest_gap_s=generator.longest_gap_s())
    verdicts = await _judge(course)
    console.verdicts(verdicts)
    _leave(course, header, verdicts, cpu_s)
    statuses = {verdict.status for verdict in verdicts}
    return next(
        (EXIT_STATUS[status] for status in ("violated", "unknown") if status in statuses),
        0,
    )


def _header(course: Course) -> Header:
    generator, plan = course.generator, course.plan
    return Header(
        started_at=datetime.now().astimezone().isoformat(timespec="seconds"),
        seed=generator.seed,
        settings={name: driver.settings.describe() for name, driver in course.drivers.items()},
        nodes=list(generator.store.nodes),
        replicas=generator.store.replicas,
        environment=environment(),
        asked_for={
            "command": plan.command,
            "preset": plan.preset,
            "bug": plan.bug,
            "clock": generator.clock.describe(),
        },
    )


def _opened(path: Path, header: Header, began_s: float) -> RecordingWriter:
    try:
        return RecordingWriter(path, header, began_s=began_s)
    except OSError as error:
        raise CannotRun(f"the recording {path} cannot be written: {error.strerror or error}") from None


async def _look(course: Course) -> None:
    """Note what is done to the nodes and what becomes of them, and hand new rows to the recording writer."""
    nodes, supervisor = course.generator.nodes, course.generator.supervisor
    states = {name: nodes.state(name, monotonic()) for name in nodes.nodes}
    done: State | None = None
    while True:
        now_s = monotonic()
        at_s = round(now_s - course.began_s, 3)
        news: list[Fault] = []
        state = supervisor.state()
        if state is not None:
            news += fault_actions(done, state, at_s=at_s)
            done = state
        states_now = {name: nodes.state(name, now_s) for name in nodes.nodes}
        news += seen(states, states_now, at_s)
        states = states_now
        for fault in news:
            course.faults.append(fault)
            if course.writer is not None:
                course.writer.fault(fault)
        _write_rows(course)
        await asyncio.sleep(LOOK_EVERY_S)


def _write_rows(course: Course) -> None:
    if course.writer is None:
        return
    for name, driver in course.drivers.items():
        written_s = course.rows_written.get(name, -1.0)
        for row in [row for row in driver.recorder.series if row["t_s"] > written_s]:
            course.writer.row(name, row)
            course.rows_written[name] = row["t_s"]


# --- after -------------------------------------------------------------------------------------------------


async def _judge(course: Course) -> list[Verdict]:
    """Of the worlds that ran."""
    return await course.generator.verdicts(course.drivers)


def _leave(course: Course, header: Header, verdicts: Sequence[Verdict], cpu_s: float) -> None:
    """Write what was asked for. A disk that does not take it costs that file, not the verdict."""
    judged = [
        Judged(
            claim=verdict.claim,
            status=verdict.status,
            summary=str(verdict),
            evidence=list(verdict.evidence),
            facts=dict(getattr(verdict, "facts", {})),
        )
        for verdict in verdicts
    ]
    drivers, now_s = course.drivers, monotonic()
    totals = {name: console.totals(driver, now_s) for name, driver in drivers.items()}
    if course.writer is not None:
        _write_rows(course)
        for one in judged:
            course.writer.verdict(one)
        course.writer.close(now_s, totals)
        if course.writer.error is not None:
            print(f"traffic: the recording ended early: {course.writer.error}", file=sys.stderr)
        else:
            print(f"recorded in {course.writer.path}", flush=True)
    tables: dict[str, list[Row]] = {"series": [], "nodes": [], "cells": []}
    for name, driver in drivers.items():
        recorder = driver.recorder
        tables["series"] += labelled(recorder.series, workload=name)
        tables["nodes"] += labelled(recorder.node_series, workload=name)
        tables["cells"] += labelled(recorder.frame(), workload=name)
    try:
        if course.plan.csv is not None:
            _write_csv(course.plan.csv, tables)
        if course.plan.report is not None:
            report = Report(
                title=course.title,
                header=header,
                tables=tables,
                faults=course.faults,
                verdicts=judged,
                totals={name: {**one, "cpu_s": round(cpu_s, 2)} for name, one in totals.items()},
            )
            print(f"report in {write_report(report, course.plan.report)}", flush=True)
    except OSError as error:
        print(f"traffic: {error.filename} cannot be written: {error.strerror}", file=sys.stderr)


def _write_csv(path: Path, tables: dict[str, list[Row]]) -> None:
    """A row a second in `path`, and beside it a row a second and node, and one for each cell of the run."""
    for table, columns, suffix in (
        ("series", ROW_COLUMNS, path.suffix),
        ("nodes", NODE_COLUMNS, f".nodes{path.suffix}"),
        ("cells", CELL_COLUMNS, f".cells{path.suffix}"),
    ):
        where = path.with_suffix(suffix) if suffix else path
        where.write_text(csv_of(tables[table], ("workload", *columns)))
        print(f"{table} in {where}", flush=True)


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system
