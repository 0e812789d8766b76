"""The ledger must call a lost write lost, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.checkers import CounterRead, Ledger, SiblingRead, Verdict
from kvnode.checkers.verdict import EVIDENCE_COUNT_MAX

A, B, C = "node-1.aaaaaaaaaaaaaaaa", "node-2.bbbbbbbbbbbbbbbb", "node-3.cccccccccccccccc"


def sibling(dot: str, past: Mapping[str, int] | None = None, *, deleted: bool = False) -> SiblingRead:
    store, _, counter = dot.rpartition(":")
    past = past or {}
    return SiblingRead(dot, {**past, store: int(counter)}, issued_under=past, deleted=deleted)


def put(
    ledger: Ledger, dot: str, past: Mapping[str, int] | None = None, *, w: int = 2, key: str = "k"
) -> None:
    ledger.acknowledged_put(key, sibling(dot, past), w=w, n=3)


def test_a_put_that_is_read_back_is_ok() -> None:
    ledger = Ledger()
    put(ledger, f"{A}:1")
    verdict = ledger.check({"k": [sibling(f"{A}:1")]})
    assert verdict.status == "ok"
    assert str(verdict) == "acknowledged 1, lost 0: ok"


def test_a_put_whose_key_is_empty_is_lost_and_the_evidence_names_it() -> None:
    ledger = Ledger()
    put(ledger, f"{A}:1")
    verdict = ledger.check({"k": []})
    assert (verdict.status, verdict.lost) == ("violated", 1)
    assert verdict.evidence == (f"'k': {A}:1 was acknowledged with w=2, the read holds nothing",)
    assert str(verdict) == "acknowledged 1, lost 1: violated"


def test_a_put_that_a_later_version_saw_is_ok_though_nobody_acknowledged_the_later_one() -> None:
    ledger = Ledger()
    put(ledger, f"{A}:1")
    ledger.indefinite_put("k")
    assert ledger.check({"k": [sibling(f"{B}:4", {A: 1})]}).ok


def test_a_put_is_lost_if_the_later_version_did_not_see_it() -> None:
    ledger = Ledger()
    put(ledger, f"{A}:2")
    assert ledger.check({"k": [sibling(f"{B}:4", {A: 1})]}).lost == 1


def test_a_siblings_own_dot_covers_no_other_write_of_its_store() -> None:
    """The story: 1. a:16 and a:17 are blind puts, both acknowledged. 2. The replicas lose a:16. 3. The read holds
    a:17, whose clock prints {a: 17} and so seems to cover a:16. Only its past, which is empty, tells the truth."""
    ledger = Ledger()
    put(ledger, f"{A}:16")
    put(ledger, f"{A}:17")
    verdict = ledger.check({"k": [sibling(f"{A}:17")]})
    assert verdict.lost == 1
    assert f"{A}:16" in verdict.evidence[0]


def test_a_past_of_single_dots_covers_just_those() -> None:
    ledger = Ledger()
    put(ledger, f"{A}:5")
    put(ledger, f"{A}:7")
    seen_one = SiblingRead(f"{B}:1", {A: 7, B: 1}, issued_under={}, issued_under_dots=[f"{A}:7"])
    verdict = ledger.check({"k": [seen_one]})
    assert (verdict.status, verdict.lost) == ("violated", 1)
    assert f"{A}:5" in verdict.evidence[0]
    seen_both = SiblingRead(f"{B}:1", {A: 7, B: 1}, issued_under={}, issued_under_dots=[f"{A}:5", f"{A}:7"])
    assert ledger.check({"k": [seen_both]}).ok
    answer = {"key": "k", "dot": f"{B}:1", "vector_clock": {A: 7, B: 1}, "issued_under": {}, "w": 2}
    ledger.acknowledged({**answer, "issued_under_dots": [f"{A}:7"]})
    assert ledger.forgotten == 1
    assert ledger.check({"k": [seen_one]}).lost == 1


def test_without_the_past_the_clock_stands_for_everything_before_the_dot() -> None:
    ledger = Ledger()
    ledger.acknowledged_put("k", SiblingRead(f"{A}:16", {A: 16}), w=2, n=3)
    ledger.acknowledged_put("k", SiblingRead(f"{A}:17", {A: 17}), w=2, n=3)
    assert ledger.check({"k": [SiblingRead(f"{A}:17", {A: 17})]}).ok


def test_a_covered_dot_is_forgotten_and_its_coverer_answers_for_it() -> None:
    ledger = Ledger()
    for counter in range(1, 1001):
        put(ledger, f"{A}:{counter}", {A: counter - 1})
    assert ledger.forgotten == 999
    assert ledger.check({"k": [sibling(f"{A}:1000", {A: 999})]}) == Verdict(
        status="ok", claim="no acknowledged write was lost", acknowledged=1000
    )
    assert ledger.check({"k": [sibling(f"{A}:999", {A: 998})]}).lost == 1


def test_an_answer_that_comes_late_is_forgotten_at_once() -> None:
    ledger = Ledger()
    put(ledger, f"{B}:1", {A: 1})
    put(ledger, f"{A}:1")
    assert ledger.forgotten == 1
    assert ledger.check({"k": [sibling(f"{B}:1", {A: 1})]}).ok


def test_a_put_at_w_1_is_at_risk_and_never_ok() -> None:
    ledger = Ledger()
    put(ledger, f"{A}:1", w=1)
    assert ledger.check({"k": [sibling(f"{A}:1")]}).status == "at risk"
    lost = ledger.check({"k": []})
    assert (lost.status, lost.lost) == ("at risk", 1)


def test_w_1_is_at_risk_even_when_all_replicas_are_read() -> None:
    ledger = Ledger(r=3)
    put(ledger, f"{A}:1", w=1)
    assert ledger.check({"k": [sibling(f"{A}:1")]}).status == "at risk"


def test_a_put_at_risk_does_not_answer_for_a_safe_one() -> None:
    """The story: 1. a:1 is acknowledged at w=2. 2. b:1, which saw it, at w=1, and its only disk dies. 3. a:1 must
    still be there: forgetting it for b:1's sake would hide its loss."""
    ledger = Ledger()
    put(ledger, f"{A}:1", w=2)
    put(ledger, f"{B}:1", {A: 1}, w=1)
    verdict = ledger.check({"k": []})
    assert (verdict.status, verdict.lost) == ("violated", 2)
    assert ledger.check({"k": [sibling(f"{A}:1")]}).status == "at risk"


