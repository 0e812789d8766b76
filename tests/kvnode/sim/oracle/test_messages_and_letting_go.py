"""The oracle on what nodes tell each other, and on what they delete."""

from __future__ import annotations

from typing import Any

from kvnode.config import NodeAddress
from kvnode.handoff.acceptor import Ballots
from kvnode.handoff.paxos import Acceptor
from kvnode.messages import KV, Fetch, Fetched, Promise, Stored, StoreRecord
from kvnode.records.kinds import encode_state
from kvnode.ring import RingState
from kvnode.runtime import Row
from kvnode.versions import Siblings


def record_of(*versions: Any) -> bytes:
    """The record that holds these."""
    return encode_state(Siblings(tuple(versions)))


def encoded(value: Any) -> bytes:
    """Any struct as it stands on disk."""
    return encode_state(value)


def test_a_replica_says_stored_when_it_is_durable(bench: Any) -> None:
    for is_early in (False, True):
        version = bench.write(1 + is_early)
        bench.tell(
            "node-1", "node-2", StoreRecord(7 + is_early, 1, KV, f"k{is_early}", record_of(version), 1)
        )
        if not is_early:
            bench.store("kFalse", version, at=("node-2",))
        bench.tell("node-2", "node-1", Stored(7 + is_early))
        assert any("a crash would take it" in each for each in bench.violations) == is_early


def test_a_replica_shows_what_is_durable(bench: Any) -> None:
    version, dirty = bench.write(1), bench.write(2)
    bench.store("k", version)
    bench.tell("node-1", "node-2", Fetch(7, 1, KV, "k", 1))
    bench.tell("node-2", "node-1", Fetched(7, record_of(version), 0.0))
    assert bench.violations == []
    bench.tell("node-2", "node-1", Fetched(7, record_of(dirty), 0.0))
    assert any("node-2 shows" in each and "a crash would take it" in each for each in bench.violations)


def test_a_vote_is_durable_before_it_is_told(bench: Any) -> None:
    vote = Promise(7, (1, "node-2.2"), None, True)
    row = Row("meta", 0, "ring-votes", encoded(Ballots(Acceptor(1, (1, "node-2.2")), 0)))
    bench.durable("node-2", row)
    bench.tell("node-2", "node-1", vote)
    assert bench.violations == []
    bench.tell("node-3", "node-1", vote)
    assert any("node-3 tells a promise that is not on its disk" in each for each in bench.violations)


def test_one_epoch_has_one_ring(bench: Any) -> None:
    addresses = [NodeAddress(f"node-{n}", "127.0.0.1", n, n) for n in (1, 2, 3)]
    rings = [RingState(2, tuple(addresses)), RingState(2, tuple(addresses[:2]))]
    for node, ring in zip(("node-1", "node-2", "node-3"), (rings[0], rings[0], rings[1]), strict=True):
        bench.durable(node, Row("meta", 0, "ring", encoded(ring)))
    [found] = bench.violations
    assert found.startswith("epoch 2 is") and "at node-3" in found


def test_a_hint_goes_when_its_addressee_has_what_it_kept(bench: Any) -> None:
    version = bench.write(1)
    bench.run_nodes()
    bench.store("k", version, at=("node-1", "node-3"))
    bench.durable("node-1", bench.hint("node-2", "k", version))
    bench.durable("node-1", bench.hint("node-2", "k", version, gone=True))
    [found] = bench.violations
    assert "node-1 lets go of a hint for node-2, kv/k, that ['node-2'] never had" in found


def test_a_hint_that_was_delivered_or_is_kept_for_another_may_go(bench: Any) -> None:
    version = bench.write(1)
    bench.run_nodes()
    bench.store("k", version, at=("node-1", "node-3"))
    bench.durable("node-1", bench.hint("node-4", "k", version))
    bench.durable("node-1", bench.hint("node-4", "k", version, gone=True), bench.hint("node-2", "k", version))
    bench.store("k", version, at=("node-2",))
    bench.durable("node-1", bench.hint("node-2", "k", version, gone=True))
    assert bench.violations == []
    assert bench.world.counts["checked: a hint goes when those have it whom it was for"] == 2


def test_an_owner_deletes_no_value_and_no_tombstone_that_another_never_had(bench: Any) -> None:
    version = bench.write(1)
    tombstone = bench.write(2, version, text=None)
    bench.run_nodes()
    bench.store("k", version)
    bench.durable("node-1", bench.row("kv/k", None))
    bench.store("k", tombstone, at=("node-1", "node-2"))
    bench.durable("node-1", bench.row("kv/k", None))
    first, second = bench.violations
    assert "which it owns" in first and "node-3 never had it" in second


def test_a_tombstone_stays_while_something_older_is_in_a_hint_or_on_its_way(bench: Any) -> None:
    bench.run_nodes()
    for number, key in enumerate(("a", "b", "c", "d")):
        version = bench.write(2 * number + 1)
        tombstone = bench.write(2 * number + 2, version, text=None)
        bench.store(key, version)
        bench.store(key, tombstone)
        bench.now_s += 10.0
        if key == "a":
            bench.durable("node-3", bench.hint("node-2", key, version))
        elif key == "b":
            bench.tell("node-3", "node-2", StoreRecord(7, 1, KV, key, record_of(version), 1))
        elif key == "c":  # from one that is no member any more: it is told that it comes too late
            bench.tell("node-9", "node-2", StoreRecord(7, 1, KV, key, record_of(version), 1))
        bench.durable("node-1", bench.row(f"kv/{key}", None))
        assert len(bench.violations) == min(number + 1, 2)
    assert "a hint at node-3" in bench.violations[0] and "a message sent at" in bench.violations[1]
