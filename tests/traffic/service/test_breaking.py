"""From a body to the supervisor's command, and from its state to sentences about what is broken."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kvnode.cluster.contract import command_from
from traffic.nodes.supervisor import NodeState, State, Topology
from traffic.service.breaking import ACTIONS, Failure, broken, command_of, snapshot

THREE = ("node-1", "node-2", "node-3")


def state_of(**nodes: dict[str, Any]) -> State:
    """node_2={"state": "dead"} and so on; who is not named is well."""
    named = {name.replace("_", "-"): facts for name, facts in nodes.items()}
    return State([NodeState(name, f"http://{name}", **named.get(name, {})) for name in THREE], socket="/s")


def cut(*peers: str) -> dict[str, Any]:
    return {"rules": {peer: {"cut": True} for peer in peers}}


COMMANDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"action": "kill", "node": "node-2"}, {"command": "kill", "nodes": ["node-2"]}),
    ({"action": "pause", "node": "node-2"}, {"command": "pause", "nodes": ["node-2"]}),
    ({"action": "resume", "node": "node-2"}, {"command": "resume", "nodes": ["node-2"]}),
    ({"action": "restart", "node": "node-2"}, {"command": "restart", "nodes": ["node-2"]}),
    ({"action": "isolate", "node": "node-2"}, {"command": "isolate", "node": "node-2"}),
    (
        {"action": "partition", "groups": [["node-1", "node-2"], ["node-3"]]},
        {"command": "partition", "groups": [["node-1", "node-2"], ["node-3"]]},
    ),
    ({"action": "heal"}, {"command": "heal", "node": None}),
    (
        {"action": "delay", "delay_ms": 50},
        {"command": "delay", "ms": 50.0, "jitter_ms": 0.0, "loss": 0.0, "distribution": "fixed", "nodes": None},
    ),
    (
        {"action": "bandwidth", "bytes_per_s": 2000},
        {"command": "bandwidth", "bytes_per_s": 2000.0, "nodes": None},
    ),
    (
        {"action": "topology", "name": "three-regions", "factor": 0.5},
        {"command": "topology", "name": "three-regions", "factor": 0.5},
    ),
    ({"action": "reset"}, {"command": "reset"}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "command"), COMMANDS, ids=[body["action"] for body, _ in COMMANDS])
def test_every_action_becomes_a_command(body: Any, command: Any) -> None:
    failure = msgspec.json.decode(msgspec.json.encode(body), type=Failure)
    assert command_of(failure) == command_from(msgspec.json.encode(command))


def test_every_action_is_tried_here() -> None:
    assert {body["action"] for body, _ in COMMANDS} == set(ACTIONS)


@pytest.mark.parametrize(
    "body",
    [{}, {"action": "stop"}, {"action": "kill"}, {"action": "kill", "node": 2}, {"action": "heal", "node": "node-1"}],
)  # fmt: skip
def test_anything_else_is_refused(body: Any) -> None:
    with pytest.raises(msgspec.MsgspecError):
        msgspec.json.decode(msgspec.json.encode(body), type=Failure)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (state_of(), []),
        (state_of(node_2={"state": "dead", "reason": "killed"}), ["node-2 is dead (killed)"]),
        (state_of(node_2={"state": "paused"}), ["node-2 is paused"]),
        (
            state_of(node_1=cut("node-3"), node_2=cut("node-3"), node_3=cut("node-1", "node-2")),
            ["node-3 is cut off from all other nodes"],
        ),
        (
            state_of(
                node_1=cut("node-2", "node-3"), node_2=cut("node-1", "node-3"), node_3=cut("node-1", "node-2")
            ),
            [f"{name} is cut off from all other nodes" for name in THREE],
        ),
        (
            state_of(node_1=cut("node-2"), node_2=cut("node-1")),
            ["node-1 and node-2 are cut off from each other"],
        ),
        (state_of(node_1=cut("node-2")), ["what node-1 sends to node-2 is lost"]),
        (
            State(
                [
                    NodeState(one, "", rules={peer: {"delay_ms": 50.0} for peer in THREE if peer != one})
                    for one in THREE
                ]
            ),
            ["every link: 50 ms slower each way"],
        ),
        (
            state_of(node_1={"rules": {"node-2": {"delay_ms": 5.0, "jitter_ms": 1.0, "loss": 0.25}}}),
            ["node-1 to node-2: 5 ms slower each way, give or take 1 ms, 25% of the messages lost"],
        ),
        (
            state_of(node_3={"clock_skew_ms": -250.0, "disk_delay_ms": 100.0}),
            ["the clock of node-3 is -250 ms off", "each sync of node-3's disk takes 100 ms longer"],
        ),
        (
            State(
                [NodeState(name, "", rules={"node-1": {"delay_ms": 37.5}}) for name in THREE[1:]],
                topology=Topology({"node-1": "London", "node-2": "Tokyo"}, "three-regions"),
            ),
            ["the nodes lie far apart: node-1 in London, node-2 in Tokyo"],
        ),
    ],
)
def test_what_is_broken_is_said_in_sentences(state: State, says: list[str]) -> None:
    assert [one["says"] for one in broken(state)] == says


def test_each_trouble_names_what_mends_it() -> None:
    state = state_of(node_1={"state": "dead"}, node_2={"state": "paused"}, node_3=cut("node-1"))
    assert [one["mend"] for one in broken(state)] == ["restart", "resume", "heal"]


def test_without_a_supervisor_nothing_is_known() -> None:
    assert snapshot(None)["known"] is False
    assert snapshot(state_of())["known"] is True
