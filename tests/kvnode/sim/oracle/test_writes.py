"""The oracle on answers to PUT and DELETE: silent when they are right, and each wrong one is caught."""

from __future__ import annotations

from typing import Any

from kvnode.operations import Put


def test_right_answers_are_judged_and_nothing_is_found(bench: Any) -> None:
    first = bench.write(1)
    second = bench.write(2, first)
    bench.put("k", first)
    bench.put("k", second, context=first.seen)
    bench.put("k", bench.write(3, second, text=None))
    assert bench.violations == []
    assert bench.world.counts["checked: who acknowledged a write has made it durable"] == 3


def acknowledged(bench: Any, version: Any, request: Put, **wrong: Any) -> list[str]:
    """What is found when this version is stored and the answer is right but for this."""
    operation = bench.send(request)
    bench.store("k", version, at=("node-1", "node-2"))
    bench.answer(operation, 200, **bench.put_answer("k", version) | wrong)
    return list(bench.violations)


def test_a_write_that_only_one_of_two_has_made_durable(bench: Any) -> None:
    version = bench.write(1)
    operation = bench.send(Put("k", version.value))
    bench.store("k", version, at=("node-1",))
    bench.answer(operation, 200, **bench.put_answer("k", version))
    [found] = bench.violations
    assert "node-2 has acknowledged" in found and "never made it durable" in found


def test_who_has_lost_its_disk_since_may_have_had_it(bench: Any) -> None:
    version = bench.write(1)
    operation = bench.send(Put("k", version.value))
    bench.store("k", version, at=("node-1", "node-2"))
    bench.lose("node-2")
    bench.answer(operation, 200, **bench.put_answer("k", version))
    assert bench.violations == []


def test_one_replica_counted_twice_and_fewer_than_w(bench: Any) -> None:
    version = bench.write(1)
    for by in (["node-1", "node-1"], ["node-1"]):
        found = acknowledged(bench, version, Put("k", version.value), acknowledged_by=by)
        assert any(f"w=2, and {by} acknowledged" in each for each in found)


def test_a_dot_that_was_answered_before(bench: Any) -> None:
    version = bench.write(1)
    bench.put("k", version)
    found = acknowledged(bench, version, Put("k", version.value))
    assert any("was answered before" in each for each in found)


def test_a_dot_that_a_context_covered_before_it_was_issued(bench: Any) -> None:
    bench.put("k", bench.write(7))
    found = acknowledged(bench, bench.write(5), Put("k", bench.write(5).value))
    assert any("handed out before covers the new dot" in each for each in found)


def test_a_dot_that_names_two_writes_on_two_disks(bench: Any) -> None:
    bench.store("k", bench.write(1), at=("node-1",))
    bench.store("k", bench.write(1, text="other"), at=("node-2",))
    assert any("names two writes of k" in each for each in bench.violations)


def test_another_value_than_was_sent(bench: Any) -> None:
    version = bench.write(1)
    found = acknowledged(bench, version, Put("k", b'"mine"'))
    assert any("was answered for b'\"mine\"'" in each for each in found)


def test_another_context_than_was_passed_on(bench: Any) -> None:
    first, other = bench.write(1), bench.write(2)
    bench.put("k", first)
    found = acknowledged(bench, other, Put("k", other.value, context=first.seen))
    assert any("was passed on" in each for each in found)


def test_a_blind_write_that_has_seen_something(bench: Any) -> None:
    first = bench.write(1)
    bench.put("k", first)
    second = bench.write(2, first)
    found = acknowledged(bench, second, Put("k", second.value, mode="siblings"))
    assert any("was to be blind" in each for each in found)


def test_a_plain_write_that_does_not_replace_what_its_coordinator_held(bench: Any) -> None:
    bench.put("k", bench.write(1, node="node-2"))
    found = acknowledged(bench, bench.write(1), Put("k", bench.write(1).value))
    assert any("does not replace node-2" in each for each in found)


def test_a_plain_delete_that_leaves_what_was_acknowledged_elsewhere(bench: Any) -> None:
    bench.put("k", bench.write(1, node="node-2"), by=("node-2", "node-3"))
    tombstone = bench.write(1, text=None)
    found = acknowledged(bench, tombstone, Put("k", None))
    assert any("does not delete node-2" in each for each in found)


def test_a_context_that_does_not_cover_the_write_and_one_that_covers_others(bench: Any) -> None:
    sibling, version = bench.write(1, node="node-2"), bench.write(4)
    bench.store("k", sibling)
    request = Put("k", version.value, mode="siblings")
    for context in (sibling.seen, version.seen.merge(sibling.seen)):
        token = bench.contexts.issue("k", context)
        found = acknowledged(bench, version, request, context=token)
        assert any("the context of" in each for each in found)


def test_a_context_that_covers_an_earlier_write_of_its_store_which_its_writer_never_saw(bench: Any) -> None:
    bench.put("k", bench.write(1), mode="siblings")
    bench.put(
        "k", bench.write(2), mode="siblings"
    )  # its context is the vector of the store, which covers the first
    assert any("unseen" in each for each in bench.violations)
