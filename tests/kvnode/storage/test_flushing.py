"""Rows move from the log to the tables: readers notice nothing, the log stays short, and a crash loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import kvnode.storage.flusher as flusher_module
from kvnode.runtime import Row
from kvnode.storage import MemoryDisk, SqliteDisk, StorageError
from kvnode.storage.log import LOG_SIDES

Scenario = Callable[[SqliteDisk], Coroutine[Any, Any, None]]


def row(key: str, record: bytes | None = b"1", *, partition: int = 0, table: str = "records") -> Row:
    return Row(table, partition, key, record, 0 if record is None else len(record))


def on_disk(directory: Path, scenario: Scenario) -> None:
    async def whole() -> None:
        disk = SqliteDisk(directory)
        try:
            await asyncio.wait_for(scenario(disk), 20.0)
        finally:
            await disk.close()

    asyncio.run(whole())


def segment_bytes(directory: Path) -> int:
    return sum((directory / f"data.sqlite{side}").stat().st_size for side in LOG_SIDES)


def test_the_log_stays_bounded_under_writes_that_never_pause_and_moves_hot_keys_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flusher_module, "_FLUSH_AT_ROWS", 300)

    async def scenario(disk: SqliteDisk) -> None:
        sizes = []
        for number in range(5_000):
            future = disk.commit([row(f"k{number % 50}", b"x" * 1000, partition=number % 256)])
            if number % 4 == 0:
                await future
            if number % 500 == 0:
                sizes.append(segment_bytes(tmp_path))
        assert max(sizes) < 4_000_000, sizes
        assert 0 < disk._flusher.flushed_count < 5_000

    on_disk(tmp_path, scenario)


def test_readers_that_share_a_snapshot_do_not_keep_sqlite_from_shortening_its_own_log(tmp_path: Path) -> None:
    async def scenario(disk: SqliteDisk) -> None:
        sizes = []
        for number in range(30):
            await disk.commit([row(f"k{place}", b"%d" % number * 50) for place in range(200)])
            moved = asyncio.ensure_future(disk.checkpoint())
            while not moved.done():
                assert disk.get("records", 0, "k7") == (b"%d" % number * 50, len(b"%d" % number * 50))
                await asyncio.sleep(0)
            assert disk.get("records", 0, "k7") == (b"%d" % number * 50, len(b"%d" % number * 50))
            sizes.append((tmp_path / "data.sqlite-wal").stat().st_size)
        assert max(sizes) < 2 * sizes[3], sizes

    on_disk(tmp_path, scenario)


def test_readers_see_the_same_whichever_rows_are_moved(tmp_path: Path) -> None:
    """Rows wait, stand in the log, are being moved or are in the tables: a model says what must be read."""

    async def scenario(disk: SqliteDisk) -> None:
        memory, chance = MemoryDisk(), random.Random(4)

        def same() -> None:
            for table in ("records", "hints"):
                assert disk.count(table) == memory.count(table)
                assert list(disk.checksums(table)) == list(memory.checksums(table))
                for partition in range(3):
                    bits = (3, (1, 2))
                    assert list(disk.checksums(table, partition, low_bits=bits)) == list(
                        memory.checksums(table, partition, low_bits=bits)
                    )
                    after, limit = f"k{chance.randrange(20):02}", chance.randrange(1, 9)
                    found = disk.scan(table, partition, after=after, limit=limit)
                    assert found == memory.scan(table, partition, after=after, limit=limit)
                    key = f"k{chance.randrange(20):02}"
                    assert disk.get(table, partition, key) == memory.get(table, partition, key)

        moves: list[asyncio.Task[Any]] = []
        for _ in range(400):
            rows = [
                row(
                    f"k{chance.randrange(20):02}",
                    chance.choice([None, chance.randbytes(chance.randrange(1, 9))]),
                    partition=chance.randrange(3),
                    table=chance.choice(["records", "hints"]),
                )
                for _ in range(chance.randrange(1, 4))
            ]
            memory.apply(rows)
            future = disk.commit(rows)
            same()
            if chance.random() < 0.5:
                await future
            if chance.random() < 0.1:
                moves.append(asyncio.create_task(disk.checkpoint()))
            if chance.random() < 0.3:
                await asyncio.sleep(chance.choice([0, 0.001]))
        await asyncio.gather(*moves)
        same()

    on_disk(tmp_path, scenario)


CRASH_WHILE_FLUSHING = """
import asyncio, os, pathlib, sys
import kvnode.storage.flusher as mover
import kvnode.storage.sqlite as sqlite
from kvnode.runtime import Row
mover._FLUSH_AT_ROWS = int(sys.argv[2])
async def main():
    disk = sqlite.SqliteDisk(pathlib.Path(sys.argv[1]))
    for number in range(int(sys.argv[3])):
        await disk.commit([Row("records", number % 7, f"k{number % 40}", b"%d" % number, number + 1)])
        await asyncio.sleep(0)
    os._exit(9)
