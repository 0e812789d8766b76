"""Rights: the arithmetic of escrow, and the theorem that hangs on it: no read of any replica is ever negative."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.versions.counters import PnCounter
from traffic.workloads.inventory.rights import Rights


def test_units_are_free_once_received_and_until_promised() -> None:
    rights = Rights()
    assert not rights.reserve(1)
    rights.receive(5)
    assert rights.reserve(3)
    assert rights.free == 2
    assert not rights.reserve(3)
    assert rights.free == 2


def test_a_promise_may_be_taken_back_but_spending_may_not() -> None:
    rights = Rights(received=5)
    rights.reserve(3)
    rights.release(3)
    assert rights.free == 5
    rights.reserve(3)
    rights.spend(3)
    assert rights.free == 2
    with pytest.raises(AssertionError, match="more was released or spent"):
        rights.release(3)


def test_spending_without_a_promise_is_a_bug_and_loud() -> None:
    with pytest.raises(AssertionError, match="more was released or spent"):
        Rights(received=5).spend(1)


STEPS = st.lists(st.tuples(st.sampled_from(["receive", "take"]), st.integers(1, 9)), max_size=20)


def pairs_sent(steps: list[tuple[str, int]]) -> list[tuple[int, int]]:
    """The running totals (increments, decrements) that an actor which keeps to its rights sends, in order."""
    rights, sent, increments, decrements = Rights(), [], 0, 0
    for what, units in steps:
        if what == "receive":
            increments += units
            rights.receive(units)
        elif rights.reserve(units):
            rights.spend(units)
            decrements += units
        sent.append((increments, decrements))
    return sent


@given(st.lists(STEPS, min_size=1, max_size=4), st.data())
def test_no_replica_is_ever_negative_whatever_reaches_it(
    actors: list[list[tuple[str, int]]], data: st.DataObject
) -> None:
    """Any of the pairs, in any order, any number of times: as stale, as cut off, as wiped as a replica may be."""
    requests = [
        (f"actor-{index}", increments, decrements)
        for index, steps in enumerate(actors)
        for increments, decrements in pairs_sent(steps)
    ]
    replica = PnCounter()
    for request in data.draw(st.lists(st.sampled_from(requests), max_size=30)) if requests else ():
        replica = replica.merge(PnCounter.of(*request))
        assert replica.value >= 0
        assert all(increments >= decrements for _, increments, decrements in replica.entries)