def test_a_key_that_could_not_be_read_leaves_the_verdict_unknown() -> None:
    ledger = Ledger()
    put(ledger, f"{A}:1")
    assert ledger.check({}).status == "unknown"
    assert ledger.check({"k": None}).evidence == ("'k' could not be read",)


def test_nothing_acknowledged_is_unknown_and_not_ok() -> None:
    assert Ledger().check({}).status == "unknown"


def test_a_delete_is_kept_by_its_tombstone_or_by_nothing_at_all() -> None:
    ledger = Ledger()
    ledger.acknowledged_put("k", sibling(f"{A}:2", {A: 1}), w=2, n=3, deleted=True)
    assert ledger.check({"k": [sibling(f"{A}:2", {A: 1}, deleted=True)]}).ok
    assert ledger.check({"k": []}).ok
    assert ledger.check({"k": [sibling(f"{A}:1")]}).lost == 1


def test_an_answer_of_the_api_is_recorded_as_it_is() -> None:
    ledger = Ledger()
    answer = {"key": "k", "dot": f"{A}:3", "vector_clock": {A: 3, B: 1}, "issued_under": {B: 1}, "w": 2}
    ledger.acknowledged(answer)
    read = SiblingRead.of({"dot": f"{A}:3", "vector_clock": {A: 3, B: 1}, "issued_under": {B: 1}})
    assert ledger.keys == ["k"]
    assert ledger.check({"k": [read]}).ok


def test_evidence_is_bounded() -> None:
    ledger = Ledger()
    for number in range(50):
        put(ledger, f"{A}:{number + 1}", key=f"k{number}")
    verdict = ledger.check({f"k{number}": [] for number in range(50)})
    assert verdict.lost == 50
    assert len(verdict.evidence) == EVIDENCE_COUNT_MAX + 1
    assert verdict.evidence[-1] == "… and 30 more"


# --- counters ----------------------------------------------------------------------------------------------


def counter(**actors: tuple[int, int]) -> CounterRead:
    return CounterRead(sum(i - d for i, d in actors.values()), actors)


def test_a_counter_with_everything_answered_must_be_exact() -> None:
    ledger = Ledger()
    ledger.acknowledged_counter("likes", "x", 5, 1)
    assert ledger.check({}, {"likes": counter(x=(5, 1))}).ok
    short, over = (
        ledger.check({}, {"likes": counter(x=(4, 1))}),
        ledger.check({}, {"likes": counter(x=(6, 1))}),
    )
    assert (short.status, short.lost, short.counters_wrong) == ("violated", 1, 1)
    assert (over.status, over.lost, over.counters_wrong) == ("violated", 0, 1)
    assert over.evidence == ("counter 'likes', actor x: totals (6, 1), but only (5, 1) were ever sent",)


