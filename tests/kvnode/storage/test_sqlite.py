"""The durable disk: order, groups, atomicity, a full disk, restarts, and that the right file is synced."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import kvnode.storage.flusher as flusher_module
import kvnode.storage.sqlite as sqlite_module
from kvnode.runtime import Row
from kvnode.storage import MemoryDisk, SqliteDisk, StorageError
from kvnode.storage.log import LOG_SIDES

FullDisk = Callable[..., contextlib.AbstractContextManager[None]]
Scenario = Callable[[SqliteDisk], Coroutine[Any, Any, None]]


def row(key: str, record: bytes | None = b"1", *, partition: int = 0, table: str = "records") -> Row:
    return Row(table, partition, key, record, 0 if record is None else len(record))


def python(code: str, argument: Path) -> str:
    """What another process that runs this code says."""
    done = subprocess.run(
        [sys.executable, "-c", code, str(argument)], capture_output=True, text=True, timeout=20
    )
    return (done.stdout + done.stderr).strip()


def on_disk(directory: Path, scenario: Scenario) -> None:
    async def whole() -> None:
        disk = SqliteDisk(directory)
        try:
            await asyncio.wait_for(scenario(disk), 20.0)
        finally:
            await disk.close()

    asyncio.run(whole())


# --- commits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fast", [True, False], ids=["synced inline", "synced on the thread"])
def test_commits_become_durable_in_the_order_in_which_they_were_made(tmp_path: Path, fast: bool) -> None:
    async def scenario(disk: SqliteDisk) -> None:
        done: list[int] = []

        def note(number: int, _: asyncio.Future[None]) -> None:
            done.append(number)

        for number in range(60):
            disk._disk_is_fast = fast
            disk.commit([row(f"k{number}")]).add_done_callback(partial(note, number))
            if number % 7 == 0:
                await asyncio.sleep(0)
        await disk.commit([])
        await asyncio.sleep(0)
        assert done == list(range(60))
        assert disk.record_count == 60
        assert disk.commit_count < 60

    on_disk(tmp_path, scenario)


def test_writes_of_one_turn_share_one_sync_and_one_future(tmp_path: Path) -> None:
    async def scenario(disk: SqliteDisk) -> None:
        futures = {id(disk.commit([row(f"k{number}")])) for number in range(20)}
        assert len(futures) == 1
        await disk.commit([])
        assert disk.commit_count == 1

    on_disk(tmp_path, scenario)


def test_a_commit_is_read_back_at_once_and_acknowledged_only_after_the_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(disk: SqliteDisk) -> None:
        order: list[str] = []
        real_sync = disk._sync_file
        disk._sync_file = lambda descriptor: (order.append("synced"), real_sync(descriptor))[1]
        future = disk.commit([row("k", b"new")])
        future.add_done_callback(lambda _: order.append("acknowledged"))
        assert disk.get("records", 0, "k") == (b"new", 3)
        assert not future.done()
        await future
        await asyncio.sleep(0)
        assert order == ["synced", "acknowledged"]

    on_disk(tmp_path, scenario)


def test_nothing_is_acknowledged_while_the_sync_does_not_end(tmp_path: Path) -> None:
    async def scenario(disk: SqliteDisk) -> None:
        import threading

        gate = threading.Event()
        real_sync = disk._sync_file
        disk._disk_is_fast = False
        disk._sync_file = lambda descriptor: (gate.wait(5.0), real_sync(descriptor))[1]
        first, later = disk.commit([row("a")]), None
        for _ in range(50):
            await asyncio.sleep(0.001)
            later = disk.commit([row("b")])
        assert not first.done()
        assert later is not None and later is not first and not later.done()
        gate.set()
        await later
        assert first.done()

    on_disk(tmp_path, scenario)


def test_scan_goes_on_from_a_key_within_one_partition_and_checksums_tell_all(tmp_path: Path) -> None:
    async def scenario(disk: SqliteDisk) -> None:
        memory = MemoryDisk()
        rows = [row(f"k{n:02}", b"x" * n, partition=n % 2) for n in range(1, 12)]
        rows += [
            row("é", partition=1),
            row("😀", partition=1),
            row("\U0000ffff", partition=1),
            row("h", table="hints"),
        ]
        rows.append(row("k02", None))
        for each in (disk, memory):
            await each.commit(rows)
        for kind in ("records", "hints", "meta"):
            assert list(disk.checksums(kind)) == list(memory.checksums(kind))
            for partition in (0, 1, 2):
                assert list(disk.checksums(kind, partition)) == list(memory.checksums(kind, partition))
                for after in ("", "k03", "k04", "zzz", "é"):
                    for limit in (1, 3, 1000):
                        found = disk.scan(kind, partition, after=after, limit=limit)
                        assert found == memory.scan(kind, partition, after=after, limit=limit)
        assert disk.get("records", 0, "k02") is None

    on_disk(tmp_path, scenario)


# --- a full disk --------------------------------------------------------------------------------------------


def test_a_full_disk_fails_the_whole_group_keeps_what_was_and_serves_again_when_there_is_room(
    tmp_path: Path, full_disk: FullDisk
) -> None:
    async def scenario(disk: SqliteDisk) -> None:
        await disk.commit([row("old", b"old")])
        with full_disk(room_bytes=1000):
            small, large = (
                disk.commit([row("small"), row("old", b"changed")]),
                disk.commit([row("large", b"x" * 100_000)]),
            )
            assert small is large
            with pytest.raises(StorageError, match=r"cannot write to .*No space left"):
                await large
            assert disk.get("records", 0, "small") is None
            assert disk.get("records", 0, "old") == (b"old", 3)
            await disk.commit([row("small")])
        await disk.commit([row("large", b"x" * 100_000)])
        assert disk.get("records", 0, "large") is not None

    async def after_a_restart(disk: SqliteDisk) -> None:
        assert [each.key for each in disk.scan("records", 0)] == ["large", "old", "small"]

    on_disk(tmp_path, scenario)
    on_disk(tmp_path, after_a_restart)


def test_tables_that_take_no_rows_lose_nothing_and_are_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flusher_module, "_RETRY_S", 0.01)

    async def scenario(disk: SqliteDisk) -> None:
        pages = disk._tables._writer.execute("pragma page_count").fetchone()[0]
        disk._tables._writer.execute(f"pragma max_page_count={pages + 4}")
        await disk.commit([row("large", b"x" * 100_000)])
        with pytest.raises(StorageError, match=r"cannot write to .*full"):
            await disk.checkpoint()
        await disk.commit([row("other")])
        assert [each.key for each in disk.scan("records", 0)] == ["large", "other"]
        disk._tables._writer.execute("pragma max_page_count=1000000")
        assert disk._flusher._flush is not None
        await disk._flusher._flush
        assert disk._tables.get("records", 0, "large") == (b"x" * 100_000, 100_000)
        assert (await disk.checkpoint())["rows_moved"] == 1

    on_disk(tmp_path, scenario)


def test_a_log_that_cannot_be_emptied_for_long_refuses_what_is_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_module, "_LOG_BYTES_MAX", 1000)
    monkeypatch.setattr(flusher_module, "_RETRY_S", 0.01)

    async def scenario(disk: SqliteDisk) -> None:
        await disk.commit([row("k", b"x" * 2000)])
        pages = disk._tables._writer.execute("pragma page_count").fetchone()[0]
        disk._tables._writer.execute(f"pragma max_page_count={pages}")
        with pytest.raises(StorageError, match="full"):
            await disk.checkpoint()
        await disk.commit([row("more", b"x" * 2000)])
        with pytest.raises(StorageError, match=r"the tables take no rows: .*full"):
            await disk.commit([row("too much")])
        disk._tables._writer.execute("pragma max_page_count=1000000")
        with contextlib.suppress(StorageError):
            await disk.checkpoint()
        await disk.checkpoint()
        await disk.commit([row("too much")])

    on_disk(tmp_path, scenario)


def test_a_store_that_is_filled_as_fast_as_can_be_keeps_its_log_short(tmp_path: Path) -> None:
    """Rows came faster than they were moved a few at a time, and in the end they were refused."""

    async def scenario(disk: SqliteDisk) -> None:
        for group in range(60):
            await disk.commit([row(f"k{group}/{n}", b"x" * 300, partition=n % 256) for n in range(4000)])
            assert disk._log.written_bytes < 34_000_000

    on_disk(tmp_path, scenario)


def test_writes_wait_while_the_log_is_full_and_the_tables_are_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_module, "_LOG_BYTES_MAX", 100_000)
    monkeypatch.setattr(flusher_module, "_FLUSH_AT_ROWS", 10)

    async def scenario(disk: SqliteDisk) -> None:
        commit = disk._tables.commit
        monkeypatch.setattr(disk._tables, "commit", lambda generation: (time.sleep(0.1), commit(generation)))
        sizes = []
        for number in range(100):
            await disk.commit([row(f"k{number}", b"x" * 10_000)])
            sizes.append(disk._log.written_bytes)
        assert 100_000 < max(sizes) < 120_000, "one group more, and then none until rows were moved"
        assert disk.count("records") == 100

    on_disk(tmp_path, scenario)


# --- restarts and owners -------------------------------------------------------------------------------------


def test_a_restart_reads_everything_back(tmp_path: Path) -> None:
    async def write(disk: SqliteDisk) -> None:
        for number in range(300):
            disk.commit([row(f"k{number}", b"x" * number, partition=number % 256)])
        await disk.commit([row("k7", None, partition=7)])

    async def read(disk: SqliteDisk) -> None:
        assert len(list(disk.checksums("records"))) == 299
        assert disk.get("records", 299 % 256, "k299") == (b"x" * 299, 299)

    on_disk(tmp_path, write)
    on_disk(tmp_path, read)


def test_a_second_process_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    async def scenario(disk: SqliteDisk) -> None:
        code = (
            "import asyncio, pathlib, sys\nfrom kvnode.storage import SqliteDisk, StorageError\n"
            "async def main():\n    SqliteDisk(pathlib.Path(sys.argv[1]))\n"
            "try:\n    asyncio.run(main())\nexcept StorageError as error:\n    print(error)\n"
        )
        assert python(code, tmp_path) == f"{tmp_path} is in use by another process"

    on_disk(tmp_path, scenario)
    on_disk(tmp_path, scenario)


def test_a_row_committed_before_a_crash_of_the_process_is_there_after_it(tmp_path: Path) -> None:
    code = (
        "import asyncio, os, pathlib, sys\nfrom kvnode.runtime import Row\nfrom kvnode.storage import SqliteDisk\n"
        "async def main():\n    disk = SqliteDisk(pathlib.Path(sys.argv[1]))\n"
        "    await disk.commit([Row('records', 0, 'k', b'kept', 4)])\n    os._exit(9)\n"
        "asyncio.run(main())\n"
    )
    python(code, tmp_path)

    async def read(disk: SqliteDisk) -> None:
        assert disk.get("records", 0, "k") == (b"kept", 4)

    on_disk(tmp_path, read)


# --- what is synced -----------------------------------------------------------------------------------------


def test_the_file_that_is_synced_is_the_segment_that_the_commit_went_to_whatever_happened_before(
    tmp_path: Path,
) -> None:
    """A sync of the wrong file would be silent: everything would look acknowledged and durable."""
    synced: list[int] = []

    async def scenario(disk: SqliteDisk) -> None:
        real_sync = disk._sync_file
        disk._sync_file = lambda descriptor: (
            synced.append(os.fstat(descriptor).st_ino),
            real_sync(descriptor),
        )[1]

        async def write(text: bytes) -> None:
            await disk.commit([row("k", text)])
            segments = [Path(f"{tmp_path / 'data.sqlite'}{side}") for side in LOG_SIDES]
            (holder,) = (segment for segment in segments if text in segment.read_bytes())
            assert synced[-1] == holder.stat().st_ino

        await write(b"after the start")
        for number in range(3):
            await disk.checkpoint()
            await write(b"after move %d" % number)
            disk._disk_is_fast = False

    on_disk(tmp_path, scenario)
    on_disk(tmp_path, scenario)


def test_a_reader_sees_what_waits_and_of_two_writes_of_a_key_the_later_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        disk = SqliteDisk(tmp_path)
        disk.commit([Row("records", 1, "k", b"first"), Row("records", 1, "gone", b"x")])
        disk.commit([Row("records", 1, "k", b"second"), Row("records", 1, "gone", None)])
        assert [row.key for row in disk.scan("records", 1)] == ["k"]
        assert disk.count("records") == 1
        disk.commit([Row("records", 1, "gone", b"back")])
        found = disk.get("records", 1, "gone")
        assert found is not None
        assert found[0] == b"back"
        await disk.commit([])
        found = disk.get("records", 1, "k")
        assert found is not None
        assert found[0] == b"second"
        await disk.close()

    asyncio.run(scenario())
