"""Versions whose pasts were relieved of stores, at each replica of others: they agree, and nothing comes back."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from kvnode.versions import FORGOTTEN, Context, Siblings, Version, VersionVector

encode = msgspec.msgpack.Encoder().encode
STORES = tuple(f"node-{number % 3 + 1}.{number:016x}" for number in range(1, 8))
events = st.dictionaries(st.sampled_from(STORES), st.integers(1, 9))
vectors = st.dictionaries(st.sampled_from(STORES), st.integers(1, 9), min_size=2).map(VersionVector.of)


def siblings_of(pasts: list[VersionVector]) -> Siblings:
    """Concurrent versions of stores of their own, each with one of these pasts."""
    return Siblings(
        tuple(
            Version(f"node-9.{number:016x}", 1, Context(past), b"1", 1.0) for number, past in enumerate(pasts)
        )
    )


states = st.lists(vectors, min_size=1, max_size=3).map(siblings_of)


@given(states, events, events, events)
def test_copies_that_were_pruned_in_different_measure_merge_to_one(
    state: Siblings, one: dict[str, int], two: dict[str, int], three: dict[str, int]
) -> None:
    a, b, c = (state.without(gone) for gone in (one, two, three))
    assert encode(a.merge(b)) == encode(b.merge(a))
    assert encode(a.merge(b).merge(c)) == encode(a.merge(b.merge(c)))
    assert encode(a.merge(a)) == encode(a)
    assert encode(state.merge(a)) == encode(a) == encode(a.merge(state))


@given(states, events)
def test_what_is_taken_away_is_counted_and_nothing_else_changes(
    state: Siblings, gone: dict[str, int]
) -> None:
    pruned = state.without(gone)
    assert [version.dot for version in pruned.versions] == [version.dot for version in state.versions]
    for before, after in zip(state.versions, pruned.versions, strict=True):
        left = {store: n for store, n in before.past.vector.entries if n > gone.get(store, 0)}
        count = len(before.past.vector.entries) - len(left)
        assert after.past.vector.as_dict() == left | ({FORGOTTEN: count} if count else {})
        assert after.past.without(gone) == after.past


def test_a_store_of_a_version_that_is_there_is_spared() -> None:
    blind = Version(STORES[0], 5, Context(), b"1", 1.0)
    other = Version(STORES[1], 1, Context(VersionVector.of({STORES[0]: 4, STORES[2]: 7})), b"2", 2.0)
    state = Siblings((blind, other)).merge(Siblings())
    assert state.past_events == {STORES[2]: 7}
    pruned = state.without({STORES[0]: 9, STORES[2]: 7})
    assert pruned.versions[1].past.vector.as_dict() == {STORES[0]: 4, FORGOTTEN: 1}


def test_more_than_was_proven_is_not_taken_away() -> None:
    state = siblings_of([VersionVector.of({STORES[0]: 8})])
    assert state.without({STORES[0]: 7}) == state


def test_an_older_message_with_the_whole_past_does_not_bring_the_entries_back() -> None:
    state = siblings_of([VersionVector.of({STORES[0]: 8, STORES[1]: 2})])
    pruned = state.without({STORES[0]: 8})
    assert pruned.merge(state) == pruned
    older = Siblings((Version(STORES[1], 2, Context(), b"old", 0.0),))
    assert pruned.merge(older) == pruned, "what it still says counts"


def test_two_contents_under_one_dot_merge_to_the_same_at_both() -> None:
    """It must not happen; where a disk has gone back in time it did, and replicas never agreed again."""
    one, two = (Siblings((Version(STORES[0], 1, Context(), value, 1.0),)) for value in (b"1", b"2"))
    assert encode(one.merge(two)) == encode(two.merge(one))