asyncio.run(main())
"""


@pytest.mark.parametrize("count", [45, 160, 411])
def test_every_acknowledged_row_is_there_after_a_crash_at_any_point_of_a_move(
    tmp_path: Path, count: int
) -> None:
    """Several lives, each killed at another point of its moves; the newest value of every key is what counts."""
    expected: dict[tuple[int, str], bytes] = {}
    for life, move_at in enumerate((20, 33, 57)):
        count_now = count + 13 * life
        subprocess.run(
            [sys.executable, "-c", CRASH_WHILE_FLUSHING, str(tmp_path), str(move_at), str(count_now)],
            check=False,
            timeout=20,
        )
        expected |= {(number % 7, f"k{number % 40}"): b"%d" % number for number in range(count_now)}

    async def read(disk: SqliteDisk) -> None:
        found = {
            (partition, each.key): each.record
            for partition in range(7)
            for each in disk.scan("records", partition)
        }
        assert found == expected
        assert disk.corruption is None

    on_disk(tmp_path, read)


def test_somebody_who_locks_the_file_holds_up_moves_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite waits five seconds for a lock by itself, and the event loop would have stood still that long."""
    monkeypatch.setattr(flusher_module, "_RETRY_S", 0.02)

    async def scenario(disk: SqliteDisk) -> None:
        await disk.commit([row("k", b"text")])
        other = sqlite3.connect(tmp_path / "data.sqlite", isolation_level=None)
        other.execute("begin immediate")
        async with asyncio.timeout(2.0):
            with pytest.raises(StorageError, match="locked"):
                await disk.checkpoint()
        await disk.commit([row("other")])
        other.execute("rollback")
        other.close()
        assert disk._flusher._flush is not None
        with contextlib.suppress(StorageError):
            await disk._flusher._flush
        await disk.checkpoint()
        assert disk._tables.count("records") == 2

    on_disk(tmp_path, scenario)


def test_what_fails_after_the_rows_were_moved_does_not_move_them_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flusher_module, "_RETRY_S", 0.01)

    async def scenario(disk: SqliteDisk) -> None:
        await disk.commit([row(f"k{number}") for number in range(100)])
        empty, failures = disk._log.empty_other, 3

        def fails() -> None:
            nonlocal failures
            if failures:
                failures -= 1
                raise OSError(28, "No space left on device")
            empty()

        monkeypatch.setattr(disk._log, "empty_other", fails)
        while failures:
            with contextlib.suppress(StorageError):
                await disk.checkpoint()
        await disk.checkpoint()
        assert disk._flusher.flushed_count == 100

    on_disk(tmp_path, scenario)


def test_an_end_in_order_leaves_no_log_and_a_student_reads_all_from_the_file(tmp_path: Path) -> None:
    async def write(disk: SqliteDisk) -> None:
        await disk.commit([row("k", b"text")])

    on_disk(tmp_path, write)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.sqlite", "lock"]
    with contextlib.closing(sqlite3.connect(tmp_path / "data.sqlite")) as database:
        assert database.execute("select key, record from records").fetchall() == [("k", b"text")]
