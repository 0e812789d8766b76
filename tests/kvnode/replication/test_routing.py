"""Routing through whole nodes: a request that was forwarded is coordinated once, though the network may double it."""

import asyncio

import pytest

from kvnode.operations import Add, Count
from kvnode.replication import routing
from kvnode.replication.routing import DuplicateFilter
from kvnode.sim import network
from kvnode.sim.loop import run
from kvnode.sim.world import World


class _Clock:
    """A clock that stands where the test puts it."""

    def __init__(self) -> None:
        self.ms = 0.0

    def now_ms(self) -> float:
        return self.ms


def test_a_question_is_first_once_for_as_long_as_a_message_may_be_on_its_way() -> None:
    clock = _Clock()
    seen = DuplicateFilter(clock, age_ms_max=100.0)  # type: ignore[arg-type]
    assert seen.is_first("node-1", 7)
    assert seen.is_first("node-2", 7)
    for clock.ms in (0.0, 99.0, 100.0, 101.0, 150.0):
        assert not seen.is_first("node-1", 7), clock.ms
    assert seen.doubled_count == 5


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "ONCE_COUNT_MAX", 10)
    seen = DuplicateFilter(_Clock(), age_ms_max=100.0)  # type: ignore[arg-type]
    assert all(seen.is_first("node-1", id_) for id_ in range(25))
    assert len(seen) <= 20
    assert not seen.is_first("node-1", 24)


def test_an_increment_that_is_forwarded_counts_once_where_every_message_comes_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1. A client asks a node that holds no replica for {"increment": 1}.

    2. The request is forwarded, and the message comes twice. 3. It was coordinated twice: one request, two counts.
    (Found by moving-storm, seed 26.)
    """
    monkeypatch.setattr(network, "_DOUBLED_SHARE", 1.1)

    async def scenario() -> None:
        world = World(1, node_count=5)
        await world.start()
        for via in world.names:
            answer = await world.ask(via, Add("visits", None, 1, 0))
            assert answer is not None and answer[0] == 200, answer
        await asyncio.sleep(1.0)
        read = await world.ask("node-1", Count("visits", r=3))
        assert read is not None and read[1]["value"] == 5, read

    run(scenario())
