"""Version vectors: a lattice, in one canonical form."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from kvnode.versions import Dot, VersionVector

encode = msgspec.msgpack.Encoder().encode
stores = st.sampled_from([f"node-{number}.{number:016x}" for number in range(1, 6)])
counters = st.dictionaries(stores, st.integers(0, 50))
vectors = counters.map(VersionVector.of)


@given(vectors, vectors, vectors)
def test_merge_is_commutative_associative_and_idempotent_to_the_byte(
    one: VersionVector, two: VersionVector, three: VersionVector
) -> None:
    assert encode(one.merge(two)) == encode(two.merge(one))
    assert encode(one.merge(two).merge(three)) == encode(one.merge(two.merge(three)))
    assert encode(one.merge(one)) == encode(one)


@given(vectors, vectors)
def test_the_merged_vector_is_the_least_that_descends_both(one: VersionVector, two: VersionVector) -> None:
    merged = one.merge(two)
    assert merged.descends(one)
    assert merged.descends(two)
    assert all(count == max(one.counter(store), two.counter(store)) for store, count in merged.entries)
    assert {store for store, _ in merged.entries} == {store for store, _ in one.entries + two.entries}


@given(counters)
def test_equal_maps_encode_to_equal_bytes_in_whatever_order_they_were_built(counts: dict[str, int]) -> None:
    backwards = dict(reversed(list(counts.items())))
    assert encode(VersionVector.of(counts)) == encode(VersionVector.of(backwards))
    assert VersionVector.of(counts).as_dict() == {store: n for store, n in sorted(counts.items()) if n}


@given(vectors, stores, st.integers(1, 60))
def test_with_dot_covers_that_dot_and_all_before_it(vector: VersionVector, store: str, counter: int) -> None:
    grown = vector.with_dot(Dot(store, counter))
    assert all(grown.covers(Dot(store, earlier)) for earlier in range(1, counter + 1))
    assert grown.counter(store) == max(counter, vector.counter(store))
    assert grown.descends(vector)


@given(vectors, vectors)
def test_two_vectors_that_descend_each_other_are_equal(one: VersionVector, two: VersionVector) -> None:
    assert (one.descends(two) and two.descends(one)) == (one == two)
