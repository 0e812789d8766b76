"""A refusal that says `definite` has written nothing: once anything was sent or stored, no refusal says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kvnode.config import NodeAddress
from kvnode.messages import KV, Fetch, StoreRecord
from kvnode.operations import Add, Get, Put
from kvnode.replication.replica_plan import ReplicaPlan

Play = Callable[..., None]


@pytest.mark.parametrize("write", [lambda key: Put(key, b"1", w=3), lambda key: Add(key, "actor", 1, 0, w=3)])
def test_a_write_that_was_sent_before_the_ring_changed_is_refused_indefinitely(
    play: Play, write: Any
) -> None:
    """1. node-1 sends a write by the old ring; node-3 stores it. 2. node-2 answers that node-4 is joining. 3. node-1
    begins again, finds that node-4 is dead, and refuses. That was a definite refusal of a write that is there."""

    async def scenario(components: Any) -> None:
        node = components.nodes["node-1"]
        state = node.ring.state.join(NodeAddress("node-4", "127.0.0.1", 1, 1))
        components.nodes["node-2"].dissemination.adopt(state)
        ring = components.nodes["node-2"].ring
        key = next(f"k{number}" for number in range(100) if ring.pending(f"k{number}"))
        node.members.state = lambda peer: "dead" if peer == "node-4" else "alive"
        status, problem = await components.ask("node-1", write(key))
        assert (status, problem["definite"]) == (503, False)
        assert "node-4, known to be dead, takes the partition over" in problem["detail"]
        kinds = {
            message.kind for _, _, message in components.wire.carried if isinstance(message, StoreRecord)
        }
        assert kinds and components.nodes["node-3"].records.durable(kinds.pop(), key) is not None
        status, problem = await components.ask("node-1", write(key))
        assert (status, problem["definite"]) == (503, True), "of this one nothing was sent"

    play(scenario)


def test_a_write_that_found_no_quorum_is_refused_indefinitely_whoever_refused(play: Play) -> None:
    async def scenario(components: Any) -> None:
        components.disks["node-2"].full = components.disks["node-3"].full = True
        status, problem = await components.ask("node-1", Put("k", b"1"))
        assert (status, problem["definite"], problem["got"]) == (503, False, 1)
        assert components.nodes["node-1"].records.durable(KV, "k") is not None, (
            "it is there, and may come to be read"
        )
        status, problem = await components.ask("node-1", Add("k", "actor", 1, 0))
        assert (status, problem["definite"]) == (503, False)

    play(scenario)


def test_a_write_that_meets_one_new_ring_after_another_is_refused_indefinitely() -> None:
    plan = ReplicaPlan(1, 2, 3, True, ["node-2", "node-3"], [], (), {})
    assert not plan.restless("W").definite
    assert plan.restless("R").definite, "a read writes nothing"


def test_a_read_that_found_no_quorum_has_written_nothing(play: Play) -> None:
    async def scenario(components: Any) -> None:
        components.wire.drops = lambda sender, receiver, message: isinstance(message, Fetch)
        status, problem = await components.ask("node-1", Get("k", r=3))
        assert (status, problem["definite"]) == (503, True)

    play(scenario)
