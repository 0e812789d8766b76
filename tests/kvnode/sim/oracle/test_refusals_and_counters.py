"""The oracle on refusals, those above all that say definite, and on counters."""

from __future__ import annotations

from typing import Any

from kvnode.operations import Add, Put


def test_a_write_that_was_refused_as_definite_and_appears_later(bench: Any) -> None:
    version = bench.write(1)
    bench.answer(bench.send(Put("k", version.value)), 503, definite=True)
    assert bench.violations == []
    bench.store("k", version, at=("node-3",))
    assert any("became durable, which was refused as definite" in each for each in bench.violations)


def test_a_write_that_is_there_and_is_refused_as_definite(bench: Any) -> None:
    version = bench.write(1)
    operation = bench.send(Put("k", version.value))
    bench.store("k", version, at=("node-3",))
    bench.answer(operation, 503, definite=True)
    assert any("was refused as definite, and is there" in each for each in bench.violations)


def test_a_write_that_was_sent_again_may_be_there_though_one_of_the_two_was_refused(bench: Any) -> None:
    version = bench.write(1)
    lost = bench.send(Put("k", version.value))
    again = bench.send(Put("k", version.value), node="node-2")
    bench.answer(again, 503, definite=True)
    bench.store("k", version)
    bench.answer(lost, 503, definite=False)
    assert bench.violations == []


def test_a_delete_that_was_refused_as_definite_and_a_value_that_nobody_sent(bench: Any) -> None:
    bench.answer(bench.send(Put("k", None)), 503, definite=True)
    bench.store("k", bench.write(1, text=None))
    bench.store("k", bench.write(2))
    first, second = bench.violations
    assert "was refused as definite" in first and "nobody has sent" in second


def test_counters_that_are_right(bench: Any) -> None:
    bench.add("c", "actor", 1)
    bench.add("c", "actor", 3, 2)
    bench.read_counter("c", ("actor", 3, 2))
    assert bench.violations == []
    assert bench.world.counts["checked: a counter read sees what was acknowledged"] == 1


def test_a_counter_read_that_misses_what_was_acknowledged(bench: Any) -> None:
    bench.add("c", "actor", 2)
    bench.read_counter("c", by=("node-2", "node-3"))
    found = bench.violations
    assert any("(2, 0) was acknowledged" in each for each in found)
    assert any("node-2 held {'actor': (2, 0)} when it was sent" in each for each in found)


def test_a_counter_that_shows_what_was_never_sent_or_refused(bench: Any) -> None:
    bench.answer(bench.send(Add("c", "actor", 1, 0)), 503, definite=True)
    bench.add("c", "actor", 2)
    bench.count("c", ("actor", 1, 0))
    bench.read_counter("c", ("actor", 1, 0))
    bench.read_counter("c", ("actor", 5, 0))
    found = bench.violations
    assert sum("never sent, or refused as definite" in each for each in found) == 2


def test_a_counter_that_was_refused_as_definite_and_is_there(bench: Any) -> None:
    operation = bench.send(Add("c", "actor", 1, 0))
    bench.count("c", ("actor", 1, 0), at=("node-2",))
    bench.answer(operation, 503, definite=True)
    assert any("was refused as definite, and is there" in each for each in bench.violations)


def test_a_total_that_is_not_durable_at_who_acknowledged_it(bench: Any) -> None:
    operation = bench.send(Add("c", "actor", 1, 0))
    bench.count("c", ("actor", 1, 0), at=("node-1",))
    bench.answer(
        operation, 200, actor="actor", increments=1, decrements=0, w=2, acknowledged_by=["node-1", "node-2"]
    )
    assert any("node-2 has acknowledged (1, 0), and holds (0, 0)" in each for each in bench.violations)


def test_a_dirty_read_of_a_counter_and_a_value_that_is_not_the_sum(bench: Any) -> None:
    bench.send(Add("c", "actor", 1, 0))
    bench.count("c", ("actor", 1, 0), at=("node-3",))
    bench.read_counter("c", ("actor", 1, 0))
    bench.count("c", ("actor", 1, 0))
    bench.read_counter("c", ("actor", 1, 0), value=2)
    found = bench.violations
    assert any("dirty read of (1, 0)" in each for each in found)
    assert any("its value is 2, and that of its actors 1" in each for each in found)


def test_no_request_that_makes_sense_finds_a_fault_and_every_refusal_says_whether_it_is_definite(
    bench: Any,
) -> None:
    version = bench.write(1)
    bench.put("k", version)
    bench.answer(bench.send(Put("k", b"1", version.seen)), 400, definite=True, detail="context: ...")
    bench.answer(bench.send(Put("k", b"2")), 500, definite=False, detail="a fault in itself")
    bench.answer(bench.send(Put("k", b"3")), 503)
    found = bench.violations
    assert sum("400, context" in each for each in found) == 2
    assert any("500, a fault in itself" in each for each in found)
    assert any("does not say whether it is definite" in each for each in found)


def test_a_conflict_where_there_is_hardly_anything(bench: Any) -> None:
    bench.put("k", bench.write(1))
    bench.answer(bench.send(Put("k", b"1")), 409, definite=True, detail="too many")
    assert any("409, too many, and no disk holds so much" in each for each in bench.violations)
