"""Batches of records that fit in one message: bounded in number and in bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kvnode.config import BATCH_BYTES_MAX, BATCH_RECORDS_MAX
from kvnode.records.records import Records

Carried = tuple[str, str, bytes]
"""(kind, key, record), as messages carry it."""


def first_batch(records: Iterable[Carried]) -> tuple[Carried, ...]:
    """The first records that fit in one message; at least one if there are any."""
    return batch_of(records)[0]


def batch_of(records: Iterable[Carried]) -> tuple[tuple[Carried, ...], bool]:
    """The same, and whether these are all. Reads no further than it must: one record beyond the batch."""
    batch: list[Carried] = []
    size = 0
    for carried in records:
        size += len(carried[1]) + len(carried[2])
        if batch and (size > BATCH_BYTES_MAX or len(batch) == BATCH_RECORDS_MAX):
            return tuple(batch), False
        batch.append(carried)
    return tuple(batch), True


def carried(records: Records, disk_keys: Iterable[str]) -> Iterator[Carried]:
    """Those of them that are held, durably and whole."""
    for disk_key in disk_keys:
        kind, _, key = disk_key.partition("/")
        record = records.durable(kind, key)
        if record is not None:
            yield kind, key, record
