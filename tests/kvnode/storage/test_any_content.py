"""Whatever is in a data folder: the node starts on it, serves no wrong row, takes writes, and starts again.

Each file of a stopped node is damaged in many ways, drawn from a seed: bits, pages, ends, types of columns, rows and
definitions edited with SQLite, something else in the place of the file. QUORUM_LAB_CORRUPTIONS says how many a file.
The node is a whole one, in this process, without peers.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from kvnode.__main__ import open_node
from kvnode.config import ClusterConfig, NodeAddress
from kvnode.messages import COUNTER, KV, Message
from kvnode.net.clock import WallClock
from kvnode.net.log import JsonLog
from kvnode.node import Node
from kvnode.operations import Add, Put
from kvnode.runtime import ROWS_DROPPED, Runtime
from kvnode.storage import SqliteDisk

pytestmark = pytest.mark.timeout(600)

COUNT = int(os.environ.get("QUORUM_LAB_CORRUPTIONS", "10"))
KEY_COUNT = 250
STARTS_MAX = 3
CONFIG = ClusterConfig(
    "any-content",
    "any-content",
    tuple(NodeAddress(f"node-{number}", "127.0.0.1", 1, 1) for number in (1, 2, 3)),
    partitions=16,
)
FILES = ("data.sqlite", "data.sqlite-log0", "data.sqlite-log1", "data.sqlite-wal", "data.sqlite-shm")
OTHERS = ("lock", "log.jsonl", "log.1.jsonl", "data.sqlite.is-damaged", "data.sqlite-journal")


class BeginsAnew(BaseException):
    """In place of the fresh process that a node begins when its files turn out to be damaged."""


class Life:
    """One start of a node on a folder, in this process."""

    def __init__(self, directory: Path) -> None:
        def begin_anew(why: str) -> None:
            raise BeginsAnew(why)

        self.errors: list[BaseException] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.disk = SqliteDisk(directory, on_corruption=begin_anew)
        log = JsonLog(directory / "log.jsonl", "node-1")
        clock = WallClock()
        self.runtime = Runtime(clock, self, self.disk, random.Random(), self._spawn, log.write)
        self.node = Node(self.runtime, CONFIG, "node-1")

    def send(self, peer: str, message: Message) -> None:
        """Nobody is there."""

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.errors.append(error)

    async def close(self) -> None:
        with contextlib.suppress(OSError):
            await self.node.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.sleep(0)
        await self.disk.close()


async def put(life: Life, key: str, value: bytes | None) -> None:
    status, body = await life.node.serve(Put(key, value, w=1))
    assert status == 200, body


def records_of(life: Life) -> dict[str, bytes | None]:
    found = {
        f"{kind}/{key}": life.node.records.durable(kind, key)
        for kind in (KV, COUNTER)
        for key in (f"key/{number}" for number in range(KEY_COUNT))
    }
    return {name: record for name, record in found.items() if record is not None}


class Stopped:
    """The folder of a node that was stopped; written: each record that was ever durable, by disk key."""

    def __init__(self, folder: Path, written: dict[str, set[bytes | None]]) -> None:
        self.folder = folder
        self.written = written


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stopped]:
    """By how the node ended: in order, or killed in the midst of writing."""
    ended: dict[str, Stopped] = {}

    async def whole() -> None:
        folder = tmp_path_factory.mktemp("node") / "data"
        life = Life(folder)
        await open_node(life.node, life.disk)
        written: dict[str, set[bytes | None]] = {}

        def remember() -> None:
            for name, record in records_of(life).items():
                written.setdefault(name, set()).add(record)

        for generation in range(4):
            for number in range(KEY_COUNT):
                value = None if number % 7 == 3 else b'"%d %d"' % (generation, number)
                await put(life, f"key/{number}", value)
                if number % 5 == 0:
                    await life.node.serve(Add(f"key/{number}", "actor", generation + 1, 0, w=1))
                if number % 9 == 0:
                    life.node.hints.add("node-2", KV, f"key/{number}", b"\x92\x90\x92\x90\x90")
            remember()
            if generation < 2:
                await life.disk.checkpoint()
        killed = tmp_path_factory.mktemp("killed") / "data"
        shutil.copytree(folder, killed)
        ended["killed"] = Stopped(killed, written)
        await life.close()
        ended["in order"] = Stopped(folder, written)

    asyncio.run(whole())
    return ended


# --- the test -----------------------------------------------------------------------------------------------


async def start(folder: Path) -> tuple[Life, int]:
    """Start as the process does, which begins anew where it must; and how many starts it took."""
    for attempt in range(1, STARTS_MAX + 1):
        life: Life | None = None
        try:
            life = Life(folder)
            await open_node(life.node, life.disk)
            await life.node.scrub.once(lambda: 1.0)
            await life.node.records.build_forest(is_asked=True)
            records_of(life)
            assert life.errors == []
            return life, attempt
        except BeginsAnew:
            if life is not None:
                await life.close()
    raise AssertionError(f"not up after {STARTS_MAX} starts")


async def live_through(folder: Path, written: dict[str, set[bytes | None]]) -> str:
    """Start, look at everything, write, stop in order, and once more. What became of the files, in a word."""
    life, starts = await start(folder)
    became = "set aside" if life.disk.corruption is not None else "kept"
    if life.disk.dropped:
        became = "rows dropped"
    elif life.node.records.corrupt_count:
        became = "rows refused"
    for name, record in records_of(life).items():
        assert record in written[name], f"{name} was never {record!r}"
    for peer in life.node.hints.pending():
        assert peer in ("node-2", "node-3")
    life.node.incomplete.completed(range(CONFIG.partitions))  # as if the others had refilled it
    for number in range(0, KEY_COUNT, 50):
        await put(life, f"key/{number}", b'"after"')
    assert life.disk.get("meta", 0, ROWS_DROPPED) is None
    assert life.errors == []
    expected = records_of(life)
    await life.close()
    again, second_starts = await start(folder)
    assert second_starts == 1
    assert again.disk.corruption is None
    assert again.disk.dropped == []
    assert records_of(again) == expected
    assert again.errors == []
    await again.close()
    return became if starts == 1 else f"{became} in use"


def run(
    stopped: Stopped, name: str, damages: tuple[Callable[..., None], ...], tmp_path: Path, *, seed: int
) -> None:
    outcomes: dict[str, int] = {}
    for number in range(COUNT):
        chance = random.Random(f"{seed} {name} {number}")
        folder = tmp_path / f"{number}"
        shutil.copytree(stopped.folder, folder)
        damage = chance.choice(damages)
        damage(folder / name, chance)
        try:
            became = asyncio.run(asyncio.wait_for(live_through(folder, stopped.written), 30.0))
        except BaseException as error:
            error.add_note(f"{name}, damage {number}: {damage.__name__}")
            raise
        outcomes[became] = outcomes.get(became, 0) + 1
        shutil.rmtree(folder)
    print(f"{name}: {COUNT} damages: {outcomes}")


@pytest.mark.parametrize("name", FILES)
def test_a_killed_node_starts_whatever_a_file_of_it_holds(
    stopped: dict[str, Stopped], damages: Any, tmp_path: Path, name: str
) -> None:
    to_it = damages.to_tables if name == "data.sqlite" else damages.to_any_file
    run(stopped["killed"], name, to_it, tmp_path, seed=1)


def test_a_node_that_ended_in_order_starts_whatever_its_tables_hold(
    stopped: dict[str, Stopped], damages: Any, tmp_path: Path
) -> None:
    run(stopped["in order"], "data.sqlite", damages.to_tables, tmp_path, seed=2)


@pytest.mark.parametrize("name", OTHERS)
def test_a_node_starts_whatever_stands_beside_its_data(
    stopped: dict[str, Stopped], damages: Any, tmp_path: Path, name: str
) -> None:
    has_content = (stopped["killed"].folder / name).exists() and name != "lock"
    to_it = damages.to_any_file if has_content else damages.to_what_is_not_there
    run(stopped["killed"], name, to_it, tmp_path, seed=3)


def test_a_node_starts_on_tables_that_are_defined_otherwise(
    stopped: dict[str, Stopped], tmp_path: Path, odd_definition: str
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(stopped["in order"].folder, folder)
    with contextlib.closing(sqlite3.connect(folder / "data.sqlite", isolation_level=None)) as database:
        database.execute(odd_definition)
    asyncio.run(live_through(folder, stopped["in order"].written))


@pytest.mark.parametrize("column", ["partition", "key", "record", "checksum"])
@pytest.mark.parametrize("table", ["records", "hints", "meta"])
def test_a_node_starts_on_a_row_of_any_type(
    stopped: dict[str, Stopped], tmp_path: Path, table: str, column: str, odd_value: str
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(stopped["in order"].folder, folder)
    with contextlib.closing(sqlite3.connect(folder / "data.sqlite", isolation_level=None)) as database:
        database.execute(
            f"update or replace {table} set {column}={odd_value} where key=(select max(key) from {table})"
        )
    asyncio.run(live_through(folder, stopped["in order"].written))


def test_a_float_in_place_of_a_checksum_costs_that_row_alone(
    stopped: dict[str, Stopped], damages: Any, tmp_path: Path
) -> None:
    """1. One bit of a row made its checksum a float. 2. SQLite called the file sound. 3. Each start died of it."""
    folder = tmp_path / "data"
    shutil.copytree(stopped["in order"].folder, folder)
    path = folder / "data.sqlite"
    content = bytearray(path.read_bytes())
    at = next(
        at
        for at in damages.serial_types(content)
        if content[at] == 6 and content[at + 1 : at + 40].lstrip(bytes(range(32))).startswith(b"kv/key/")
    )
    content[at] = 7
    path.write_bytes(content)

    async def scenario() -> None:
        life, starts = await start(folder)
        assert (starts, life.disk.corruption, len(life.disk.dropped)) == (1, None, 1)
        assert len(life.node.incomplete.held) == 1, "it is refilled"
        assert life.node.dots.store.encode() not in stopped_id, "it may have forgotten a write of its own"
        await life.close()

    with contextlib.closing(sqlite3.connect(stopped["in order"].folder / "data.sqlite")) as database:
        stopped_id = [row[0] for row in database.execute("select record from meta where key='store-id'")]
    asyncio.run(scenario())
