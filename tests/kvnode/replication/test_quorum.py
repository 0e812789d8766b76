"""Counting answers."""

from __future__ import annotations

from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.replication.quorum import JointQuorum, Quorum


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


@given(st.integers(1, 3), st.permutations(["node-1", "node-2", "node-3", "node-4", "node-5"]))
def test_every_pending_owner_must_acknowledge_too_and_counts_towards_no_quorum(
    need: int, order: list[str]
) -> None:
    """node-4 and node-5 take the partition over from two of the three owners."""
    quorum = Quorum(need, 3, ("node-4", "node-5"))
    for number, replica in enumerate(order, start=1):
        assert not quorum.met or {"node-4", "node-5"} <= {*order[: number - 1]}
        quorum.add(replica)
        owners = {*order[:number]} - {"node-4", "node-5"}
        assert quorum.met == (len(owners) >= need and {"node-4", "node-5"} <= {*order[:number]})
        assert set(quorum.got) == owners
    quorum.fail_pending()
    assert quorum.lost


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("newcomer_count", [1, 2])
def test_a_joint_quorum_meets_each_write_of_the_old_and_of_the_next_owners(
    n: int, newcomer_count: int
) -> None:
    """Whoever answers, in whatever number: met as soon as each write that was acknowledged before must be met by them.

    A write is on w of the old owners, or on w of the next ones if the change is over. w is at least half of N.
    """
    owners = tuple(f"old-{number}" for number in range(n))
    pending = tuple(f"new-{number}" for number in range(min(newcomer_count, n)))
    next_owners = (*owners[len(pending) :], *pending)
    everybody = (*owners, *pending)
    subsets = chain.from_iterable(combinations(everybody, size) for size in range(len(everybody) + 1))
    for answering in subsets:
        for r in range(1, n + 1):
            quorum = JointQuorum(r, n, pending, next_owners)
            for replica in answering:
                quorum.add(replica)
            quorum.miss([each for each in everybody if each not in answering])
            assert quorum.met != quorum.lost
            assert quorum.got == [each for each in answering if each in owners]
            least_w = max(n - r + 1, -(-n // 2))
            writes = [*combinations(owners, least_w), *combinations(next_owners, least_w)]
            if quorum.met:
                assert all(set(write) & set(answering) for write in writes)
            elif len(quorum.got) >= r:
                assert not all(set(write) & set(answering) for write in writes), (
                    "it asks for more than it must"
                )
