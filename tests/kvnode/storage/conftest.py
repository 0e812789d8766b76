"""Damages to the files of a stopped node, each drawn from a seed (test_any_content.py says what must come of them)."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from kvnode.records.checksum import checksum

PAGE = 2048
Damage = Callable[[Path, random.Random], None]


def flip_bits(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 1, 1, 8, 64))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def flip_a_bit_of_the_head(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[chance.randrange(min(100, len(content)))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def overwrite(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    at = chance.randrange(len(content))
    content[at : at + 40] = chance.randbytes(40)
    path.write_bytes(content)


def cut_off(path: Path, chance: random.Random) -> None:
    os.truncate(path, chance.choice((0, chance.randrange(path.stat().st_size))))


def append(path: Path, chance: random.Random) -> None:
    with path.open("ab") as file:
        file.write(chance.randbytes(chance.choice((1, 100, PAGE))))


def zero_a_page(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    at = chance.randrange(0, len(content), PAGE)
    content[at : at + PAGE] = bytes(len(content[at : at + PAGE]))
    path.write_bytes(content)


def swap_pages(path: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    pages = [content[at : at + PAGE] for at in range(0, len(content), PAGE)]
    one, other = chance.randrange(len(pages)), chance.randrange(len(pages))
    pages[one], pages[other] = pages[other], pages[one]
    path.write_bytes(b"".join(pages))


def put_something_else(path: Path, chance: random.Random) -> None:
    """A folder, a link to nowhere, a pipe, nothing, or another program's file."""
    if path.exists():
        path.unlink()
    kind = chance.randrange(6)
    if kind == 0:
        path.mkdir()
    elif kind == 1:
        (path / "within").mkdir(parents=True)
        (path / "within" / "file").write_text("x")
    elif kind == 2:
        path.symlink_to(path.parent / "nowhere")
    elif kind == 3:
        os.mkfifo(path)
    elif kind == 4:
        path.write_bytes(b"this is the file of another program\n" * 300)


def types_of_columns(path: Path, chance: random.Random) -> None:
    """Change the serial type of a column of some rows to another of the same length."""
    content = bytearray(path.read_bytes())
    places = list(serial_types(content))
    for _ in range(chance.choice((1, 1, 5))):
        at = chance.choice(places)
        if content[at] == 6:
            content[at] = 7  # an integer becomes a float
        elif 12 <= content[at] < 127:
            content[at] ^= 1  # a blob becomes a text, or shorter by a byte, and the other way round
        else:
            content[at] = chance.choice((0, 6, 7, 8, 9))
    path.write_bytes(content)


def serial_types(content: bytes | bytearray) -> Iterator[int]:
    """The places of the serial types in all leaf pages of tables without rowid, those of one byte.

    (The format: sqlite.org/fileformat2.html, sections 1.6 and 2.1.)
    """
    for page in range(PAGE, len(content) - PAGE + 1, PAGE):
        if content[page] != 10:
            continue
        for cell in range(int.from_bytes(content[page + 3 : page + 5], "big")):
            place = page + 8 + 2 * cell
            at = page + int.from_bytes(content[place : place + 2], "big")
            while content[at] & 0x80:  # the length of the payload
                at += 1
            at += 1
            yield from range(at + 1, min(at + content[at], len(content)))


ODD_VALUES = (
    "0.5",
    "-1",
    "9223372036854775807",
    "1e300",
    "'text'",
    "''",
    "x''",
    "x'00ff'",
    "cast(x'ff' as text)",
    "cast(x'6b762f00' as text)",
    "zeroblob(100)",
    "'\U0001f600'",
)
DEFINITIONS = (
    "create trigger t after insert on records begin delete from records; end",
    "create trigger t before update on meta begin select raise(abort, 'no'); end",
    "create view v as select 1",
    "create table other (a)",
    "create index i on records (checksum)",
    "drop table hints",
    "drop table meta",
    "delete from meta",
    "alter table records add column more",
    "alter table records rename column record to recorded",
    "pragma user_version=2147483647",
    "pragma user_version=-5",
    "pragma user_version=1",
    "pragma journal_mode=delete",
    "pragma application_id=7",
    "vacuum",
)


def edit_rows(path: Path, chance: random.Random) -> None:
    """One column of a row becomes something else; half of the time with a checksum that agrees."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        table = chance.choice(("records", "records", "hints", "meta"))
        count = database.execute(f"select count(*) from {table}").fetchone()[0]
        skipped = chance.randrange(max(1, count))
        found = database.execute(f"select partition, key from {table} limit 1 offset {skipped}").fetchone()
        column = chance.choice(("partition", "key", "record", "checksum"))
        value = chance.choice(ODD_VALUES)
        if column == "record" and chance.random() < 0.7:
            value = f"x'{chance.randbytes(chance.randrange(40)).hex()}'"
        with contextlib.suppress(sqlite3.IntegrityError):
            database.execute(f"update {table} set {column}={value} where partition=? and key=?", found)
        if column == "record":
            record = database.execute(
                f"select record from {table} where partition=? and key=?", found
            ).fetchone()[0]
            if isinstance(record, bytes):
                database.execute(
                    f"update {table} set checksum=? where partition=? and key=?",
                    (checksum(found[1], record), *found),
                )


def edit_definitions(path: Path, chance: random.Random) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(chance.choice(DEFINITIONS))


ANY_FILE: tuple[Damage, ...] = (
    flip_bits,
    flip_bits,
    flip_a_bit_of_the_head,
    overwrite,
    cut_off,
    append,
    zero_a_page,
    swap_pages,
    put_something_else,
)
TABLES_FILE: tuple[Damage, ...] = (
    *ANY_FILE,
    types_of_columns,
    types_of_columns,
    edit_rows,
    edit_rows,
    edit_definitions,
)


@pytest.fixture(scope="session")
def damages() -> SimpleNamespace:
    """What can be done to any file, what to the file of the tables, and where the latter keeps its serial types."""
    return SimpleNamespace(
        to_any_file=ANY_FILE,
        to_tables=TABLES_FILE,
        to_what_is_not_there=(put_something_else,),
        serial_types=serial_types,
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every odd value, and every odd definition, for the tests that take one."""
    if "odd_value" in metafunc.fixturenames:
        metafunc.parametrize("odd_value", ODD_VALUES)
    if "odd_definition" in metafunc.fixturenames:
        metafunc.parametrize("odd_definition", DEFINITIONS, ids=lambda definition: definition[:40])
