"""A generator in a process of its own, that ends with the service.

Commands come on its standard input, snapshots of itself go to its standard output, one JSON line each.

    python -m traffic.fleet.worker        (started by coordinator.py alone)

Here: the loop around one Generator.
Must not live here: who starts it and what becomes of its snapshots (coordinator.py).

It ends with its standard input: if the coordinator is gone, however it went, so is this process, and it leaves its
journal to whoever comes next. A snapshot is left out while the coordinator has not yet read the last one: one that
stands still must not hold up the traffic.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

from traffic.clock import monotonic
from traffic.control.breakdown import breakdown
from traffic.control.generator import Generator
from traffic.fleet.commands import Command, obey
from traffic.fleet.messages import LINE_BYTES_MAX, Birth, Order, Report
from traffic.fleet.snapshots import snapshot
from traffic.load.driver import Settings
from traffic.process import calm_collector, loop_factory, open_standard_streams
from traffic.stores.kvnode import KvnodeStore

SNAPSHOT_EVERY_S = 0.5
SNAPSHOTS_A_BREAKDOWN = 10  # its histograms of the whole run cost more than all the rest
BROKEN = 1


class Worker:
    """One process's side of the pipe."""

    def __init__(self, generator: Generator, output: asyncio.WriteTransport) -> None:
        self._generator = generator
        self._output = output
        self._orders: set[asyncio.Task[None]] = set()
        self.said_bye = False

    async def run(self, orders: asyncio.StreamReader) -> None:
        """Until the orders end, or the generator breaks."""
        self._say(Report(actor=self._generator.totals.actor))
        telling = asyncio.create_task(self._tell())
        reading = asyncio.create_task(self._read(orders))
        waiting: set[asyncio.Future[Any]] = {reading, self._generator.failed}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in (telling, reading, *self._orders):
            task.cancel()
        await asyncio.gather(telling, reading, *self._orders, return_exceptions=True)

    async def _read(self, orders: asyncio.StreamReader) -> None:
        while line := await orders.readline():
            order = msgspec.json.decode(line, type=Order)
            if order.bye or order.command is None:
                self.said_bye = True
                return
            task = asyncio.create_task(self._obey(order.number, order.command))
            self._orders.add(task)
            task.add_done_callback(self._orders.discard)

    async def _obey(self, number: int, command: Command) -> None:
        try:
            verdicts = await obey(self._generator, command)
        except Exception as error:  # noqa: BLE001 an answer in any case: the coordinator waits for it
            self._say(Report(number=number, error=str(error) or type(error).__name__))
            return
        self._say(Report(number=number, verdicts=[msgspec.to_builtins(verdict) for verdict in verdicts]))

    async def _tell(self) -> None:
        for number in itertools.count():
            if not self._output.get_write_buffer_size():
                taken = snapshot(self._generator, monotonic())
                if number % SNAPSHOTS_A_BREAKDOWN == 0:
                    drivers = self._generator.drivers
                    taken["breakdown"] = {
                        name: breakdown(driver, encoded=True) for name, driver in drivers.items()
                    }
                self._say(Report(snapshot=taken))
            await asyncio.sleep(SNAPSHOT_EVERY_S)

    def _say(self, report: Report) -> None:
        self._output.write(msgspec.json.encode(report) + b"\n")


async def live() -> int:
    """0 after a bye, or when the coordinator is gone; 1 if the generator broke."""
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    output, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, sys.stdout)
    birth = msgspec.json.decode(await orders.readline(), type=Birth)
    store = KvnodeStore(birth.urls, birth.names, replicas=birth.replicas)
    generator = Generator(
        store,
        settings=Settings(rate=birth.rate, pattern=birth.pattern, r=birth.r, w=birth.w),
        seed=birth.seed,
        journals=None if birth.journals is None else Path(birth.journals),
        successor=False,
    )
    await generator.begin()
    calm_collector()
    worker = Worker(generator, output)
    await worker.run(orders)
    broken = generator.why_broken()
    await generator.close(keep_journal=not worker.said_bye)
    with contextlib.suppress(OSError):
        output.close()
    if broken is not None:
        print(f"traffic: {broken}", file=sys.stderr)
    return BROKEN if broken else 0


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the coordinator, which then says bye
    open_standard_streams()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(live())


if __name__ == "__main__":
    sys.exit(main())
