"""A recorded run played again on a cluster, from the first operation to the exit status.

Here: the recorded operations put on drivers, with the settings of then or others.
Must not live here: what a replayed operation is (replay.py), the course of a run (run.py).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from traffic.control.generator import Generator
from traffic.discovery import Address, require_a_node
from traffic.load.driver import Settings
from traffic.load.rates import RATE_OPS_PER_S_MAX
from traffic.load.registry import RegisteredWorkload
from traffic.runs.faults import Repeating, command_of
from traffic.runs.recording import Recording, load
from traffic.runs.replay import RecordedTimes, Replay
from traffic.runs.run import CannotRun, Course, Plan, run_course, sensible
from traffic.stores.kvnode import connect


@dataclass(frozen=True)
class Playback:
    """How a recording is played. r, w: instead of the recorded ones. faults: do what was done to the nodes again."""

    path: Path
    speed: float
    r: int | None
    w: int | None
    faults: bool


async def replay(addresses: Sequence[Address], playback: Playback, plan: Plan) -> int:
    """Exit status as of a run. BadRecording: the file is none."""
    path, speed, faults = playback.path, playback.speed, playback.faults
    recorded = load(path)
    if recorded.missing:
        print(f"traffic: {path}: {recorded.missing}", file=sys.stderr)
    if not recorded.operations:
        raise CannotRun(f"{path}: there is no operation in it")
    worlds = worlds_of(recorded, speed)
    store = await connect(addresses)
    generator = Generator(store, settings=Settings(), seed=recorded.header.seed, worlds=worlds)
    try:
        for name, driver in generator.drivers.items():
            was = recorded.header.settings.get(name, {})
            sensible(
                driver.change,
                rate=worlds[name].rate,
                r=playback.r or min(was.get("r", 2), store.replicas),
                w=playback.w or min(was.get("w", 2), store.replicas),
            )
        await require_a_node(addresses)
        course = Course(generator, tuple(worlds), plan, f"replay of {path.name}")
        if faults:
            course.repeating = _repeating(recorded, generator, speed)
        print(
            f"replay of {path}: {len(recorded.operations)} operations in {recorded.duration_s / speed:.1f} s"
            + _of_faults(recorded, repeated=faults),
            flush=True,
        )
        playing = [driver.workload for driver in generator.drivers.values()]

        def over(_: float) -> bool:
            operations_left = any(isinstance(one, Replay) and one.left for one in playing)
            return not (operations_left or (course.repeating and course.repeating.left))

        return await run_course(course, over)
    finally:
        await generator.close()


def _repeating(recorded: Recording, generator: Generator, speed: float) -> Repeating:
    state = generator.supervisor.state()
    if state is None or not state.socket:
        raise CannotRun(
            "--faults needs the supervisor of a local cluster on this computer; none is known for these nodes"
        )
    return Repeating(recorded.faults, generator.supervisor, speed=speed)


def _of_faults(recorded: Recording, *, repeated: bool) -> str:
    """What becomes of the faults in it, in words."""
    can = sum(command_of(fault) is not None for fault in recorded.faults)
    if can:
        return (
            f", {can} faults are repeated" if repeated else f", {can} faults are not repeated (--faults does)"
        )
    if recorded.faults:
        return f", {len(recorded.faults)} faults were only seen from outside and cannot be repeated"
    return ", no faults in it" if repeated else ""


def worlds_of(recorded: Recording, speed: float) -> dict[str, RegisteredWorkload]:
    """What was recorded, as workloads that play it `speed` times as fast."""
    worlds: dict[str, RegisteredWorkload] = {}
    for name in sorted({done.workload for done in recorded.operations}):
        operations = recorded.of(name)
        due_s = [done.due_s for done in operations]
        rate = len(operations) / max(due_s[-1] - due_s[0], 1.0) * speed
        worlds[name] = RegisteredWorkload(
            make=lambda random, tag, name=name, operations=operations: Replay(name, operations),  # type: ignore[misc]
            rate=min(rate, RATE_OPS_PER_S_MAX),
            schedule=lambda due_s=due_s: RecordedTimes(due_s, speed=speed),  # type: ignore[misc]
        )
    return worlds
