"""A damaged data file is noticed whatever was hit, kept under another name, and never mistaken for a whole one."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from kvnode.records.checksum import checksum
from kvnode.runtime import Row
from kvnode.storage import SqliteDisk, StorageError, files
from kvnode.storage.corruption import corruption_of, set_aside_files
from kvnode.storage.log import read_log
from kvnode.storage.rows import TABLES

ROW_COUNT = 4000
PAGE = 4096
LEAF, INNER = 10, 2  # the first byte of a page of rows, and of one that leads to them


def rows() -> list[Row]:
    made = [(n % 16, f"kv/key/{n:06}", random.Random(n).randbytes(60)) for n in range(ROW_COUNT)]
    return [Row("records", partition, key, record, checksum(key, record)) for partition, key, record in made]


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


@pytest.fixture
def whole_file(tmp_path: Path) -> Path:
    async def fill(disk: SqliteDisk) -> None:
        await disk.commit([Row("meta", 0, "store-id", b"node-1.0011223344556677")])
        await disk.commit(rows())

    with_disk(tmp_path, fill)
    return tmp_path / "data.sqlite"


def overwrite(path: Path, at: int, with_: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(with_)


def place_of(path: Path, text: bytes) -> int:
    at = path.read_bytes().find(text)
    assert at >= 0
    return at


def pages_of(path: Path, kind: int) -> list[int]:
    content = path.read_bytes()
    return [at for at in range(PAGE, len(content), PAGE) if content[at] == kind]


def begin_of_the_file(path: Path) -> None:
    overwrite(path, 0, random.Random(1).randbytes(64))


def text_encoding(path: Path) -> None:
    overwrite(path, 56, b"\x00\x00\x00\x02")


def read_version(path: Path) -> None:
    overwrite(path, 19, b"\x07")


def definition_of_a_table(path: Path) -> None:
    overwrite(path, place_of(path, b"checksum integer"), b"checkers")


def name_of_a_table(path: Path) -> None:
    overwrite(path, place_of(path, b"hints (partition"), b"hunts")


def inner_page(path: Path) -> None:
    overwrite(path, pages_of(path, INNER)[0] + 2, random.Random(2).randbytes(40))


def count_of_rows_in_a_page(path: Path) -> None:
    at = pages_of(path, LEAF)[5] + 3
    count = int.from_bytes(path.read_bytes()[at : at + 2], "big")
    overwrite(path, at, (count - 1).to_bytes(2, "big"))


def order_of_two_rows(path: Path) -> None:
    overwrite(path, place_of(path, b"kv/key/002000") + 7, b"9")


def who_this_store_is(path: Path) -> None:
    overwrite(path, place_of(path, b"node-1.00112233") + 9, b"9")


def end_of_the_file(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 5 * PAGE)


@pytest.mark.parametrize(
    "hit",
    [
        begin_of_the_file,
        text_encoding,
        read_version,
        definition_of_a_table,
        name_of_a_table,
        inner_page,
        count_of_rows_in_a_page,
        order_of_two_rows,
        who_this_store_is,
        end_of_the_file,
    ],
    ids=lambda hit: hit.__name__.replace("_", " "),
)
def test_a_damaged_file_is_set_aside_as_it_is_and_the_store_is_empty(
    whole_file: Path, hit: Callable[[Path], None]
) -> None:
    hit(whole_file)
    damaged = whole_file.read_bytes()

    async def look_at_it(disk: SqliteDisk) -> None:
        assert disk.corruption is not None
        why, kept = disk.corruption
        assert why and "\n" not in why
        assert kept.read_bytes() == damaged
        assert disk.describe().set_aside == [kept.name]
        assert list(disk.checksums("records")) == []
        assert disk.get("meta", 0, "store-id") is None

    with_disk(whole_file.parent, look_at_it)


def test_a_whole_file_is_kept_and_one_without_tables_too(whole_file: Path, tmp_path: Path) -> None:
    async def look_at_it(disk: SqliteDisk) -> None:
        assert disk.corruption is None
        assert len(list(disk.checksums("records"))) == ROW_COUNT

    with_disk(whole_file.parent, look_at_it)
    early = tmp_path / "early" / "data.sqlite"
    early.parent.mkdir()
    with sqlite3.connect(early) as database:
        database.execute(TABLES["records"])
    database.close()
    assert corruption_of(early, read_log(early)) is None


def test_a_file_that_may_not_be_read_is_no_damaged_file(
    whole_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    monkeypatch.setattr(sqlite3, "connect", refuse)
    with pytest.raises(StorageError, match="disk I/O error"):
        with_disk(whole_file.parent, look)
    assert set_aside_files(whole_file) == []


def test_a_few_files_that_were_set_aside_are_kept_not_all(whole_file: Path) -> None:
    for number in range(6):
        whole_file.write_bytes(b"garbage %d " % number * 1000)
        with_disk(whole_file.parent, look)
    kept = set_aside_files(whole_file)
    assert len(kept) == 3
    assert kept[-1].read_bytes().startswith(b"garbage 5")


# --- while it is in use -------------------------------------------------------------------------------------


def test_damage_that_shows_only_in_use_ends_the_process_and_the_next_start_sets_the_file_aside(
    whole_file: Path,
) -> None:
    heard: list[str] = []

    async def read_everything(disk: SqliteDisk) -> None:
        assert disk.corruption is None

        class Ended(Exception):
            pass

        def end(why: str) -> None:
            heard.append(why)
            raise Ended

        disk._on_corruption = end
        overwrite(whole_file, place_of(whole_file, b"kv/key/002000") + 12, b"\xff")  # no UTF-8 any more
        with pytest.raises(Ended):
            list(disk.checksums("records"))

    with_disk(whole_file.parent, read_everything)
    assert "UTF-8" in heard[0]

    async def look_at_it(disk: SqliteDisk) -> None:
        assert disk.corruption is not None
        assert "UTF-8" in disk.corruption[0]

    with_disk(whole_file.parent, look_at_it)
    with_disk(whole_file.parent, look)
    assert len(set_aside_files(whole_file)) == 1


def test_a_row_that_gets_another_type_in_use_reads_as_a_row_that_fails_its_checksum(
    whole_file: Path,
) -> None:
    async def read(disk: SqliteDisk) -> None:
        with sqlite3.connect(whole_file) as database:
            database.execute("update records set record=17 where key='kv/key/000016'")
            database.execute("update records set checksum=0.5 where key='kv/key/000032'")
        database.close()
        await disk.checkpoint()
        assert disk.get("records", 0, "kv/key/000016") == (b"", 0)
        assert disk.get("records", 0, "kv/key/000032") == (b"", 0)
        scanned = disk.scan("records", 0, limit=4)
        whole = [row.checksum == checksum(row.key, row.record or b"") for row in scanned]
        assert whole == [True, False, False, True]
        assert [known for _, key, known in disk.checksums("records", 0) if key.endswith("/000032")] == [0]

    with_disk(whole_file.parent, read)


# --- the files themselves -----------------------------------------------------------------------------------


def test_a_file_that_may_not_be_read_is_made_readable_or_set_aside(
    whole_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. The files of a node had lost their permissions. 2. No start succeeded any more."""
    may_use: set[str] = set()

    def chmod(path: Path, mode: int) -> None:
        may_use.add(path.name)

    def access(path: Path, mode: int) -> bool:
        return not path.name.startswith("data.sqlite") or path.name in may_use

    with monkeypatch.context() as patch:
        patch.setattr(files, "_may_use", lambda path: access(path, 0))
        patch.setattr(Path, "chmod", chmod)
        assert files.trouble_with_file(whole_file) is None, "it is ours, and was made readable"
        patch.setattr(Path, "chmod", lambda path, mode: None)
        may_use.clear()
        assert files.trouble_with_file(whole_file) == "data.sqlite may not be read and written"

        async def look_at_it(disk: SqliteDisk) -> None:
            assert disk.corruption is not None
            assert disk.corruption[0] == "data.sqlite may not be read and written"

        with_disk(whole_file.parent, look_at_it)
