"""What may be said to a generator, wherever it runs: the same words in this process and over a pipe.

Here: the commands, and obeying one.
Must not live here: HTTP (service/), pipes (coordinator.py, worker.py).
"""

from __future__ import annotations

import math
from typing import Any, Literal, Protocol

from msgspec import UNSET, Struct, UnsetType, field, structs

from kvnode.checkers import Verdict
from traffic.control.generator import Generator
from traffic.control.presets import apply_preset, preset
from traffic.load.arrivals import Pattern
from traffic.load.closed_loop import checked_workers
from traffic.load.driver import Loop
from traffic.load.rates import Rate, Scaled, checked_rate
from traffic.load.registry import checked_bug


class Change(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What should change about a workload; what is not named stays.

    rate: operations/s; preset: the rate of this world in a named situation, instead, and the season, if it has seasons
    (the clock stays: it is that of all worlds). personas: how busy each kind of people is, times what it usually is.
    read_share: of what people do, the share that only looks. bug: null switches it off. loop, workers: open, or closed
    with so many workers, of all generators together.
    """

    rate: float | None = None
    r: int | None = None
    w: int | None = None
    pattern: Pattern | None = None
    loop: Loop | None = None
    workers: int | None = None
    personas: dict[str, float] | None = None
    read_share: float | None = None
    bug: str | UnsetType | None = UNSET
    preset: str | None = None


class Time(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The clock by which the people in the traffic live: what should change about it."""

    hour: float | None = None
    weekday: str | None = None
    speed: float | None = None


Do = Literal["start", "stop", "reset", "change", "preset", "time", "check"]


class Command(Struct, omit_defaults=True):
    """`workload`: one of them, or all. `scale`: the share of every rate that this generator is to make."""

    do: Do
    workload: str | None = None
    change: Change = field(default_factory=Change)
    time: Time = field(default_factory=Time)
    scale: float = 1.0


class Engine(Protocol):
    """What the service stands on: a generator of this process, or a fleet of them.

    `own` is the generator of this process: its store and node table serve the reads of the service.
    """

    own: Generator

    @property
    def running(self) -> bool: ...

    def stats(self) -> dict[str, Any]: ...

    def series(self, workload: str) -> list[dict[str, Any]]: ...

    def breakdown(self) -> dict[str, Any]:
        """The run so far in parts, by workload: see control/breakdown.py."""
        ...

    def tables(self) -> dict[str, dict[str, list[dict[str, Any]]]]:
        """Rows for a report or CSV, by table ("series", "nodes", "cells") and workload, as the recorder keeps them."""
        ...

    async def tell(self, command: Command) -> list[Verdict]:
        """Do it; what was asked for, if it was a check. ValueError says what cannot be done; then nothing
        has changed."""
        ...

    async def begin(self) -> None: ...

    async def close(self) -> None: ...

    def why_broken(self) -> str | None: ...


def shared(command: Command, processes: int) -> Command:
    """The same command for each of so many generators: each makes its share of every rate."""
    return structs.replace(command, scale=1 / processes)


def added(before: Change, change: Change) -> Change:
    """Two changes of one workload as one: the later word counts."""
    news = {name: value for name, value in structs.asdict(change).items() if value is not None}
    if change.bug is None:
        news["bug"] = None
    elif isinstance(change.bug, UnsetType):
        del news["bug"]
    if change.preset is not None and change.rate is None:
        news["rate"] = None
    elif change.rate is not None:
        news["preset"] = None
    if change.personas is not None:
        news["personas"] = {**(before.personas or {}), **change.personas}
    return structs.replace(before, **news)


def without_rate(change: Change) -> Change:
    """What a preset leaves standing."""
    return structs.replace(change, rate=None, preset=None)


def without_habits(change: Change) -> Change:
    """What a reset leaves standing: new people have the usual habits, and no known mistake is switched on."""
    return structs.replace(change, personas=None, read_share=None, bug=UNSET)


async def obey(generator: Generator, command: Command) -> list[Verdict]:
    """Carry out a command on this one generator."""
    if command.do == "start":
        generator.start(command.workload)
    elif command.do == "stop":
        generator.stop(command.workload)
    elif command.do == "reset":
        generator.reset()
    elif command.do == "preset":
        apply_preset(generator, command.change.preset or "", scale=command.scale, start=False)
    elif command.do == "time":
        generator.clock.set(hour=command.time.hour, weekday=command.time.weekday, speed=command.time.speed)
    elif command.do == "change":
        assert command.workload is not None
        _change(generator, command.workload, command.change, command.scale)
    else:
        return await generator.verdicts()
    return []


def _change(generator: Generator, workload: str, change: Change, scale: float) -> None:
    """All of it, or a ValueError and nothing."""
    driver = generator.drivers[workload]
    rate: float | Rate | None = None if change.rate is None else checked_rate(change.rate) * scale
    situation = None if change.preset is None else preset(change.preset)
    if situation is not None and change.rate is None:
        shape = situation.rate(workload, generator.clock)
        rate = shape if scale == 1 else Scaled(shape, scale)
    if isinstance(change.bug, str):
        checked_bug(driver.workload, change.bug)
    driver.check_quorums(r=change.r, w=change.w)
    workers = checked_workers(change.workers)
    if workers is not None:
        workers = math.ceil(workers * scale)  # no generator is left without one
    if change.personas is not None or change.read_share is not None:
        driver.workload.change_habits(personas=change.personas, read_share=change.read_share)
    driver.change(
        rate=rate, pattern=change.pattern, r=change.r, w=change.w, loop=change.loop, workers=workers
    )
    if situation is not None and hasattr(driver.workload, "season"):
        driver.workload.season = situation.season
    if not isinstance(change.bug, UnsetType):
        generator.switch_bug(workload, change.bug)
