"""What may be missing from the logs after a crash, and what only after damage: then nothing of the store is used."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from kvnode.records.checksum import checksum
from kvnode.storage import SqliteDisk
from kvnode.storage.corruption import mark_corrupt, set_aside_files
from kvnode.storage.log import LOG_SIDES


def with_disk(
    directory: Path, scenario: Callable[[SqliteDisk], Coroutine[Any, Any, None]], **options: Any
) -> None:
    async def whole() -> None:
        disk = SqliteDisk(directory, **options)
        await asyncio.wait_for(scenario(disk), 20.0)
        await disk.close()

    asyncio.run(whole())


async def look(disk: SqliteDisk) -> None:
    """Do nothing but open and close."""


def overwrite(path: Path, at: int, with_: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(with_)


CRASH = """
import asyncio, os, pathlib, sys
from kvnode.runtime import Row
from kvnode.storage import SqliteDisk
async def main():
    disk = SqliteDisk(pathlib.Path(sys.argv[1]))
    for number in range(20):
        await disk.commit([Row("meta", 0, "dots-reserved", b"%d" % (4096 * number))])
    os._exit(9)
asyncio.run(main())
"""


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    subprocess.run([sys.executable, "-c", CRASH, str(tmp_path)], check=False, timeout=20)
    return tmp_path / "data.sqlite"


def test_the_log_of_a_crash_is_no_damage(crashed: Path) -> None:
    async def look_at_it(disk: SqliteDisk) -> None:
        assert disk.corruption is None
        assert disk.get("meta", 0, "dots-reserved") == (b"77824", checksum("dots-reserved", b"77824"))

    with_disk(crashed.parent, look_at_it)


def log_of(crashed: Path) -> Path:
    """The segment that the commits of a first life are in."""
    return Path(f"{crashed}{LOG_SIDES[1]}")


@pytest.mark.parametrize("left", [-1, -20, -40])
def test_an_unfinished_commit_at_the_end_of_the_log_is_no_damage(crashed: Path, left: int) -> None:
    log = log_of(crashed)
    os.truncate(log, log.stat().st_size + left)

    async def look_at_it(disk: SqliteDisk) -> None:
        assert disk.get("meta", 0, "dots-reserved") == (b"73728", checksum("dots-reserved", b"73728"))

    with_disk(crashed.parent, look_at_it)
    assert set_aside_files(crashed) == []


@pytest.mark.parametrize("place", ["head", "turn", "salt", "middle", "length", "last but one"])
def test_a_log_that_lost_a_commit_in_its_middle_is_damage(crashed: Path, place: str) -> None:
    """1. Dots were reserved and issued. 2. A byte of the log is overwritten: what follows cannot be read back.

    3. Were the rest used, the reservation would be gone, and the same dots would be issued again.
    """
    log = log_of(crashed)
    size = log.stat().st_size
    middle = log.read_bytes().find(b"40960")
    places = {
        "head": 0,
        "turn": 12,
        "salt": 17,
        "middle": middle,
        "length": middle - 60,
        "last but one": size - 90,
    }
    overwrite(log, places[place], b"\xaa\xbb\xcc")

    async def look_at_it(disk: SqliteDisk) -> None:
        assert disk.corruption is not None
        assert "commit" in disk.corruption[0] or "head" in disk.corruption[0]
        assert disk.get("meta", 0, "dots-reserved") is None

    with_disk(crashed.parent, look_at_it)
    (kept,) = set_aside_files(crashed)
    assert Path(f"{kept}{log.name.removeprefix(crashed.name)}").exists(), "the log was set aside with it"


CRASH_DURING_A_FLUSH = """
import asyncio, os, pathlib, sys, time
from kvnode.runtime import Row
from kvnode.storage import SqliteDisk
async def main():
    disk = SqliteDisk(pathlib.Path(sys.argv[1]))
    for number in range(20):
        await disk.commit([Row("records", 0, f"older {number}", b"x" * 50)])
    disk._tables.commit = lambda turn: time.sleep(20)
    moving = asyncio.ensure_future(disk.checkpoint())
    await asyncio.sleep(0.05)
    for number in range(20):
        await disk.commit([Row("records", 0, f"newer {number}", b"x" * 50)])
    os._exit(9)
