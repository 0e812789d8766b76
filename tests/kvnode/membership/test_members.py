"""The member table: which news wins (Das et al. 2002, section 4.2), and what is spread."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.membership import ALIVE, DEAD, SUSPECT, Member, Members
from kvnode.messages import MemberNews

STATES = (ALIVE, SUSPECT, DEAD)
NAMES = ("node-1", "node-2", "node-3")


def table(changes: list[tuple[str, str]] | None = None, node: str = "node-1") -> Members:
    def on_change(before: Member, after: Member) -> None:
        if changes is not None:
            changes.append((before.state, after.state))

    members = Members(node, NAMES, incarnation=1, wall_ms=lambda: 1000.0)
    members.subscribe(on_change)
    return members


def believed(members: Members, name: str) -> tuple[str, int]:
    member = members.member(name)
    assert member is not None
    return member.state, member.incarnation


@pytest.mark.parametrize("known", STATES)
@pytest.mark.parametrize("news", STATES)
@pytest.mark.parametrize("newer_by", [-1, 0, 1])
def test_a_greater_incarnation_wins_and_at_the_same_one_the_worse_news(
    known: str, news: str, newer_by: int
) -> None:
    members = table()
    members.learn(MemberNews("node-2", known, 5))
    members.learn(MemberNews("node-2", news, 5 + newer_by))
    wins = newer_by > 0 or (newer_by == 0 and STATES.index(news) > STATES.index(known))
    assert believed(members, "node-2") == ((news, 5 + newer_by) if wins else (known, 5))


@given(st.lists(st.tuples(st.sampled_from(STATES), st.integers(0, 4)), max_size=8), st.randoms())
def test_tables_agree_whatever_the_order_in_which_news_came(
    lines: list[tuple[str, int]], chance: object
) -> None:
    one, other = table(), table()
    shuffled = list(lines) * 2
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    for members, order in ((one, lines), (other, shuffled)):
        for state, incarnation in order:
            members.learn(MemberNews("node-2", state, incarnation))
    assert believed(one, "node-2") == believed(other, "node-2")


@pytest.mark.parametrize("state", [SUSPECT, DEAD])
def test_a_member_refutes_news_of_its_own_suspicion_or_death_by_a_greater_incarnation(state: str) -> None:
    members = table()
    members.learn(MemberNews("node-1", state, 7))
    assert believed(members, "node-1") == (ALIVE, 8)
    assert MemberNews("node-1", ALIVE, 8) in members.gossip("node-2")


def test_old_news_of_its_own_death_is_refuted_again() -> None:
    """1. A node starts cut off from the others, which never hear its incarnation 1 and believe it dead at 0.

    2. Its first news of itself were all lost, and it stopped repeating them. 3. The link heals; the others tell it
    that it is dead at 0, which it ignored as old. 4. It stayed dead to them for ever, alive as it was.
    """
    members = table()
    while members.gossip("node-2"):
        pass
    members.learn(MemberNews("node-1", DEAD, 0))
    assert MemberNews("node-1", ALIVE, 1) in members.gossip("node-2")


def test_nobody_talks_this_node_into_its_own_death() -> None:
    changes: list[tuple[str, str]] = []
    members = table(changes)
    for state in STATES:
        for incarnation in range(4):
            members.learn(MemberNews("node-1", state, incarnation))
    assert members.state("node-1") == ALIVE
    assert changes == []


def test_news_of_strangers_and_states_unknown_are_ignored() -> None:
    members = table()
    members.learn(MemberNews("node-9", ALIVE, 1))
    members.learn(MemberNews("node-2", "undead", 9))
    assert len(members) == 3
    assert believed(members, "node-2") == (ALIVE, 0)
    assert members.state("node-9") == DEAD


def test_news_are_repeated_a_bounded_number_of_times_and_a_member_that_is_not_alive_is_always_told() -> None:
    members = table()
    members.learn(MemberNews("node-2", DEAD, 0))
    told = 0
    while MemberNews("node-2", DEAD, 0) in members.gossip("node-3"):
        told += 1
        assert told < 50
    assert told >= 3
    assert members.gossip("node-2") == (MemberNews("node-2", DEAD, 0),)


def test_since_moves_when_the_state_changes_and_not_with_the_incarnation_alone() -> None:
    times = iter([1.0, 2.0, 3.0])
    members = Members("node-1", NAMES, incarnation=1, wall_ms=lambda: next(times))
    members.learn(MemberNews("node-2", ALIVE, 3))
    member = members.member("node-2")
    assert member is not None and member.since == 1.0
    members.learn(MemberNews("node-2", SUSPECT, 3))
    member = members.member("node-2")
    assert member is not None and member.since == 2.0
