"""Counting answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.replication.quorum import Quorum


@given(
    st.integers(1, 5).flatmap(
        lambda n: st.tuples(st.integers(1, n), st.permutations([*range(n)]), st.integers(0, n))
    )
)
def test_it_is_met_or_lost_as_soon_as_that_is_certain_and_never_both(
    case: tuple[int, list[int], int],
) -> None:
    need, order, answering = case
    quorum = Quorum(need, len(order))
    for replica in order:
        if replica < answering:
            quorum.add(f"node-{replica}")
        else:
            quorum.fail()
        answered = len(quorum.got)
        assert quorum.met == (answered >= need)
        assert quorum.lost == (len(order) - quorum.failed_count < need)
        assert not (quorum.met and quorum.lost)
    assert quorum.met != quorum.lost


def test_a_replica_that_answers_twice_is_a_broken_invariant() -> None:
    quorum = Quorum(2, 3)
    quorum.add("node-1")
    with pytest.raises(AssertionError, match="node-1 answered twice"):
        quorum.add("node-1")


@pytest.mark.parametrize(("need", "n"), [(0, 3), (4, 3)])
def test_a_quorum_that_cannot_be_is_a_broken_invariant(need: int, n: int) -> None:
    with pytest.raises(AssertionError):
        Quorum(need, n)
