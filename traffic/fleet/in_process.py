"""The generator of this process as the service sees it: the same interface as a fleet has, without the others.

Here: that interface.
Must not live here: the generator, the fleet (coordinator.py).
"""

from __future__ import annotations

from kvnode.checkers import Verdict
from traffic.control.breakdown import breakdown
from traffic.control.generator import Generator
from traffic.fleet.commands import Command, obey
from traffic.fleet.snapshots import Stats


class InProcess:
    """One generator, which does all the sending."""

    def __init__(self, own: Generator) -> None:
        self.own = own

    @property
    def running(self) -> bool:
        return self.own.running

    def stats(self) -> Stats:
        return self.own.stats()

    def series(self, workload: str) -> list[Stats]:
        return list(self.own.drivers[workload].recorder.series)

    def breakdown(self) -> Stats:
        return {name: breakdown(driver) for name, driver in self.own.drivers.items()}

    def tables(self) -> dict[str, dict[str, list[Stats]]]:
        recorders = {name: driver.recorder for name, driver in self.own.drivers.items()}
        used = {name: one for name, one in recorders.items() if one.operations + one.errors}
        return {
            "series": {name: list(one.series) for name, one in used.items()},
            "nodes": {name: list(one.node_series) for name, one in used.items()},
            "cells": {name: one.frame() for name, one in used.items()},
        }

    async def tell(self, command: Command) -> list[Verdict]:
        return await obey(self.own, command)

    async def begin(self) -> None:
        await self.own.begin()

    async def close(self) -> None:
        await self.own.close()

    def why_broken(self) -> str | None:
        return self.own.why_broken()
