"""Merkle forests: equal roots if and only if equal content, whatever the order of the writes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kvnode.records.checksum import checksum
from kvnode.records.merkle import FANOUT, LEAF_COUNT, LEVELS, MerkleForest, leaf_of

contents = st.dictionaries(st.text(max_size=4), st.binary(max_size=4), max_size=12)


def forest_of(content: dict[str, bytes], *, keys: list[str] | None = None) -> MerkleForest:
    forest = MerkleForest(1)
    for key in keys or content:
        forest.change(0, 0, checksum(key, content[key]))
    return forest


@settings(deadline=None)
@given(contents, contents)
def test_roots_are_equal_if_and_only_if_the_content_is(
    one: dict[str, bytes], other: dict[str, bytes]
) -> None:
    assert (forest_of(one).root(0) == forest_of(other).root(0)) == (one == other)


@settings(deadline=None)
@given(contents, st.randoms())
def test_the_order_of_writes_and_what_was_overwritten_leave_no_trace(
    content: dict[str, bytes], chance: object
) -> None:
    keys = list(content)
    chance.shuffle(keys)  # type: ignore[attr-defined]
    forest = forest_of(content, keys=keys)
    for key in keys:
        other = checksum(key, b"something else")
        forest.change(0, checksum(key, content[key]), other)
        forest.change(0, other, checksum(key, content[key]))
    forest.change(0, 0, 7)
    forest.change(0, 7, 0)
    assert [forest.hashes(0, level) for level in (0, 1, 2)] == [
        forest_of(content).hashes(0, level) for level in (0, 1, 2)
    ]


def test_one_write_changes_one_hash_of_each_level_of_its_own_tree() -> None:
    forest = MerkleForest(2)
    before = [forest.hashes(0, level) for level in (0, 1, 2)]
    known = checksum("kv/k", b"1")
    forest.change(0, 0, known)
    for level, hashes in enumerate(before):
        now = forest.hashes(0, level)
        assert len(now) == LEVELS[level]
        differing = [index for index, known in enumerate(hashes) if now[index] != known]
        assert differing == [leaf_of(known) // (1 if level == 2 else FANOUT if level == 1 else LEAF_COUNT)]
    assert [forest.hashes(1, level) for level in (0, 1, 2)] == before


def test_checksums_tell_keys_and_records_apart_and_fit_sqlite() -> None:
    assert checksum("a", b"1") != checksum("b", b"1") != checksum("b", b"2")
    assert -(2**63) <= checksum("a", b"1") < 2**63


@settings(deadline=None)
@given(contents, st.data())
def test_a_tree_that_is_built_late_is_the_same_as_one_that_noted_every_change(
    content: dict[str, bytes], data: st.DataObject
) -> None:
    held: dict[str, int] = {}
    noted, late = (
        MerkleForest(2),
        MerkleForest(2, lambda partition: list(held.values()) if not partition else []),
    )
    build_after = data.draw(st.integers(0, len(content)))
    for number, key in enumerate(content):
        if number == build_after:
            late.root(0)
        known = held[key] = checksum(key, content[key])
        for forest in (noted, late):
            forest.change(0, 0, known)
    assert late.hashes(0, 2) == noted.hashes(0, 2)
    assert not late.is_built(1)
