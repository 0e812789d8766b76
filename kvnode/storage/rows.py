"""What a row on disk may be: the type and the range of each column.

SQLite keeps what the bytes of a page say, whatever a column was declared as: one flipped bit turns an integer into a
float or a text into a blob, and its integrity check calls that sound. A checksum cannot tell, if it is the checksum
that was hit. So whoever reads a file asks here first; what is not a row is deleted, and counts as forgotten.

Must not live here: whether a row's record is the one that was written (components check that, by its checksum).
"""

from __future__ import annotations

from collections.abc import Iterable
from sqlite3 import Connection

import msgspec

from kvnode.records.checksum import checksum
from kvnode.runtime import ROWS_DROPPED, Row

TABLES = {
    table: f"create table {table} (partition integer not null, key text not null,"
    " record blob not null, checksum integer not null, primary key (partition, key)) without rowid"
    for table in ("records", "hints", "meta")
}
_PARTITION_MAX = 2**15 - 1  # of any configuration
_NO_ROW = (
    f"typeof(partition)<>'integer' or partition not between 0 and {_PARTITION_MAX} or typeof(key)<>'text'"
    " or typeof(record)<>'blob' or typeof(checksum)<>'integer' or instr(cast(key as blob), x'00')"
    " or (key glob '*[^ -~]*' and not is_utf8(cast(key as blob)))"
)
_PARTITION = f"iif(typeof(partition)='integer' and partition between 0 and {_PARTITION_MAX}, partition, -1)"
_SHOWN_MAX = 5


def are_rows(rows: Iterable[Row]) -> bool:
    """Whether all these, decoded from a log as rows by their types, can stand in the tables."""
    return all(
        row.table in TABLES and 0 <= row.partition <= _PARTITION_MAX and -(2**63) <= row.checksum < 2**63
        for row in rows
    )


def drop_what_is_no_row(database: Connection) -> list[str]:
    """Delete from records and hints whatever is not a row. Returns what that was, in words, a few of each table.

    In the same transaction the row ROWS_DROPPED of `meta` says so, for the components to draw conclusions from.
    """
    database.create_function("is_utf8", 1, _is_utf8, deterministic=True)
    told: list[str] = []
    partitions: set[int] = set()
    database.execute("begin")
    for table in ("records", "hints"):
        found = database.execute(
            f"select quote(partition), quote(substr(cast(key as blob), 1, 64)) from {table} where {_NO_ROW}"
            f" limit {_SHOWN_MAX}"
        ).fetchall()
        if found:
            if table == "records":  # a store that lacks a hint lacks nothing of its own
                places = database.execute(f"select distinct {_PARTITION} from {table} where {_NO_ROW}")
                partitions = {partition for (partition,) in places}
            database.execute(f"delete from {table} where {_NO_ROW}")
            told += (f"{table}: partition {partition}, key {key}" for partition, key in found)
    if partitions:
        record = msgspec.json.encode(sorted(partitions))
        row = (0, ROWS_DROPPED, record, checksum(ROWS_DROPPED, record))
        database.execute("insert or replace into meta values (?,?,?,?)", row)
    database.execute("commit")
    return told


def trouble_in_meta(database: Connection) -> str | None:
    """Which row of `meta`, where a store keeps who it is and what it has promised, is not what was written."""
    if not database.execute("select count(*) from sqlite_master where name='meta'").fetchone()[0]:
        return None  # a file of before its tables were made
    rows = database.execute("select partition, cast(key as blob), typeof(key), record, checksum from meta")
    for partition, key, type_of_key, record, known in rows:
        is_row = (partition, type_of_key, type(record), type(known)) == (0, "text", bytes, int)
        if not is_row or not _is_utf8(key) or checksum(key.decode(), record) != known:
            return f"the row {(key or b'')[:32]!r} of table meta is not what was written"
    return None


def trouble_in_definitions(database: Connection) -> str | None:
    """What the file has besides our tables, or has in another form: a trigger, for one, would run at our writes."""
    found = database.execute("select type, name, tbl_name, sql from sqlite_master order by name")
    for kind, name, table, statement in found:
        ours = TABLES.get(str(name), "").partition("(")[2]
        if (kind, table) != ("table", name) or str(statement).partition("(")[2] != ours or not ours:
            return f"the definition of {str(kind)[:16]} {str(name)[:32]!r} is not ours"
    return None


def _is_utf8(data: object) -> bool:
    try:
        return isinstance(data, bytes) and bool(data.decode("utf-8") or True)
    except UnicodeDecodeError:
        return False
