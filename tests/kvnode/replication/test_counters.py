"""Counters through whole nodes: how much one holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kvnode.config import ACTOR_COUNT_MAX, COUNTER_TOTAL_MAX
from kvnode.operations import Add
from kvnode.records.records import encode_state
from kvnode.versions import PnCounter

Play = Callable[..., None]


def test_a_nodes_own_counter_steps_stop_at_what_every_reader_can_hold(play: Play) -> None:
    """1. Each step of a counter is bounded, their sum was not. 2. Beyond 2**64 it could not be encoded any more:

    a 500, and for a forwarded request the end of the node.
    """

    async def scenario(components: Any) -> None:
        assert (await components.ask("node-1", Add("k", None, COUNTER_TOTAL_MAX, 0)))[0] == 200
        status, problem = await components.ask("node-1", Add("k", None, 1, 0))
        assert status == 409
        assert str(COUNTER_TOTAL_MAX) in problem["detail"]

    play(scenario)


def test_a_counter_with_too_many_actors_still_takes_totals_of_those_it_has(play: Play) -> None:
    """1. Two coordinators each let in the last actor below the bound. 2. Merged, the counter is beyond it.

    3. Every further total was refused for ever, since entries are never removed. Now only new actors are.
    """

    async def scenario(components: Any) -> None:
        entries = tuple((f"actor-{number:05}", 1, 0) for number in range(ACTOR_COUNT_MAX + 1))
        done: list[bool] = []
        components.nodes["node-1"].records.merge_in(
            "counter", "k", encode_state(PnCounter(entries)), done.append
        )
        await components.until(lambda: bool(done))
        assert (await components.ask("node-1", Add("k", "one too many", 1, 0)))[0] == 409
        assert (await components.ask("node-1", Add("k", "actor-00000", 2, 0)))[0] == 200

    play(scenario)
