"""Messages to and from peers over TCP: one outgoing connection a peer, kept up for ever, and a listener.

Messages of one turn of the event loop leave in one write. While a peer is away, slow or paused, its queue is bounded
and what does not fit is dropped: runtime.Network promises nothing else. Link faults act on the sender's side.
The first frame of a connection says who calls (Hello); a stranger, or a node of another cluster, is cut off. Both sides
prove that they know the cluster's secret before a message passes (handshake.py). Until then a caller is a stranger: it
has little time and little room, and strangers together have no more.

No message is delivered that was sent long ago (it may have lain in the socket of a node that stood still): the listener
tells the dialer its own clock, over and over, and the dialer sends the last it heard ahead of its messages. What
follows was sent after that moment, so its age is known without comparing two computers' clocks.

Links come and go with the ring's members. A node of the cluster that is not a member (it is to join, or does not know
yet that it was removed) is answered over a link that lasts as long as its connection.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import cast

from kvnode.config import (
    FRAME_BYTES_MAX,
    HELLO_BYTES_MAX,
    NODE_COUNT_MAX,
    STRANGERS_MAX,
    ClusterConfig,
    NodeAddress,
)
from kvnode.faults import NO_FAULT, LinkRule
from kvnode.messages import UNDECODABLE, Hello, Message, Moment, Proof, Welcome, decode, encode
from kvnode.net.clock import passed_ms
from kvnode.net.frames import FrameError, FrameReader, frame
from kvnode.net.handshake import Handshake, challenge
from kvnode.net.links import HELLO_S_MAX, Link, LinkStats, Log
from kvnode.observe import DurationStats
from kvnode.runtime import Random

MOMENT_PERIOD_S_MAX = 1.0
OnMessage = Callable[[str, Message], None]


class _Incoming(asyncio.Protocol):
    """One accepted connection: a Hello, then messages of that peer.

    Invariant: what is delivered was sent after _fresh_ms, which is not long ago.
    """

    def __init__(self, network: PeerNetwork) -> None:
        self._network = network
        self._frames = FrameReader(HELLO_BYTES_MAX)
        self._peer: str | None = None
        self._greeting: tuple[Hello, bytes] | None = None  # who says it is there, and our challenge
        self._transport: asyncio.Transport | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._fresh_ms = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but inheritance
        self._patience = asyncio.get_running_loop().call_later(HELLO_S_MAX, self.refuse, "said no hello")

    def data_received(self, data: bytes) -> None:
        now_ms = passed_ms()
        try:
            for payload in self._frames.feed(data):
                message = decode(payload)
                if type(message) is Moment:
                    if self._fresh_ms < message.at_ms <= now_ms:
                        self._fresh_ms = message.at_ms
                elif self._peer is not None:
                    if now_ms - self._fresh_ms < self._network.stream_age_ms_max:
                        self._network.on_message(self._peer, message)
                    else:
                        self._network.refused_count += 1
                elif self._greeting is not None:
                    if not self._admit_if_proven(message, *self._greeting):
                        return
                elif not self._greet(message):
                    return
        except (FrameError, *UNDECODABLE) as error:
            self._network.unreadable_count += self._peer is not None
            self.refuse(str(error))

    def _greet(self, message: Message) -> bool:
        if not isinstance(message, Hello):
            self.refuse("did not begin with a hello")
        elif message.cluster_id != self._network.cluster_id:
            self.refuse("belongs to another cluster")
        elif not self._network.can_answer(message):
            self.refuse(f"calls itself {message.node!r}, which is no member and says not where it listens")
        elif not message.challenge:
            self.refuse("knows no secret, and this cluster has one")
        else:
            mine = challenge()
            proof = self._network.handshake_with(message.node).proof("listener", message.challenge, mine)
            self._greeting = (message, mine)
            if self._transport is not None:
                self._transport.write(frame(encode(Welcome(mine, proof))))
            return True
        return False

    def _admit_if_proven(self, message: Message, hello: Hello, mine: bytes) -> bool:
        handshake = self._network.handshake_with(hello.node)
        if isinstance(message, Proof) and handshake.is_proof(message.proof, "dialer", hello.challenge, mine):
            self._admit(hello)
            return True
        self.refuse(f"calls itself {hello.node!r} and did not prove that it knows the cluster's secret")
        return False

    def _admit(self, hello: Hello) -> None:
        self._peer = hello.node
        self._network.knows(self)
        self._frames.bytes_max = FRAME_BYTES_MAX
        self._network.link_to(hello).wake()
        if self._patience is not None:
            self._patience.cancel()
        self._fresh_ms = passed_ms()  # nothing is sent before this moment was heard (links.py)
        self.tell_moment()

    def tell_moment(self) -> None:
        """Tell the dialer what time it is here."""
        if self._peer is not None and self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(encode(Moment(passed_ms()))))

    def refuse(self, why: str) -> None:
        """Cut the connection, and say why in the log."""
        self._network.knows(self)
        if self._peer is None or self._transport is not None:
            self._network.log("peer_refused", peer=self._peer, why=why)
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._patience is not None:
            self._patience.cancel()
        self._network.incoming.discard(self)
        self._network.knows(self)

    def close(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()


class PeerNetwork:
    """runtime.Network over TCP.

    stream_age_ms_max: how old what comes out of a connection may be; the other half of message_age_s_max is for what a
    link's fault holds back before it goes in. refused_count: messages that were older. unreadable_count: what a peer
    sent that is no message, or has a number out of bounds.
    """

    def __init__(self, config: ClusterConfig, node: str, random: Random, log: Log) -> None:
        self.cluster_id = config.cluster_id
        self._secret = config.secret or secrets.token_urlsafe()  # alone: nobody can prove what nobody knows
        self.log = log
        self._node = node
        self.on_message: OnMessage = lambda peer, message: None
        self.incoming: set[_Incoming] = set()
        self._strangers: dict[_Incoming, None] = {}
        self.stream_age_ms_max = config.maintenance.message_age_s_max * 500.0
        self.refused_count = 0
        self.unreadable_count = 0
        self._moments: asyncio.Task[None] | None = None
        mine = config.address(node)
        self._hello = Hello(config.cluster_id, node, host=mine.reachable_host, peer_port=mine.peer_port)
        self._config = config
        self._random = random
        self._rules: Mapping[str, LinkRule] = {}
        self.links: dict[str, Link] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None

    def _handshake(self, *, dialer: str, listener: str) -> Handshake:
        return Handshake(self._secret, self.cluster_id, dialer=dialer, listener=listener)

    def handshake_with(self, dialer: str) -> Handshake:
        """The handshake with a peer that dials us."""
        return self._handshake(dialer=dialer, listener=self._node)

    def send(self, peer: str, message: Message) -> None:
        """See runtime.Network."""
        link = self.links.get(peer)
        if link is not None:
            link.send(encode(message))

    def set_rules(self, rules: Mapping[str, LinkRule]) -> None:
        """Replace the rules of all outgoing links, those to come as well; one that is not named has no faults."""
        self._rules = dict(rules)
        for name, link in self.links.items():
            link.rule = rules.get(name, NO_FAULT)

    # --- who is there -------------------------------------------------------------------------------------

    def set_peers(self, peers: Iterable[NodeAddress]) -> None:
        """These are the members now: keep a link to each; one to somebody else ends with its connection."""
        wanted = {peer.name: peer for peer in peers if peer.name != self._node}
        for name, link in self.links.items():
            peer = wanted.get(name)
            link.is_kept = peer is not None and (peer.host, peer.peer_port) == link.where
        for name, peer in wanted.items():
            known = self.links.get(name)
            if known is None or not known.is_kept:
                self._connect(peer, is_kept=True)

    def can_answer(self, caller: Hello) -> bool:
        """Whether the caller is a member, or else a node of the cluster that says where it listens."""
        known = self.links.get(caller.node)
        if known is not None and known.is_kept:
            return True
        strangers = sum(not link.is_kept for name, link in self.links.items() if name != caller.node)
        return caller.node != self._node and 1 <= caller.peer_port <= 65_535 and strangers < NODE_COUNT_MAX

    def link_to(self, caller: Hello) -> Link:
        """The link to a caller that can be answered; a new one if it has none."""
        known = self.links.get(caller.node)
        if known is not None and (known.is_kept or known.where == (caller.host, caller.peer_port)):
            return known
        address = NodeAddress(caller.node, caller.host, 0, caller.peer_port)
        return self._connect(address, is_kept=False)

    def _connect(self, peer: NodeAddress, *, is_kept: bool) -> Link:
        name, loop = peer.name, asyncio.get_running_loop()
        before = self._tasks.pop(name, None)
        if before is not None:
            before.cancel()
        link = Link(
            peer,
            self._hello,
            self._random,
            handshake=self._handshake(dialer=self._node, listener=name),
            log=self.log,
            delay_s_max=self.stream_age_ms_max / 1000.0,
        )
        link.is_kept, link.rule = is_kept, self._rules.get(name, NO_FAULT)
        task = loop.create_task(link.run(), name=f"link {name}")
        self.links[name], self._tasks[name] = link, task

        def ended(_: asyncio.Task[None]) -> None:
            if self.links.get(name) is link:
                del self.links[name]
                self._tasks.pop(name, None)

        task.add_done_callback(ended)
        return link

    def knows(self, incoming: _Incoming) -> None:
        """It is admitted, or gone."""
        self._strangers.pop(incoming, None)

    async def start(self, host: str, port: int) -> None:
        """Listen, and dial whom the cluster file names, until `set_peers` knows better. OSError: the port is taken."""

        def accept() -> _Incoming:
            incoming = _Incoming(self)
            self.incoming.add(incoming)
            self._strangers[incoming] = None
            if len(self._strangers) > STRANGERS_MAX:
                next(iter(self._strangers)).refuse("said no hello while many others called")
            return incoming

        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(accept, host, port)
        self._moments = loop.create_task(self._tell_moments(), name="moments")
        if not self.links:
            self.set_peers(self._config.nodes)

    async def _tell_moments(self) -> None:
        while True:
            await asyncio.sleep(min(MOMENT_PERIOD_S_MAX, self.stream_age_ms_max / 8000.0))
            for incoming in self.incoming:
                incoming.tell_moment()

    async def stop(self) -> None:
        """Hang up."""
        tasks = [*self._tasks.values(), *([] if self._moments is None else [self._moments])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        for incoming in list(self.incoming):
            incoming.close()

    def describe(self, round_trip: Callable[[str], DurationStats]) -> dict[str, LinkStats]:
        """For /stats: each link, by peer. round_trip: what probes have measured to a peer."""
        return {name: link.describe(round_trip(name)) for name, link in sorted(self.links.items())}
