"""A real link on this computer: what its rule does to messages on their way."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable

from kvnode.config import LINK_QUEUE_BYTES_MAX, STRANGERS_MAX, ClusterConfig, MaintenanceConfig, NodeAddress
from kvnode.faults import LinkRule
from kvnode.messages import Message, Ping
from kvnode.net.links import HELLO_S_MAX
from kvnode.net.peers import PeerNetwork


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Pair:
    """node-1, which sends, and node-2, which notes what arrives and when."""

    def __init__(self, maintenance: MaintenanceConfig = MaintenanceConfig()) -> None:  # noqa: B008 - it is frozen
        ports = free_port(), free_port()
        config = ClusterConfig(
            cluster="lab",
            cluster_id="0" * 32,
            replicas=2,
            partitions=256,
            secret="a-secret-of-this-pair",
            maintenance=maintenance,
            nodes=tuple(NodeAddress(f"node-{i + 1}", "127.0.0.1", 1 + i, ports[i]) for i in range(2)),
        )
        self.sender, self.receiver = (
            PeerNetwork(config, f"node-{i + 1}", random.Random(i), lambda *words, **facts: None)
            for i in range(2)
        )
        self.ports = ports
        self.arrived: list[tuple[str, float]] = []
        self.receiver.on_message = self._note

    def _note(self, peer: str, message: Message) -> None:
        assert isinstance(message, Ping)
        self.arrived.append((message.for_node, asyncio.get_running_loop().time()))

    async def __aenter__(self) -> Pair:
        await self.receiver.start("127.0.0.1", self.ports[1])
        await self.sender.start("127.0.0.1", self.ports[0])
        await self.until(lambda: self.sender.links["node-2"].connected)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.sender.stop()
        await self.receiver.stop()

    async def until(self, condition: Callable[[], object]) -> None:
        for _ in range(1000):
            if condition():
                return
            await asyncio.sleep(0.005)
        raise AssertionError("not within 5 s")


def test_a_delay_is_added_once_and_in_one_direction() -> None:
    async def run() -> None:
        async with Pair() as pair:
            pair.sender.set_rules({"node-2": LinkRule(delay_ms=80.0)})
            sent_s = asyncio.get_running_loop().time()
            pair.sender.send("node-2", Ping("one", ()))
            await pair.until(lambda: pair.arrived)
            assert 0.078 <= pair.arrived[0][1] - sent_s < 0.5

    asyncio.run(run())


def test_scattered_delays_let_messages_overtake_and_lose_none() -> None:
    async def run() -> None:
        async with Pair() as pair:
            pair.sender.set_rules({"node-2": LinkRule(delay_ms=20.0, distribution="exponential")})
            sent = [f"{number:03}" for number in range(200)]
            for name in sent:
                pair.sender.send("node-2", Ping(name, ()))
            await pair.until(lambda: len(pair.arrived) == len(sent))
            arrived = [name for name, _ in pair.arrived]
            assert sorted(arrived) == sent
            assert arrived != sent

    asyncio.run(run())


def test_messages_that_wait_for_their_time_are_bounded_too() -> None:
    """The story: 1. a link is 10 s slow. 2. A node sends as fast as it can. 3. What is on its way lies in memory."""

    async def run() -> None:
        async with Pair() as pair:
            link = pair.sender.links["node-2"]
            pair.sender.set_rules({"node-2": LinkRule(delay_ms=10_000.0)})
            payload = bytes(1024 * 1024)
            for _ in range(3 * LINK_QUEUE_BYTES_MAX // len(payload)):
                link.send(payload)
            assert link.queued_bytes <= LINK_QUEUE_BYTES_MAX + len(payload)
            assert link.dropped_count > 0

    asyncio.run(run())


class LostTransport(asyncio.Transport):
    """uvloop's between the moment when the kernel reports a reset and the moment when the protocol hears of it."""

    def is_closing(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: object) -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")


def test_a_connection_lost_in_the_turn_of_a_send_does_not_crash_the_sender() -> None:
    """The story: 1. node-2 is killed under load. 2. node-1 sees the reset. 3. In that same turn of the loop it still
    has messages for node-2 and flushes them. 4. uvloop raised, and node-1 crashed as for a broken invariant; so one
    death took the others along."""

    async def run() -> None:
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: faults.append(context))
        async with Pair() as pair:
            link = pair.sender.links["node-2"]
            connected = link._transport
            link._transport = LostTransport()
            pair.sender.send("node-2", Ping("late", ()))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            link._transport = connected
        assert faults == []

    asyncio.run(run())


def test_what_lay_in_the_socket_for_too_long_is_refused_and_what_follows_is_not() -> None:
    """The story: 1. node-2 stands still. 2. node-1 sends it a value, which lies in the socket. 3. Meanwhile the value
    is deleted, and the tombstone swept. 4. node-2 goes on and reads what it was sent, long ago."""

    async def run() -> None:
        async with Pair(MaintenanceConfig(message_age_s_max=1.0)) as pair:
            pair.sender.send("node-2", Ping("first", ()))
            await pair.until(lambda: pair.arrived)
            [incoming] = [each for each in pair.receiver.incoming if each._transport is not None]
            assert incoming._transport is not None
            incoming._transport.pause_reading()
            pair.sender.send("node-2", Ping("old", ()))
            await asyncio.sleep(0.7)
            incoming._transport.resume_reading()
            await pair.until(lambda: pair.receiver.refused_count)

            def is_heard_again() -> bool:  # once the sender has heard a new moment of the listener's clock
                pair.sender.send("node-2", Ping("new", ()))
                return len(pair.arrived) > 1

            await pair.until(is_heard_again)
            assert {name for name, _ in pair.arrived} == {"first", "new"}

    asyncio.run(run())


def test_a_link_that_is_silent_for_long_still_carries_the_next_message() -> None:
    async def run() -> None:
        async with Pair(MaintenanceConfig(message_age_s_max=0.5)) as pair:
            await asyncio.sleep(1.0)
            pair.sender.send("node-2", Ping("after a silence", ()))
            await pair.until(lambda: pair.arrived)
            assert pair.receiver.refused_count == 0

    asyncio.run(run())


def test_strangers_who_say_nothing_are_few_and_keep_nobody_out() -> None:
    """Each might hold a connection for five seconds; the oldest of too many is cut, so that a peer still gets in."""

    async def run() -> None:
        async with Pair() as pair:
            strangers = [
                await asyncio.open_connection("127.0.0.1", pair.ports[1]) for _ in range(STRANGERS_MAX + 20)
            ]
            began_s = asyncio.get_running_loop().time()
            await pair.until(lambda: len(pair.receiver.incoming) <= STRANGERS_MAX + 1)
            assert asyncio.get_running_loop().time() - began_s < HELLO_S_MAX / 2, "not for want of a hello"
            pair.sender.send("node-2", Ping("known", ()))
            await pair.until(lambda: pair.arrived)
            before = next(each for each in pair.receiver.incoming if each._peer is not None)
            before.close()
            await pair.until(lambda: before not in pair.receiver.incoming)
            await pair.until(
                lambda: (
                    pair.sender.links["node-2"].connected
                    and any(each._peer == "node-1" for each in pair.receiver.incoming)
                )
            )
            for _, writer in strangers:
                writer.close()

    asyncio.run(run())
