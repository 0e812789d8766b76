"""Deeds: read from two states of a supervisor, repeated by its commands; whatever else a file says is no command."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from kvnode.cluster.contract import Bandwidth, Command, Cut, Delay, Kill, Skew, name_of
from traffic.nodes.supervisor import NodeState, Refused, State, Supervisor
from traffic.runs.faults import FAULT_ACTIONS, Repeating, command_of, fault_actions
from traffic.runs.recording import Fault

Run = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]

NAMES = ("node-1", "node-2", "node-3")
CUT = {"cut": True}


def state(**nodes: dict[str, Any]) -> State:
    """Three nodes, of which some are not as usual: state(node_2={"state": "dead"})."""
    return State(
        [NodeState(name, f"http://{name}", **nodes.get(name.replace("-", "_"), {})) for name in NAMES]
    )


def done(before: State | None, now: State) -> list[tuple[str, ...]]:
    return [(fault.what, *fault.nodes) for fault in fault_actions(before, now, at_s=1.5)]


@pytest.mark.parametrize(
    ("before", "now", "what"),
    [
        ({}, {}, []),
        ({}, {"state": "dead", "reason": "killed"}, ["kill"]),
        ({}, {"state": "dead", "wiped": True}, ["wipe"]),
        (
            {"state": "dead", "reason": "killed"},
            {"state": "dead", "wiped": True},
            ["wipe"],
        ),
        ({"state": "dead"}, {"state": "dead"}, []),
        ({"state": "dead"}, {"state": "starting", "restarts": 1}, ["restart"]),
        ({"state": "starting", "restarts": 1}, {"restarts": 1}, []),
        ({"state": "dead"}, {"restarts": 1}, ["restart"]),
        ({}, {"restarts": 1}, ["restart"]),  # between two looks
        ({"state": "dead"}, {"state": "dead", "restarts": 1}, ["restart", "kill"]),
        ({}, {"state": "paused"}, ["pause"]),
        ({"state": "paused"}, {"state": "paused"}, []),
        ({"state": "paused"}, {}, ["resume"]),
        ({"state": "paused"}, {"state": "dead"}, ["kill"]),
        ({"state": "paused"}, {"restarts": 1}, ["restart"]),
        ({}, {"clock_skew_ms": 5000.0}, ["skew"]),
        ({"disk_delay_ms": 20.0}, {}, ["slow-disk"]),
    ],
)
def test_what_was_done_to_a_node(before: dict[str, Any], now: dict[str, Any], what: list[str]) -> None:
    assert done(state(node_2=before), state(node_2=now)) == [(one, "node-2") for one in what]


def test_what_was_done_to_links() -> None:
    well = state()
    alone = state(
        node_1={"rules": {"node-3": CUT}},
        node_2={"rules": {"node-3": CUT}},
        node_3={"rules": {"node-1": CUT, "node-2": CUT}},
    )
    half = state(node_1={"rules": {"node-3": CUT}}, node_3={"rules": {"node-1": CUT}})
    one_way = state(node_2={"rules": {"node-1": CUT}})
    assert done(well, alone) == [("cut", "node-1", "node-3"), ("cut", "node-2", "node-3")]
    assert done(half, alone) == [("cut", "node-2", "node-3")]
    assert done(alone, half) == [("heal",), ("cut", "node-1", "node-3")]
    assert done(alone, well) == [("heal",)]
    assert done(well, one_way) == [("cut-one-way", "node-2", "node-1")]
    assert done(alone, alone) == []


def test_cuts_that_go_while_delays_stay_are_no_healing() -> None:
    slow = {"delay_ms": 50.0}
    both = state(node_1={"rules": {"node-2": {**slow, **CUT}}}, node_2={"rules": {"node-1": {**slow, **CUT}}})
    delayed = state(node_1={"rules": {"node-2": slow}}, node_2={"rules": {"node-1": slow}})
    assert done(both, delayed) == [("reconnect",)]
    assert done(both, state()) == [("heal",), ("delay", "node-1", "node-2")]


def test_a_delay_is_told_with_its_figures_and_beside_cuts() -> None:
    slow = {"delay_ms": 50.0, "distribution": "long-tailed"}
    both = state(node_1={"rules": {"node-2": slow}}, node_2={"rules": {"node-1": {**slow, "cut": True}}})
    found = fault_actions(state(), both, at_s=2.0)
    assert [(fault.what, fault.nodes) for fault in found] == [
        ("cut-one-way", ["node-2", "node-1"]),
        ("delay", ["node-1", "node-2"]),
    ]
    assert found[1].figures == slow
    [gone, _] = reversed(fault_actions(both, state(), at_s=3.0))
    assert (gone.what, gone.figures) == ("delay", {"delay_ms": 0.0})


def test_a_bandwidth_is_an_action_of_its_own_beside_a_delay_and_is_done_again() -> None:
    rule = {"delay_ms": 50.0, "bytes_per_s": 2000.0}
    narrow = state(node_1={"rules": {"node-2": rule}}, node_2={"rules": {"node-1": rule}})
    limited, slowed = fault_actions(state(), narrow, at_s=2.0)
    assert (limited.what, limited.nodes, limited.figures) == (
        "bandwidth",
        ["node-1", "node-2"],
        {"bytes_per_s": 2000.0},
    )
    assert (slowed.what, slowed.figures) == ("delay", {"delay_ms": 50.0})
    assert command_of(limited) == Bandwidth(2000.0, ("node-1", "node-2"))
    gone = fault_actions(narrow, state(node_1={"rules": {"node-2": {"delay_ms": 50.0}}}), at_s=3.0)
    assert [command_of(fault) for fault in gone] == [Bandwidth(0.0, ("node-1", "node-2"))]


def test_at_the_first_look_everything_that_is_wrong_was_done_before() -> None:
    assert done(None, state(node_1={"restarts": 3}, node_2={"state": "paused"})) == [("pause", "node-2")]


def test_every_deed_has_its_command() -> None:
    def command(what: str, *nodes: str, **figures: float | str) -> Any:
        return command_of(Fault(t_s=0, what=what, nodes=list(nodes), figures=figures))

    commands = {
        "kill": command("kill", "node-2"),
        "wipe": command("wipe", "node-2"),
        "pause": command("pause", "node-2"),
        "resume": command("resume", "node-2"),
        "restart": command("restart", "node-2"),
        "cut": command("cut", "node-1", "node-2"),
        "cut-one-way": command("cut-one-way", "node-1", "node-2"),
        "heal": command("heal"),
        "reconnect": command("reconnect"),
        "delay": command("delay", "node-1", "node-2", delay_ms=50.0),
        "bandwidth": command("bandwidth", "node-1", "node-2", bytes_per_s=2000.0),
        "skew": command("skew", "node-2", ms=-5.0),
        "slow-disk": command("slow-disk", "node-2", ms=20.0),
    }
    assert set(commands) == set(FAULT_ACTIONS)
    assert commands["kill"] == Kill(["node-2"])
    assert commands["cut"] == Cut("node-1", "node-2", both_ways=True)
    assert commands["cut-one-way"] == Cut("node-1", "node-2", both_ways=False)
    assert commands["skew"] == Skew("node-2", -5.0)
    assert commands["delay"] == Delay(50.0, nodes=("node-1", "node-2"))


@pytest.mark.parametrize(
    "fault",
    [
        Fault(t_s=0, what="kill", nodes=["node-1"], source="seen"),
        Fault(t_s=0, what="dead", nodes=["node-1"]),
        Fault(t_s=0, what="start_sidecar", nodes=["/bin/sh"]),
        Fault(t_s=0, what="stop"),
        Fault(t_s=0, what="kill"),
        Fault(t_s=0, what="cut", nodes=["node-1"]),
        Fault(t_s=0, what="delay", nodes=["node-1"], figures={"delay_ms": 5.0}),
    ],
)
def test_what_is_no_deed_is_no_command(fault: Fault) -> None:
    assert command_of(fault) is None


class Told(Supervisor):
    """Notes what it is told, and when; restarts take a second, and some things it refuses."""

    def __init__(self) -> None:
        super().__init__(dict)
        self.commands: list[tuple[float, str]] = []

    async def tell(self, command: Command) -> None:
        self.commands.append((asyncio.get_running_loop().time(), name_of(command)))
        if name_of(command) == "restart":
            await asyncio.sleep(1)
        if name_of(command) == "wipe":
            raise Refused("node-9: there is no such node")


@pytest.mark.parametrize("speed", [1.0, 2.0])
def test_deeds_are_repeated_at_their_times(
    in_virtual_time: Run, capsys: pytest.CaptureFixture[str], speed: float
) -> None:
    faults = [
        Fault(t_s=9.0, what="resume", nodes=["node-1"]),
        Fault(t_s=2.0, what="kill", nodes=["node-2"]),
        Fault(t_s=2.4, what="dead", nodes=["node-2"], source="seen"),
        Fault(t_s=5.0, what="restart", nodes=["node-2"]),
        Fault(t_s=5.1, what="pause", nodes=["node-1"]),
        Fault(t_s=6.0, what="wipe", nodes=["node-9"]),
    ]

    async def main() -> None:
        supervisor, clock = Told(), asyncio.get_running_loop().time
        repeating = Repeating(faults, supervisor, speed=speed, clock=clock)
        assert repeating.left == 5
        began_s = clock()
        await repeating.run()
        assert repeating.left == 0
        told = [(round((at_s - began_s) * speed, 2), what) for at_s, what in supervisor.commands]
        assert told == [(2.0, "kill"), (5.0, "restart"), (5.1, "pause"), (6.0, "wipe"), (9.0, "resume")]

    in_virtual_time(main)
    assert capsys.readouterr().err == (
        "traffic: wipe node-9, recorded at 6 s, was not repeated: node-9: there is no such node\n"
    )
