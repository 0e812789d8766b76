"""A narrow link of the simulated network: messages pass one after the other, each direction by itself."""

from __future__ import annotations

import asyncio
import random

import pytest

from kvnode.faults import LinkRule
from kvnode.messages import Message, Ping, encode
from kvnode.sim.gate import Gate
from kvnode.sim.loop import VirtualLoop
from kvnode.sim.network import SimNetwork, Trace

BIG = Ping("x" * 10_000, ())


async def arrivals_s(rule: LinkRule) -> dict[str, list[float]]:
    """When five messages each way arrive, of which only those to node-2 have this rule."""
    network = SimNetwork(random.Random(3), Trace())
    loop, heard = asyncio.get_running_loop(), dict[str, list[float]](a=[], b=[])
    for name in heard:

        def note(sender: str, message: Message, name: str = name) -> None:
            heard[name].append(loop.time() - began_s)

        network.attach(name, Gate(), note)
    network.rules["a", "b"] = rule
    began_s = loop.time()
    for _ in range(5):
        network.send("a", "b", BIG)
        network.send("b", "a", BIG)
    await asyncio.sleep(60)
    return heard


def test_messages_over_a_narrow_link_wait_for_those_before_them() -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        narrow = runner.run(arrivals_s(LinkRule(bytes_per_s=5000.0)))
        free = runner.run(arrivals_s(LinkRule()))
    each_s = len(encode(BIG)) / 5000.0
    assert narrow["b"][:5] == pytest.approx([each_s * (n + 1) for n in range(5)], abs=0.01)
    assert max(narrow["a"]) < 0.01, "the other direction is as fast as ever"
    assert max(free["b"]) < 0.01


async def after_a_flood_s() -> float:
    """How long a message takes 10 s after a hundred that would have needed 200 s."""
    network = SimNetwork(random.Random(3), Trace())
    network.message_age_s_max = 5.0
    loop, heard = asyncio.get_running_loop(), list[float]()
    for name in ("a", "b"):
        network.attach(name, Gate(), lambda sender, message: heard.append(loop.time()))
    network.rules["a", "b"] = LinkRule(bytes_per_s=5000.0)
    for _ in range(100):
        network.send("a", "b", BIG)
    await asyncio.sleep(10)
    heard.clear()
    sent_s = loop.time()
    network.send("a", "b", BIG)
    await asyncio.sleep(30)
    return heard[0] - sent_s


def test_what_would_come_too_late_takes_no_room() -> None:
    """As on a real link (net/links.py): else a flood would silence the link long after it."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(after_a_flood_s()) == pytest.approx(len(encode(BIG)) / 5000.0, abs=0.01)