asyncio.run(main())
"""


def crash_during_a_flush(directory: Path) -> None:
    subprocess.run([sys.executable, "-c", CRASH_DURING_A_FLUSH, str(directory)], check=False, timeout=20)


def test_the_end_of_the_older_segment_cannot_be_torn_once_the_newer_holds_a_commit(tmp_path: Path) -> None:
    """1. The last commits of the older segment are damaged. 2. They passed for a torn end, though newer ones stood."""
    crash_during_a_flush(tmp_path)
    older = tmp_path / f"data.sqlite{LOG_SIDES[1]}"
    assert b"older 19" in older.read_bytes()
    overwrite(older, older.stat().st_size - 10, bytes(8))

    async def look_at_it(disk: SqliteDisk) -> None:
        assert disk.corruption is not None
        assert "lacks a commit" in disk.corruption[0]

    with_disk(tmp_path, look_at_it)


def test_a_commit_of_which_only_the_mark_was_stored_is_an_unfinished_one(crashed: Path) -> None:
    """1. Power fails; of the last commit only the first sector reached the disk, the next was never written before.

    2. Length 0 and check 0 passed for a whole commit, which could not be decoded: the node never started again.
    """
    log = log_of(crashed)
    with log.open("r+b") as file:
        salt = file.read(40)[24:32]
        file.seek(0, os.SEEK_END)
        file.write(salt + bytes(600))

    async def look_at_it(disk: SqliteDisk) -> None:
        assert disk.corruption is None
        assert disk.get("meta", 0, "dots-reserved") is not None

    with_disk(crashed.parent, look_at_it)


@pytest.mark.parametrize("how", ["deleted", "emptied", "half set aside", "log deleted"])
def test_half_of_a_store_is_damage(tmp_path: Path, how: str) -> None:
    crash_during_a_flush(tmp_path)
    for side in ("", "-wal", "-shm") if how != "log deleted" else (LOG_SIDES[0],):
        path = tmp_path / f"data.sqlite{side}"
        if how == "emptied":
            os.truncate(path, 0)
        else:
            path.unlink()
    if how == "half set aside":
        mark_corrupt(tmp_path / "data.sqlite", "")

    async def look_at_it(disk: SqliteDisk) -> None:
        assert disk.corruption is not None
        assert list(disk.checksums("records")) == []

    with_disk(tmp_path, look_at_it)


@pytest.mark.parametrize("share", [0.5, 0.98])
def test_a_commit_in_sqlites_own_log_that_would_be_passed_over_is_damage(
    tmp_path: Path, share: float
) -> None:
    """Also the very last one: what it held stands in our own log no more."""
    code = """
import asyncio, os, pathlib, sqlite3, sys
from kvnode.runtime import Row
from kvnode.storage import SqliteDisk
async def main():
    directory = pathlib.Path(sys.argv[1])
    disk = SqliteDisk(directory)
    reader = sqlite3.connect(directory / "data.sqlite", isolation_level=None)
    reader.execute("begin")
    reader.execute("select * from meta").fetchall()  # so that nothing is moved out of the log
    for number in range(20):
        await disk.commit([Row("meta", 0, "dots-reserved", b"%d" % (4096 * number))])
        await disk.checkpoint()
    os._exit(9)
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=20)
    log = tmp_path / "data.sqlite-wal"
    overwrite(log, int(log.stat().st_size * share), b"\xaa\xbb\xcc")

    async def look_at_it(disk: SqliteDisk) -> None:
        assert disk.corruption is not None
        assert "commit" in disk.corruption[0]

    with_disk(tmp_path, look_at_it)
