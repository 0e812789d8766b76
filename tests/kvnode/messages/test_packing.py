"""Packed checksums and partitions: the same back, and no bytes that a peer sends do harm."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kvnode.messages.packing import pack, pack_places, unpack, unpack_places


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_checksums_come_back_as_they_were_in_eight_bytes_each(checksums: list[int]) -> None:
    assert list(unpack(pack(checksums))) == checksums
    assert len(pack(checksums)) == 8 * len(checksums)


@given(st.sets(st.integers(0, 255)))
def test_places_come_back_sorted_in_one_bit_each(places: set[int]) -> None:
    assert unpack_places(pack_places(places, 256), 256) == sorted(places)
    assert len(pack_places(places, 256)) == 32


@given(st.binary(), st.integers(1, 300))
def test_any_bytes_are_read_as_far_as_they_make_sense(data: bytes, count: int) -> None:
    assert len(unpack(data)) == len(data) // 8
    assert all(0 <= place < count for place in unpack_places(data, count))
