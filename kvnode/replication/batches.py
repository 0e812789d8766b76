"""Batches of records that fit in one message: bounded in number and in bytes."""

from __future__ import annotations

from collections.abc import Iterable

from kvnode.config import BATCH_BYTES_MAX, BATCH_RECORDS_MAX

Carried = tuple[str, str, bytes]
"""(kind, key, record), as messages carry it."""


def first_batch(records: Iterable[Carried]) -> tuple[Carried, ...]:
    """The first records that fit in one message; at least one if there are any. Reads no further than it must."""
    batch: list[Carried] = []
    size = 0
    for carried in records:
        size += len(carried[1]) + len(carried[2])
        if batch and size > BATCH_BYTES_MAX:
            break
        batch.append(carried)
        if len(batch) == BATCH_RECORDS_MAX:
            break
    return tuple(batch)
