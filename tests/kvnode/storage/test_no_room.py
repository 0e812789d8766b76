"""A store that is opened on a full disk serves what it holds, refuses writes, and takes them once there is room."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import kvnode.storage.no_room as no_room
import kvnode.storage.sqlite as sqlite_module
from kvnode.runtime import Row
from kvnode.storage import SqliteDisk, StorageError
from kvnode.storage.log import CommitLog
from kvnode.storage.tables import Tables

Scenario = Callable[[SqliteDisk], Coroutine[Any, Any, None]]

CRASH = """
import asyncio, os, sys
from pathlib import Path
from kvnode.runtime import Row
from kvnode.storage import SqliteDisk

async def main():
    disk = SqliteDisk(Path(sys.argv[1]))
    await disk.commit([Row("records", 0, "old", b"old")])
    if sys.argv[2] == "moved":
        await disk.checkpoint()
        await disk.close()
    await asyncio.sleep(0)
    os._exit(0)

asyncio.run(main())
"""


def leave(directory: Path, how: str) -> None:
    """A store of an earlier life with one row: it ended in order ("moved"), or crashed with the row in its log."""
    subprocess.run([sys.executable, "-c", CRASH, str(directory), how], check=True, timeout=20)


class FullDisk:
    """From `fill` on nothing can be put into the tables, and no log can be begun."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.is_full = False
        put, empty = Tables.put, CommitLog._empty

        def refuse_put(tables: Tables, *args: Any) -> None:
            if self.is_full:
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error
            put(tables, *args)

        def refuse_empty(log: CommitLog, generation: int) -> None:
            if self.is_full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            empty(log, generation)

        patch.setattr(Tables, "put", refuse_put)
        patch.setattr(CommitLog, "_empty", refuse_empty)
        patch.setattr(no_room, "free_bytes", lambda directory: 0 if self.is_full else 10**9)
        patch.setattr(sqlite_module, "_ROOM_EVERY_S", 0.01)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> FullDisk:
    return FullDisk(monkeypatch)


def on_disk(directory: Path, scenario: Scenario) -> None:
    async def whole() -> None:
        disk = SqliteDisk(directory)
        try:
            await asyncio.wait_for(scenario(disk), 20.0)
        finally:
            await disk.close()

    asyncio.run(whole())


@pytest.mark.parametrize("how", ["moved", "crashed"])
def test_a_store_on_a_full_disk_serves_what_it_holds_and_refuses_writes(
    tmp_path: Path, full: FullDisk, how: str
) -> None:
    """The story: 1. the disk became full. 2. The node was restarted, or crashed. 3. A start writes a little, failed at
    that, and the node stayed away with all that it held."""
    leave(tmp_path, how)
    full.is_full = True

    async def scenario(disk: SqliteDisk) -> None:
        assert disk.no_room and disk.describe().no_room == disk.no_room
        assert disk.get("records", 0, "old") is not None
        assert [row.key for row in disk.scan("records", 0)] == ["old"]
        assert disk.count("records") == 1
        with pytest.raises(StorageError, match=r"cannot write to .*(full|No space)"):
            await disk.commit([Row("records", 0, "new", b"new")])
        assert disk.get("records", 0, "new") is None
        await disk.commit([])  # whoever waits until what it read is durable
        await disk.checkpoint()

    on_disk(tmp_path, scenario)
    on_disk(tmp_path, scenario)  # its end has not taken the log away


def test_it_takes_writes_again_once_there_is_room(tmp_path: Path, full: FullDisk) -> None:
    leave(tmp_path, "crashed")
    full.is_full = True

    async def scenario(disk: SqliteDisk) -> None:
        full.is_full = False
        async with asyncio.timeout(10):
            while disk.no_room:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await disk.commit([Row("records", 0, "new", b"new")])
        assert [row.key for row in disk.scan("records", 0)] == ["new", "old"]

    async def after_a_restart(disk: SqliteDisk) -> None:
        assert not disk.no_room
        assert [row.key for row in disk.scan("records", 0)] == ["new", "old"]

    on_disk(tmp_path, scenario)
    on_disk(tmp_path, after_a_restart)


def test_a_disk_that_says_it_has_room_and_has_none_is_tried_again(
    tmp_path: Path, full: FullDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path, "crashed")
    full.is_full = True
    tries: list[int] = []
    monkeypatch.setattr(sqlite_module, "has_room_again", lambda path: not tries.append(1))

    async def scenario(disk: SqliteDisk) -> None:
        async with asyncio.timeout(10):
            while len(tries) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert disk.no_room
        assert disk.get("records", 0, "old") is not None

    on_disk(tmp_path, scenario)


def test_a_new_store_needs_room_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> Tables:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr(sqlite_module, "Tables", refuse)
    with pytest.raises(StorageError, match=r"cannot use .*data.sqlite: database or disk is full"):
        on_disk(tmp_path, lambda disk: asyncio.sleep(0))
