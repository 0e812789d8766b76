"""A read is stale when it missed a write that had been acknowledged before, and only then."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.checkers import Acknowledged, Seen, Staleness, Write
from kvnode.checkers.observed import WRITES_PER_KEY_MAX, Past
from kvnode.versions import Dot

A, B = "node-1.aaaaaaaaaaaaaaaa", "node-2.bbbbbbbbbbbbbbbb"


def write(counter: int, *, at_s: float, w: int = 2, past: int | None = None, store: str = A) -> Write:
    """A write that has seen the earlier ones of its store (up to `past`)."""
    seen = counter - 1 if past is None else past
    return Write(Dot(store, counter), Past({store: seen}), at_s, w)


def seen(*writes: Write) -> Seen:
    return Seen([one.dot for one in writes], [one.past for one in writes])


def checker(*writes: Write, n: int = 3) -> Staleness:
    acknowledged = Acknowledged(n)
    for one in writes:
        acknowledged.add("k", one)
    return Staleness(acknowledged)


def test_a_read_of_the_newest_write_is_fresh() -> None:
    first, second = write(1, at_s=1.0), write(2, at_s=2.0)
    staleness = checker(first, second)
    assert staleness.read("k", seen(second), started_s=3.0, r=2) == 0
    verdict = staleness.verdict()
    assert (verdict.status, verdict.facts) == ("ok", {"reads": 1, "stale_reads": 0})
    assert str(verdict) == "reads 1, stale reads 0: ok"


def test_a_miss_at_strict_quorums_is_a_violation_and_the_evidence_names_the_write() -> None:
    first, second = write(1, at_s=1.0), write(2, at_s=2.0)
    staleness = checker(first, second)
    assert staleness.read("k", seen(first), started_s=2.5, r=2) == 1
    verdict = staleness.verdict()
    assert verdict.status == "violated"
    assert verdict.facts == {
        "reads": 1,
        "stale_reads": 1,
        "versions_behind_max": 1,
        "out_of_date_ms_max": 500.0,
    }
    assert verdict.evidence == (
        f"'k': {A}:2 was acknowledged with w=2, a read with r=2 that was sent 500.0 ms later returned {A}:1",
    )


def test_a_read_whose_context_was_pruned_is_not_called_stale_for_what_it_may_have_covered() -> None:
    old = write(1, at_s=1.0)
    pruned = Seen([Dot(B, 1)], [Past({"~": 17})])
    named = Seen([Dot(B, 1)], [Past({"~": 17, A: 0})])
    assert checker(old).read("k", pruned, started_s=2.5, r=2) == 0
    assert checker(old).read("k", named, started_s=2.5, r=2) == 1


def test_the_same_miss_at_one_and_one_is_measured_and_at_risk() -> None:
    only = write(1, at_s=1.0, w=1)
    staleness = checker(only)
    staleness.read("k", seen(), started_s=1.25, r=1)
    verdict = staleness.verdict()
    assert (verdict.status, verdict.facts["stale_reads"]) == ("at risk", 1)


def test_fresh_reads_at_one_and_one_are_at_risk_too_for_nothing_was_promised() -> None:
    only = write(1, at_s=1.0, w=1)
    staleness = checker(only)
    staleness.read("k", seen(only), started_s=1.25, r=1)
    assert staleness.verdict().status == "at risk"


def test_a_write_acknowledged_while_the_read_was_under_way_need_not_be_seen() -> None:
    first, second = write(1, at_s=1.0), write(2, at_s=3.0)
    staleness = checker(first, second)
    assert staleness.read("k", seen(first), started_s=2.0, r=2) == 0
    assert staleness.verdict().ok


def test_one_that_is_superseded_meanwhile_is_still_missed_by_a_read_that_began_before() -> None:
    """The story: 1. a is acknowledged. 2. The read begins. 3. b, made from a, is acknowledged. 4. The read returns
    nothing. It may miss b, but not a."""
    staleness = checker(write(1, at_s=1.0), write(2, at_s=3.0))
    assert staleness.read("k", seen(), started_s=2.0, r=2) == 1


def test_a_sibling_that_is_missing_makes_a_read_stale_though_it_returned_the_newest() -> None:
    here, there = write(1, at_s=1.0), write(1, at_s=2.0, store=B)
    staleness = checker(here, there)
    assert staleness.read("k", seen(there), started_s=3.0, r=2) == 1
    assert f"{A}:1 was acknowledged" in staleness.verdict().evidence[0]


def test_versions_behind_are_counted() -> None:
    writes = [write(counter, at_s=counter) for counter in range(1, 6)]
    staleness = checker(*writes)
    assert staleness.read("k", seen(writes[1]), started_s=10.0, r=2) == 3
    assert staleness.out_of_date_ms_max == 7000.0


def test_a_counter_is_stale_by_the_updates_that_it_lacks() -> None:
    acknowledged = Acknowledged(3)
    for total in (1, 2, 5):
        acknowledged.add("likes", Write.of_counter("x", total, at_s=float(total), w=2))
    acknowledged.add("likes", Write.of_counter("y", 4, 1, at_s=6.0, w=2))
    staleness = Staleness(acknowledged)
    assert staleness.read("likes", Seen.of_counter({"x": (5, 0), "y": (4, 1)}), started_s=9.0, r=2) == 0
    assert staleness.read("likes", Seen.of_counter({"x": (6, 0), "y": (9, 9)}), started_s=9.0, r=2) == 0
    assert staleness.read("likes", Seen.of_counter({"x": (2, 0), "y": (4, 1)}), started_s=9.0, r=2) == 1
    assert staleness.read("likes", Seen.of_counter({}), started_s=9.0, r=2) == 4


def test_the_curve_counts_fresh_reads_by_the_age_of_the_newest_acknowledgement() -> None:
    only = write(1, at_s=1.0, w=1)
    staleness = checker(only)
    for age_s, found in ((0.0, False), (0.0015, False), (0.0015, True), (0.030, True), (60.0, True)):
        staleness.read("k", seen(only) if found else seen(), started_s=1.0 + age_s, r=1)
    curve = {point.from_ms: (point.reads, point.share) for point in staleness.curve if point.reads}
    assert curve == {0.0: (1, 0.0), 1.0: (2, 0.5), 20.0: (1, 1.0), 5_000.0: (1, 1.0)}


def test_nothing_to_check_is_unknown() -> None:
    staleness = checker()
    staleness.read("k", seen(), started_s=1.0, r=2)
    assert staleness.verdict().status == "unknown"


@pytest.mark.parametrize(
    ("n", "w", "r", "promised"),
    [(3, 2, 2, True), (3, 1, 1, False), (3, 3, 1, True), (3, 1, 3, False), (1, 1, 1, True), (5, 3, 2, False)],
)
def test_what_is_promised(n: int, w: int, r: int, promised: bool) -> None:
    assert Acknowledged(n).is_promised(w=w, r=r) is promised


def test_memory_is_bounded_and_the_keys_written_longest_ago_go_first() -> None:
    acknowledged = Acknowledged(3, keys_max=3)
    for counter in range(1, 100):
        acknowledged.add("hot", write(counter, at_s=counter))
        acknowledged.add(f"k{counter}", write(1, at_s=counter))
    assert len(acknowledged) == 3
    assert len(list(acknowledged.newest_first("hot", 1000.0))) == WRITES_PER_KEY_MAX
    assert acknowledged.find("k99", Dot(A, 1)) is not None
    assert acknowledged.find("k1", Dot(A, 1)) is None


places = st.permutations([0, 1, 2])
events = st.lists(
    st.one_of(
        st.tuples(st.just("write"), places, st.booleans()),
        st.tuples(st.just("read"), places, st.just(False)),
        st.tuples(st.just("deliver"), places, st.just(False)),
    ),
    max_size=16,
)


@given(events, st.sampled_from([(2, 2), (3, 1), (1, 1), (2, 1), (1, 2)]))
def test_it_agrees_with_the_ancestry_of_every_version(
    new_register: Any, history: list[tuple[str, list[int], bool]], quorums: tuple[int, int]
) -> None:
    r, w = quorums
    register, acknowledged = new_register(), Acknowledged(3)
    staleness = Staleness(acknowledged)
    writes: list[Write] = []
    stale = 0
    for what, order, blind in history:
        if what == "write":
            writes.append(register.write(order[:w], blind=blind))
            acknowledged.add("k", writes[-1])
        elif what == "deliver":
            register.deliver()
        else:
            got = register.read(order[:r])
            missed = [one for one in writes if not register.covers(got, one.dot)]
            assert staleness.read("k", got, started_s=register.now_s, r=r) == len(missed)
            stale += bool(missed)
    assert staleness.stale == stale
    if r + w > 3:
        assert staleness.broken == 0, staleness.verdict().evidence
