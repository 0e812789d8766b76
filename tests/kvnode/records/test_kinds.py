"""What a row is, told from its bytes alone: a tombstone is whole, and says nothing but deleted."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kvnode.records.checksum import checksum
from kvnode.records.kinds import is_tombstone
from kvnode.records.records import Records, encode_state
from kvnode.ring import Ring
from kvnode.runtime import Row, Runtime
from kvnode.storage import MemoryDisk
from kvnode.versions import Context, Dot, Siblings

RING = Ring.build(["node-1"], replicas=1, partitions=16)


def _no_log(event: str, **facts: Any) -> None:
    pass


versions = st.tuples(st.booleans(), st.booleans(), st.binary(max_size=3))


@settings(deadline=None)
@given(st.lists(st.lists(versions, min_size=1, max_size=3), max_size=6), st.data())
def test_exactly_what_is_whole_and_says_nothing_but_deleted_is_a_tombstone(
    states: list[list[tuple[bool, bool, bytes]]], data: st.DataObject
) -> None:
    disk, tombstones = MemoryDisk(), []
    rows = []
    for number, siblings in enumerate(states):
        state = Siblings()
        for counter, (deleted, lww, text) in enumerate(siblings):
            dot = Dot(f"node-{counter}.1", number + 1)
            state, _ = state.write(
                dot, text, context=Context(), timestamp=float(counter), deleted=deleted, lww=lww
            )
        key, record = f"kv/k{number}", encode_state(state)
        damaged = data.draw(st.booleans())
        rows.append(Row("records", 0, key, record, checksum(key, record) + damaged))
        if not damaged and all(version.deleted for version in state.versions):
            tombstones.append((key, checksum(key, record)))
    disk.apply(rows)
    records = Records(Runtime(None, None, disk, random.Random(1), None, _no_log), RING)  # type: ignore[arg-type]
    records.open()
    values, after = records.values_in(0, "", 100)
    found = [(row.key, row.checksum) for row in values if is_tombstone(row)]
    assert (found, len(values)) == (tombstones, len(rows))
    assert after is None or records.values_in(0, after, 100) == ([], None)
