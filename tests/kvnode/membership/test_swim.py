"""Failure detection over whole nodes in virtual time: the dead are known soon, the living are not condemned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from kvnode.membership import ALIVE, DEAD, SUSPECT
from kvnode.messages import Ack, Ping

Play = Callable[..., None]


def beliefs(components: Any, about: str) -> set[str]:
    return {
        components.nodes[name].members.state(about) for name in components.wire.receivers if name != about
    }


def test_a_dead_node_is_known_to_all_in_about_two_seconds_and_welcome_when_it_is_back(play: Play) -> None:
    async def scenario(components: Any) -> None:
        await asyncio.sleep(3.0)
        known = components.nodes["node-1"].members.member("node-3").incarnation
        components.stop("node-3")
        started_s = asyncio.get_running_loop().time()
        await components.until(lambda: beliefs(components, "node-3") == {DEAD}, 3.0)
        assert asyncio.get_running_loop().time() - started_s > 1.0
        await components.start("node-3")
        await components.until(lambda: beliefs(components, "node-3") == {ALIVE}, 1.5)
        assert components.nodes["node-1"].members.member("node-3").incarnation > known

    play(scenario)


def test_one_bad_link_condemns_nobody(play: Play) -> None:
    async def scenario(components: Any) -> None:
        components.wire.drops = lambda sender, receiver, message: {sender, receiver} == {"node-1", "node-2"}
        for _ in range(200):
            await asyncio.sleep(0.1)
            assert components.nodes["node-1"].members.state("node-2") != DEAD
            assert components.nodes["node-2"].members.state("node-1") != DEAD

    play(scenario)


def test_a_node_too_busy_for_probes_but_not_for_work_is_alive(play: Play) -> None:
    async def scenario(components: Any) -> None:
        components.wire.drops = lambda sender, receiver, message: (
            sender == "node-3" and isinstance(message, Ack)
        )
        for _ in range(100):
            await asyncio.sleep(0.1)
            assert SUSPECT not in beliefs(components, "node-3"), "its own pings and answers are signs of life"
            components.wire.send("node-3", "node-1", Ping("node-3", ()))
            components.wire.send("node-3", "node-2", Ping("node-3", ()))

    play(scenario)


def test_two_halves_condemn_each_other_and_meet_again(play: Play) -> None:
    async def scenario(components: Any) -> None:
        components.isolate("node-1")
        await components.until(lambda: beliefs(components, "node-1") == {DEAD}, 5.0)
        await components.until(lambda: beliefs(components, "node-3") == {ALIVE, DEAD}, 5.0)
        await asyncio.sleep(20.0)
        components.heal()
        names = components.config.names
        await components.until(lambda: all(beliefs(components, name) == {ALIVE} for name in names), 3.0)

    play(scenario)


def test_round_trips_are_those_really_achieved(play: Play) -> None:
    async def scenario(components: Any) -> None:
        await asyncio.sleep(3.0)
        trip = components.nodes["node-1"].swim.round_trip("node-2")
        assert trip.samples > 2
        assert 0.39 < trip.p50_ms < 0.5

    play(scenario)
