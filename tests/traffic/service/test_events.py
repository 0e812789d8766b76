"""What has happened to the cluster, in words, the newest first, and bounded."""

from __future__ import annotations

import pytest

from traffic.nodes.supervisor import NodeState, State
from traffic.service.events import EVENTS_MAX, SHOWN, Events

WELL = {"node-1": "alive", "node-2": "alive"}


def state_of(state: str = "running", *, restarts: int = 0, delay_ms: float = 0.0) -> State:
    rule: dict[str, float | bool | str] = {"delay_ms": delay_ms}
    return State(
        [
            NodeState("node-1", "", rules={"node-2": rule} if delay_ms else {}),
            NodeState("node-2", "", state, restarts=restarts, rules={"node-1": rule} if delay_ms else {}),
        ]
    )


def says(events: Events) -> list[str]:
    return [one["says"] for one in events.shown()]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("suspect", "node-2 is suspected by the others"),
        ("dead", "node-2 is dead to the others"),
        ("unreachable", "node-2 does not answer"),
        ("cut off", "node-2 is cut off from the others"),  # said "node-2: cut off 0 ms"
    ],
)
def test_whatever_becomes_of_a_node_is_told_in_words(state: str, words: str) -> None:
    events = Events()
    events.look(None, WELL, at_ms=1, at_s=0.1)
    events.look(None, {**WELL, "node-2": state}, at_ms=2, at_s=0.2)
    assert says(events) == [words]


def test_a_kill_and_what_became_of_it_are_told_newest_first() -> None:
    events = Events()
    events.look(state_of(), WELL, at_ms=1, at_s=0.1)
    assert events.shown() == []
    events.look(state_of("dead"), {**WELL, "node-2": "unreachable"}, at_ms=2, at_s=0.2)
    events.look(state_of("dead"), {**WELL, "node-2": "dead"}, at_ms=3, at_s=0.3)
    events.look(state_of("running", restarts=1), WELL, at_ms=4, at_s=0.4)
    assert says(events) == [
        "node-2 is alive again",
        "node-2 was restarted",
        "node-2 is dead to the others",
        "node-2 does not answer",
        "node-2 was killed",
    ]
    assert [one["done"] for one in events.shown()] == [False, True, False, False, True]


def test_a_node_that_joins_and_one_that_leaves_are_told() -> None:
    events = Events()
    events.look(None, WELL, at_ms=1, at_s=0.1)
    events.look(None, {**WELL, "node-3": "alive"}, at_ms=2, at_s=0.2)
    events.look(None, {"node-1": "alive", "node-3": "alive"}, at_ms=3, at_s=0.3)
    assert says(events) == ["node-2 left", "node-3 joined"]


def test_a_delay_of_all_links_is_one_event() -> None:
    events = Events()
    events.look(state_of(), WELL, at_ms=1, at_s=0.1)
    events.look(state_of(delay_ms=50.0), WELL, at_ms=2, at_s=0.2)
    assert says(events) == ["links of node-1 and node-2: 50 ms slower each way"]
    events.look(state_of(), WELL, at_ms=3, at_s=0.3)
    assert says(events)[0] == "links of node-1 and node-2: as fast as ever"


def test_it_stays_bounded_and_a_report_gets_times_of_its_series() -> None:
    events = Events()
    for number in range(2 * EVENTS_MAX):
        state = state_of("dead" if number % 2 else "running", restarts=number // 2)
        events.look(state, WELL, at_ms=number, at_s=number / 10)
    assert len(events.faults(0.0)) == EVENTS_MAX
    assert len(events.shown()) == SHOWN
    assert events.faults(10.0)[-1].t_s == round((2 * EVENTS_MAX - 1) / 10 - 10.0, 3)
