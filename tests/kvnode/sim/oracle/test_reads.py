"""The oracle on answers to GET, and on reads against what was answered before."""

from __future__ import annotations

from typing import Any

import pytest

from kvnode.operations import Get


def test_right_answers_are_judged_and_nothing_is_found(bench: Any) -> None:
    first, beside = bench.write(1), bench.write(1, node="node-2")
    bench.get("k")
    bench.put("k", first)
    bench.get("k", first)
    bench.put("k", beside, mode="siblings")
    bench.store("k", first, beside)
    bench.get("k", first, beside)
    bench.get("k", first, beside, session="Bob")
    assert bench.violations == []
    for promise in (
        "the session's own writes",
        "the session's earlier reads",
        "what others were answered before",
    ):
        assert bench.world.counts[f"checked: a read sees {promise}"] > 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"value": "other"}, "whose stamp is the greatest"),
        ({"conflict": False}, "conflict is False for 2 siblings"),
        ({"answered_by": ["node-1", "node-1"]}, "r=2, and ['node-1', 'node-1'] answered"),
        ({"answered_by": ["node-1"]}, "r=2, and ['node-1'] answered"),
        ({"refilling": ["node-2"]}, "are being refilled"),
    ],
)
def test_an_answer_that_contradicts_itself(bench: Any, wrong: dict[str, Any], said: str) -> None:
    versions = bench.write(1), bench.write(1, node="node-2")
    bench.store("k", *versions)
    bench.get("k", *versions, **wrong)
    assert any(said in each for each in bench.violations)


def test_a_version_beside_the_one_that_has_replaced_it(bench: Any) -> None:
    first = bench.write(1)
    second = bench.write(1, first, node="node-2")
    bench.store("k", first)
    bench.store("k", second)
    bench.get("k", first, second)
    assert any("which makes it obsolete" in each for each in bench.violations)


def test_of_last_writer_wins_only_the_greatest_stamp_is_shown(bench: Any) -> None:
    early = bench.write(1, lww_at=5.0)
    late = bench.write(1, node="node-2", lww_at=6.0)
    bench.store("k", early)
    bench.store("k", late)
    bench.get("k", early, late)
    assert any("which makes it obsolete" in each for each in bench.violations)


def test_a_value_that_was_not_written_and_a_version_that_no_disk_holds(bench: Any) -> None:
    bench.store("k", bench.write(1))
    bench.get("k", bench.write(1, text="other"))
    bench.get("k", bench.write(9))
    found = bench.violations
    assert any("was shown as" in each for each in found)
    assert any("which no disk has ever held" in each for each in found)


def test_a_context_that_says_more_or_less_than_its_siblings(bench: Any) -> None:
    first, second = bench.write(1), bench.write(1, node="node-2")
    bench.store("k", first, second)
    bench.get("k", first, second, context=bench.contexts.issue("k", first.seen))
    assert any("its siblings say" in each for each in bench.violations)


def test_a_dirty_read(bench: Any) -> None:
    bench.store("k", bench.write(1), at=("node-3",))
    bench.get("k", bench.write(1))
    assert any("dirty read" in each for each in bench.violations)


def test_a_read_that_lacks_what_one_of_its_replicas_held(bench: Any) -> None:
    bench.store("k", bench.write(1), at=("node-2",))
    bench.get("k")
    assert any("which node-2 held when it was sent" in each for each in bench.violations)


def test_a_read_that_lacks_what_reached_its_replica_meanwhile_is_right(bench: Any) -> None:
    operation = bench.send(Get("k"))
    bench.store("k", bench.write(1))
    status, body = bench.get_answer("k")
    bench.answer(operation, status, **body)
    assert bench.violations == []


@pytest.mark.parametrize(
    ("session", "said"), [("Alice", "the session's own writes"), ("Bob", "what others were answered")]
)
def test_a_read_that_misses_an_acknowledged_write(bench: Any, session: str, said: str) -> None:
    bench.put("k", bench.write(1), by=("node-1", "node-2"))
    bench.get("k", by=("node-3", "node-1"), session=session)
    assert any(f"stale by {said}" in each for each in bench.violations)


def test_a_read_of_one_replica_may_miss_what_two_have_acknowledged(bench: Any) -> None:
    bench.put("k", bench.write(1))
    operation = bench.send(Get("k", r=1))
    status, body = bench.get_answer("k", by=("node-3",))
    bench.answer(operation, status, **body | {"r": 1})
    assert bench.violations == []


def test_a_session_that_goes_back_in_time(bench: Any) -> None:
    """Nobody was acknowledged this write; but two replicas held it when it was read."""
    bench.store("k", bench.write(1), at=("node-1", "node-2"))
    bench.get("k", bench.write(1))
    bench.lose("node-1")
    bench.get("k", by=("node-1", "node-3"))
    assert any("stale by the session's earlier reads" in each for each in bench.violations)


def test_what_one_replica_alone_held_may_be_missed_later(bench: Any) -> None:
    bench.store("k", bench.write(1), at=("node-1",))
    bench.get("k", bench.write(1))
    bench.get("k", by=("node-2", "node-3"))
    assert bench.violations == []


def test_what_was_replaced_is_back(bench: Any) -> None:
    """The replacement was acknowledged by two; both have lost it since, so their disks do not give it away."""
    first = bench.write(1)
    second = bench.write(2, first)
    bench.put("k", first, by=("node-1", "node-2"))
    bench.put("k", second, context=first.seen, by=("node-1", "node-3"))
    bench.get("k", first, by=("node-2", "node-3"))
    assert any("is back, which" in each and "had replaced" in each for each in bench.violations)


def test_a_tombstone_that_was_swept_answers_for_what_it_has_deleted_and_keeps_it_away(bench: Any) -> None:
    first = bench.write(1)
    tombstone = bench.write(2, first, text=None)
    bench.put("k", first)
    bench.put("k", tombstone, context=first.seen, by=("node-1", "node-2"))
    for node in ("node-1", "node-2"):
        bench.durable(node, bench.row("kv/k", None))
    bench.get("k")
    assert bench.violations == []
    bench.store("k", first, at=("node-3",))
    bench.get("k", first, by=("node-3", "node-1"))
    assert any("is back, which" in each and "had deleted" in each for each in bench.violations)


def test_a_past_that_was_pruned_still_counts_as_it_was_made(bench: Any) -> None:
    first = bench.write(1, node="node-2")
    second = bench.write(1, first)
    bench.put("k", first)
    bench.put("k", second, context=first.seen)
    bench.store("k", bench.pruned(second))
    bench.get("k", bench.pruned(second))
    assert bench.violations == []
