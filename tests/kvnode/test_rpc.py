"""Rounds of questions: each peer counts once, late and strange answers count for nothing, time ends them all."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from kvnode.messages import Answer, Fetch, Stored
from kvnode.rpc import Round, Rpc
from kvnode.runtime import Runtime
from kvnode.sim.loop import run


class Recorded(Round):
    """Writes down what it is told."""

    def __init__(self, *peers: str) -> None:
        super().__init__(peers, asyncio.get_running_loop().time() * 1000.0)
        self.got: list[str] = []
        self.ends: list[list[str]] = []

    def answered(self, peer: str, answer: Answer) -> None:
        self.got.append(peer)

    def ended(self, missing: list[str]) -> None:
        self.ends.append(missing)


class Clock:
    def now_ms(self) -> float:
        return asyncio.get_running_loop().time() * 1000.0

    def call_later_ms(self, delay_ms: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(delay_ms / 1000.0, callback)


class Network:
    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    def send(self, peer: str, message: Any) -> None:
        self.sent.append((peer, message))


def calls_with(network: Network, seed: int = 1) -> Rpc:
    return Rpc(Runtime(Clock(), network, None, random.Random(seed), None, None))  # type: ignore[arg-type]


def test_a_round_ends_when_all_have_answered_and_each_counts_once() -> None:
    async def scenario() -> None:
        rpc, round_ = calls_with(Network()), Recorded("node-2", "node-3")
        id_ = rpc.begin(round_)
        for peer in ("node-2", "node-2", "node-9", "node-3", "node-3"):
            rpc.answer(peer, Stored(id_))
        rpc.answer("node-2", Stored(id_ + 1))
        assert (round_.got, round_.ends, len(rpc)) == (["node-2", "node-3"], [[]], 0)
        await asyncio.sleep(10.0)
        assert round_.ends == [[]], "time does not end it again"

    run(scenario())


def test_time_ends_a_round_and_names_who_is_missing() -> None:
    async def scenario() -> None:
        rpc, round_ = calls_with(Network()), Recorded("node-2", "node-3")
        id_ = rpc.begin(round_, timeout_ms=500.0)
        rpc.answer("node-3", Stored(id_))
        await asyncio.sleep(0.45)
        assert round_.ends == []
        await asyncio.sleep(0.15)
        assert (round_.ends, len(rpc)) == ([["node-2"]], 0)
        rpc.answer("node-2", Stored(id_))
        assert round_.got == ["node-3"]

    run(scenario())


def test_rounds_of_different_patience_end_in_their_own_time() -> None:
    async def scenario() -> None:
        rpc = calls_with(Network())
        patient, hasty = Recorded("node-2"), Recorded("node-2")
        rpc.begin(patient, timeout_ms=2000.0)
        rpc.begin(hasty, timeout_ms=100.0)
        await asyncio.sleep(0.2)
        assert (hasty.ends, patient.ends) == ([["node-2"]], [])
        assert list(rpc.rounds) == [patient]
        await asyncio.sleep(2.0)
        assert patient.ends == [["node-2"]]

    run(scenario())


def test_asking_one_peer_gives_its_answer_or_a_timeout() -> None:
    async def scenario() -> None:
        network = Network()
        rpc = calls_with(network)
        asking = asyncio.ensure_future(rpc.ask("node-2", lambda id_: Fetch(id_, 0, "kv", "k", 1), 1000.0))
        await asyncio.sleep(0)
        ((peer, question),) = network.sent
        rpc.answer(peer, Stored(question.id))
        assert await asking == Stored(question.id)
        with pytest.raises(TimeoutError, match="node-2 did not answer in time"):
            await rpc.ask("node-2", lambda id_: Fetch(id_, 0, "kv", "k", 1), 300.0)

    run(scenario())


def test_peers_are_asked_in_turn_until_one_has_answered() -> None:
    async def scenario() -> None:
        network = Network()
        rpc = calls_with(network)

        def asking() -> asyncio.Future[Answer]:
            network.sent.clear()
            question = rpc.ask_in_turn(
                ("node-2", "node-3", "node-4"),
                lambda peer, id_: Fetch(id_, 0, "kv", "k", 1),
                pause_ms=500.0,
                timeout_ms=1300.0,
            )
            return asyncio.ensure_future(question)

        for answers in ("node-2", "node-3"):
            asked = asking()
            await asyncio.sleep(0.6)
            assert [peer for peer, _ in network.sent] == ["node-2", "node-3"]
            rpc.answer(answers, Stored(network.sent[0][1].id))
            assert await asked == Stored(network.sent[0][1].id)
            await asyncio.sleep(1.0)
            assert len(network.sent) == 2, "nobody is asked any more"
        with pytest.raises(TimeoutError, match="node-2, node-3, node-4 did not answer in time"):
            await asking()
        assert len({question.id for _, question in network.sent}) == 1
        assert len(rpc) == 0

    run(scenario())


def test_two_lives_of_a_node_use_different_ids() -> None:
    """See replication/test_write.py: an answer to an earlier life must fit no question of this one."""

    async def scenario() -> None:
        first = {calls_with(Network(), 1).begin(Recorded("node-2")) for _ in range(3)}
        second = {calls_with(Network(), 2).begin(Recorded("node-2")) for _ in range(3)}
        assert not first & second

    run(scenario())