@pytest.mark.parametrize(("final", "status"), [(4, "violated"), (5, "ok"), (6, "ok"), (7, "violated")])
def test_an_unanswered_update_may_count_or_not(final: int, status: str) -> None:
    ledger = Ledger()
    ledger.acknowledged_counter("likes", "x", 5)
    ledger.unanswered_counter("likes", "x", 6)
    assert ledger.check({}, {"likes": counter(x=(final, 0))}).status == status


def test_a_later_acknowledgement_settles_what_was_unanswered() -> None:
    ledger = Ledger()
    ledger.unanswered_counter("likes", "x", 6)
    ledger.acknowledged_counter("likes", "x", 7)
    assert ledger.check({}, {"likes": counter(x=(6, 0))}).lost == 1


def test_a_counter_whose_value_is_not_the_sum_of_its_actors_is_wrong() -> None:
    ledger = Ledger()
    ledger.acknowledged_counter("likes", "x", 5)
    verdict = ledger.check({}, {"likes": CounterRead(6, {"x": (5, 0)})})
    assert (verdict.status, verdict.counters_wrong) == ("violated", 1)


def test_actors_of_others_are_counted_but_not_judged() -> None:
    ledger = Ledger()
    ledger.acknowledged_counter("likes", "x", 5)
    assert ledger.check({}, {"likes": counter(x=(5, 0), somebody=(100, 0))}).ok


def test_totals_at_w_1_are_at_risk_but_those_at_w_2_before_are_safe() -> None:
    ledger = Ledger()
    ledger.acknowledged_counter("likes", "x", 5, w=2)
    ledger.acknowledged_counter("likes", "x", 7, w=1)
    fallen_back = ledger.check({}, {"likes": counter(x=(5, 0))})
    assert (fallen_back.status, fallen_back.lost) == ("at risk", 1)
    assert ledger.check({}, {"likes": counter(x=(4, 0))}).status == "violated"


def test_a_counter_read_is_taken_from_the_api() -> None:
    answer = {"value": 4, "actors": {"x": {"increments": 5, "decrements": 1}}}
    assert CounterRead.of(answer) == CounterRead(4, {"x": (5, 1)})


# --- against a model -----------------------------------------------------------------------------------------
# Writes of one key through three coordinators; each writer saw some earlier writes. The survivors (what no other
# write saw) are what a correct database reads back. Then some of them are dropped.

STORES = (A, B, C)
histories = st.lists(
    st.tuples(st.sampled_from(STORES), st.sets(st.integers(0, 30), max_size=4), st.booleans()),
    min_size=1,
    max_size=25,
)


def play(history: list[tuple[str, set[int], bool]]) -> tuple[Ledger, dict[str, SiblingRead], set[str]]:
    """The ledger of a history, what a correct database holds at the end, and the acknowledged dots."""
    ledger = Ledger()
    versions: list[SiblingRead] = []
    acknowledged: set[str] = set()
    counters = dict.fromkeys(STORES, 0)
    for store, seen, answered in history:
        past: dict[str, int] = {}
        for index in sorted(seen):
            if index < len(versions):
                past = joined(past, versions[index].vector_clock)
        # Replicas hold whole sibling sets: who has seen a store's write has seen its earlier ones, and what those saw.
        for version in versions * 2:
            own, _, number = version.dot.rpartition(":")
            if past.get(own, 0) >= int(number):
                past = joined(past, version.vector_clock)
        counters[store] += 1
        version = sibling(f"{store}:{counters[store]}", past)
        versions.append(version)
        if answered:
            acknowledged.add(version.dot)
            put(ledger, version.dot, past)
        else:
            ledger.indefinite_put("k")
    alive = {
        version.dot: version
        for version in versions
        if not any(covers(other, version.dot) for other in versions if other is not version)
    }
    return ledger, alive, acknowledged


