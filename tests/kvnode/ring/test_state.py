"""The ring's state: what a change is, and where it leads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.config import ClusterConfig, ConfigError, NodeAddress
from kvnode.ring import MOVING, STABLE, Placement, RingState


def address(n: int) -> NodeAddress:
    return NodeAddress(f"node-{n}", "127.0.0.1", 9998 + n, 19_998 + n)


def stable(count: int, epoch: int = 1) -> RingState:
    return RingState(epoch, tuple(address(n) for n in range(1, count + 1)))


def placement(state: RingState, node: str = "node-1", partitions: int = 256) -> Placement:
    return Placement(state, node=node, replicas=3, partitions=partitions)


def test_a_join_and_its_end() -> None:
    moving = stable(3).join(address(4))
    assert (moving.epoch, moving.phase, moving.change) == (2, MOVING, "node-4 is joining")
    assert (moving.names, moving.next_names) == (stable(3).names, stable(4).names)
    done = moving.completed()
    assert (done.epoch, done.phase, done.names, done.note) == (
        3,
        STABLE,
        stable(4).names,
        "node-4 has joined",
    )
    assert done.before == stable(3).names


def test_a_leave_that_is_called_off_keeps_the_members_and_says_why() -> None:
    moving = stable(4).leave("node-2")
    assert (moving.change, moving.leaving, moving.joining) == ("node-2 is leaving", "node-2", None)
    assert stable(4).leave("node-2", forced=True).change == "node-2 is being removed"
    off = moving.called_off("node-3 died")
    assert (off.epoch, off.names, off.phase) == (3, stable(4).names, STABLE)
    assert off.note == "the leave of node-2 was called off: node-3 died"


@pytest.mark.parametrize("count", range(3, 9))
def test_a_change_moves_at_most_one_and_a_half_times_one_nodes_share_and_says_so(count: int) -> None:
    joining = stable(count).join(address(count + 1))
    for state in (joining, joining.completed()):
        moved = placement(state).moved()
        assert moved is not None
        assert moved["times_ideal"] <= 1.5
    for leaver in stable(count + 1).names:
        moved = placement(stable(count + 1).leave(leaver)).moved()
        assert moved is not None
        assert moved["times_ideal"] <= 1.5, leaver


@given(st.integers(3, 8), st.integers(1, 9), st.booleans())
def test_pending_owners_are_the_next_owners_that_are_none_yet(count: int, which: int, joins: bool) -> None:
    state = stable(count)
    moving = state.join(address(count + 1)) if joins else state.leave(f"node-{1 + which % count}")
    now, after = placement(moving, partitions=32), placement(moving.completed(), partitions=32)
    assert now.preference_lists == placement(state, partitions=32).preference_lists, (
        "reads stay where they were"
    )
    for partition in range(32):
        holders, owners = now.holders(partition), now.preference_lists[partition]
        assert set(after.preference_lists[partition]) <= set(holders)
        assert len(set(holders)) == len(holders)
        assert set(holders) - set(owners) == set(after.preference_lists[partition]) - set(owners)
    assert after.pending_lists is None


def test_who_is_joining_is_no_member() -> None:
    config = ClusterConfig(
        "c", "id", (address(1), address(2), address(3)), joining=("node-3",), epoch=5, secret="s" * 16
    ).check()
    state = RingState.of(config)
    assert (state.epoch, state.names) == (5, ("node-1", "node-2"))
    assert not placement(state, "node-3").is_member


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"joining": ("node-9",)}, "joining: 'node-9' is not among the nodes"),
        ({"joining": ("node-1",)}, "all nodes are joining"),
        ({"epoch": 0}, "epoch: 0 given"),
    ],
)
def test_a_cluster_file_that_makes_no_sense_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ClusterConfig("c", "id", (address(1),), **changes).check()  # type: ignore[arg-type]


def test_a_state_that_breaks_its_invariants_is_noticed() -> None:
    three = stable(3)
    assert all(state.is_whole for state in (three, three.join(address(4)), three.leave("node-2")))
    members = three.members
    assert not RingState(1, ()).is_whole
    assert not RingState(1, members[:1], ()).is_whole
    assert not RingState(1, members, members).is_whole
    assert not RingState(1, members, (address(4), address(5))).is_whole
    assert not RingState(1, members[::-1]).is_whole
    assert not RingState(1, (*members, members[-1])).is_whole