def joined(one: dict[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {store: max(one.get(store, 0), other.get(store, 0)) for store in {*one, *other}}


def covers(version: SiblingRead, dot: str) -> bool:
    store, _, counter = dot.rpartition(":")
    assert version.issued_under is not None
    return version.issued_under.get(store, 0) >= int(counter)


@given(histories)
def test_a_correct_database_is_never_accused(history: list[tuple[str, set[int], bool]]) -> None:
    ledger, alive, acknowledged = play(history)
    verdict = ledger.check({"k": list(alive.values())})
    assert verdict.lost == 0
    assert verdict.status == ("ok" if acknowledged else "unknown")


@given(histories, st.data())
def test_a_planted_loss_is_always_found(
    history: list[tuple[str, set[int], bool]], data: st.DataObject
) -> None:
    ledger, alive, acknowledged = play(history)
    mine = sorted(set(alive) & acknowledged)
    if not mine:
        return
    dropped = data.draw(st.sampled_from(mine))
    verdict = ledger.check({"k": [version for dot, version in alive.items() if dot != dropped]})
    assert verdict.status == "violated"
    assert any(f"'k': {dropped} was acknowledged" in line for line in verdict.evidence)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_a_counter_is_right_within_what_was_acknowledged_and_sent(
    updates: list[tuple[int, int, bool]],
) -> None:
    ledger = Ledger()
    totals = acknowledged = (0, 0)
    for more, less, answered in updates:
        totals = (totals[0] + more, totals[1] + less)
        if answered:
            acknowledged = totals
            ledger.acknowledged_counter("c", "x", *totals)
        else:
            ledger.unanswered_counter("c", "x", *totals)
    for final in (acknowledged, totals):
        assert ledger.check({}, {"c": counter(x=final)}).lost == 0
        assert ledger.check({}, {"c": counter(x=final)}).counters_wrong == 0
    assert ledger.check({}, {"c": counter(x=(totals[0] + 1, totals[1]))}).status == "violated"
    if acknowledged[0]:
        assert ledger.check({}, {"c": counter(x=(acknowledged[0] - 1, totals[1]))}).lost == 1


def test_what_was_sent_meanwhile_raises_the_bound_of_counters_that_it_knows() -> None:
    ledger = Ledger()
    ledger.acknowledged_counter("likes", "a", 3)
    ledger.sent_meanwhile("likes", "a", 5)
    ledger.sent_meanwhile("likes", "b", 5)
    ledger.sent_meanwhile("views", "a", 5)
    assert ledger.counters == ["likes"]
    for total, status in ((2, "violated"), (3, "ok"), (5, "ok"), (6, "violated")):
        assert ledger.check({}, {"likes": CounterRead(total, {"a": (total, 0)})}).status == status, total


def test_what_a_pruned_context_may_have_covered_is_not_judged() -> None:
    """1. a is acknowledged. 2. b, which saw it, is never answered, and takes effect. 3. After many crashes the context
    of b names a's store no more. The ledger cannot tell b from a write that never saw a: neither lost nor found."""
    ledger = Ledger()
    ledger.acknowledged_put("k", sibling("node-1.a:5"))
    ledger.indefinite_put("k")
    pruned = SiblingRead("node-2.b:1", {"node-2.b": 1, "~": 17}, issued_under={"~": 17})
    verdict = ledger.check({"k": [pruned]})
    assert (verdict.status, verdict.lost, ledger.unjudged) == ("unknown", 0, 1)
    assert "node-1.a:5" in verdict.evidence[0]
    named = SiblingRead("node-2.b:1", {}, issued_under={"~": 17, "node-1.a": 4})
    assert ledger.check({"k": [named]}).status == "violated", "its store is named, and was seen no further"
    unpruned = SiblingRead("node-2.b:1", {}, issued_under={"node-3.c": 4})
    assert ledger.check({"k": [unpruned]}).status == "violated"


def test_who_has_seen_a_write_has_seen_what_its_writer_had_seen_though_the_context_says_so_no_more() -> None:
    """1. a is acknowledged. 2. b, which saw it, is acknowledged at risk, and does not answer for it. 3. c saw b, but
    its context has been relieved of a's store. 4. c is deleted, and the tombstone swept: a was called lost.
    (Found by sloppy-storm, seed 859.)"""
    ledger = Ledger()
    put(ledger, f"{A}:19")
    put(ledger, f"{B}:13", {A: 19}, w=1)
    put(ledger, f"{C}:1", {B: 13, "~": 1})
    ledger.acknowledged_put("k", SiblingRead(f"{C}:2", {}, {B: 13, C: 1, "~": 1}), deleted=True)
    verdict = ledger.check({"k": []})
    assert (verdict.status, verdict.lost, ledger.unjudged) == ("at risk", 0, 0)
    put(ledger, f"{A}:20", {A: 19})  # none of them saw that one, and a read that holds nothing has lost it
    verdict = ledger.check({"k": []})
    assert (verdict.status, verdict.lost) == ("unknown", 0), (
        "a's store is one that the delete's context may not name"
    )
    put(ledger, f"{B}:14", {B: 13})
    assert ledger.check({"k": []}).status == "violated", "b's store is named, and was seen no further"
