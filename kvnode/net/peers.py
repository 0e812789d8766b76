"""Messages to and from peers over TCP: one outgoing connection a peer, kept up for ever, and a listener.

Messages of one turn of the event loop leave in one write. While a peer is away, slow or paused, its queue is bounded
and what does not fit is dropped: runtime.Network promises nothing else. Link faults act on the sender's side.
The first frame of a connection says who calls (Hello); a stranger, or a node of another cluster, is cut off. Where
the cluster has a secret, both sides prove that they know it before a message passes (handshake.py).

Under a rule whose delays scatter, messages may overtake each other: each is delayed by itself, as a datagram would
be. TCP would keep their order by holding all behind the slowest. Then the delays that nodes see would not be those
that were set (a hundred messages behind one straggler of a long tail are stragglers too), and one slow message could
not be told from a slow link. Nothing relies on order: runtime.Network does not promise it, and the simulated network
reorders more.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from kvnode.config import FRAME_BYTES_MAX, HELLO_BYTES_MAX, LINK_QUEUE_BYTES_MAX, ClusterConfig, NodeAddress
from kvnode.faults import NO_FAULT, LinkRule
from kvnode.messages import UNDECODABLE, Hello, Message, Proof, Welcome, decode, encode
from kvnode.net.frames import FrameError, FrameReader, frame
from kvnode.net.handshake import Handshake, challenge
from kvnode.runtime import Random

_RETRY_S_MIN, _RETRY_S_MAX = 0.05, 0.5
_PATIENCE_S = (
    1.0  # what is sent so soon after a link was lost (or at the start) waits for the next connection
)
_HELLO_S_MAX = 5.0
_FIRST = asyncio.FIRST_COMPLETED
_REFUSED_S = 1.0  # a connection that ends sooner was refused: do not knock on that door all the time
OnMessage = Callable[[str, Message], None]
Log = Callable[..., None]


class Link:
    """The outgoing side to one peer. handshake: if the cluster has a secret."""

    def __init__(
        self,
        address: NodeAddress,
        hello: Hello,
        random: Random,
        *,
        handshake: Handshake | None = None,
        log: Log = lambda event, **facts: None,
    ) -> None:
        self._address = address
        self._hello = hello
        self._handshake = handshake
        self._log = log
        self._trouble = ""
        self._random = random
        self._transport: asyncio.Transport | None = None
        self._queue: list[bytes] = []
        self._queued_bytes = 0
        self._delayed_bytes = 0
        self._lost_s = asyncio.get_running_loop().time()
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.rule = NO_FAULT
        self.sent_count = 0
        self.sent_bytes = 0
        self.dropped_count = 0

    @property
    def connected(self) -> bool:
        """Whether the connection stands."""
        return self._transport is not None

    @property
    def queued_bytes(self) -> int:
        """What has not left this process."""
        written = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return self._queued_bytes + self._delayed_bytes + written

    def send(self, payload: bytes) -> None:
        """Send under the link's rule."""
        if self.rule is NO_FAULT:
            self._enqueue(payload)
            return
        delay_ms = self.rule.delay_of_next(self._random)
        if delay_ms is None:
            self.dropped_count += 1
        elif not delay_ms:
            self._enqueue(payload)
        elif self.queued_bytes > LINK_QUEUE_BYTES_MAX:  # those that wait for their time count too
            self.dropped_count += 1
        else:
            self._delayed_bytes += len(payload)
            self._loop.call_later(delay_ms / 1000.0, self._enqueue_delayed, payload)

    def _enqueue_delayed(self, payload: bytes) -> None:
        self._delayed_bytes -= len(payload)
        self._enqueue(payload)

    def _enqueue(self, payload: bytes) -> None:
        waits_too_long = self._transport is None and self._loop.time() - self._lost_s > _PATIENCE_S
        if waits_too_long or self.rule.cut or self.queued_bytes > LINK_QUEUE_BYTES_MAX:
            self.dropped_count += 1
            return
        if not self._queue and self._transport is not None:
            self._loop.call_soon(self._flush)
        self._queue.append(len(payload).to_bytes(4, "big"))
        self._queue.append(payload)
        self._queued_bytes += len(payload) + 4
        self.sent_count += 1

    def _flush(self) -> None:
        # uvloop raises on writing to a connection that is lost already, though nobody was told yet.
        if self._transport is not None and not self._transport.is_closing():
            together = b"".join(self._queue)
            self._transport.write(together)
            self.sent_bytes += len(together)
            self._queue.clear()
            self._queued_bytes = 0

    def _drop_queue(self) -> None:
        self.dropped_count += len(self._queue) // 2
        self._queue.clear()
        self._queued_bytes = 0

    def wake(self) -> None:
        """The peer is known to be there: do not wait for the next try."""
        self._wake.set()

    async def run(self) -> None:
        """Keep the connection up, for ever."""
        retry_s = _RETRY_S_MIN
        while True:
            self._wake.clear()
            try:
                transport, outgoing = await self._loop.create_connection(
                    _Outgoing, self._address.reachable_host, self._address.peer_port
                )
            except OSError:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), retry_s)
                retry_s = min(_RETRY_S_MAX, retry_s * 2)
                continue
            connected_s = self._loop.time()
            if not transport.is_closing():  # it may have been lost again before this task ran
                transport.set_write_buffer_limits(high=LINK_QUEUE_BYTES_MAX)
                trouble = await self._greet(transport, outgoing)
                if trouble:
                    if trouble != self._trouble:
                        self._log("peer_refused", level="error", peer=self._address.name, why=trouble)
                    self._trouble = trouble
                    transport.abort()
                    await asyncio.sleep(_RETRY_S_MAX)
                    continue
                self._trouble = ""
                self._transport = transport
                if connected_s - self._lost_s > _PATIENCE_S:
                    self._drop_queue()
                self._flush()
            await outgoing.lost
            self._transport = None
            self._lost_s = self._loop.time()
            self._drop_queue()
            if self._loop.time() - connected_s > _REFUSED_S:
                retry_s = _RETRY_S_MIN
            await asyncio.sleep(retry_s)
            retry_s = min(_RETRY_S_MAX, retry_s * 2)

    async def _greet(self, transport: asyncio.Transport, outgoing: _Outgoing) -> str:
        """Say who calls, and where there is a secret prove it; what is wrong with the peer, or nothing."""
        handshake = self._handshake
        if handshake is None:
            transport.write(frame(encode(self._hello)))
            return ""
        mine = challenge()
        transport.write(frame(encode(msgspec.structs.replace(self._hello, challenge=mine))))
        await asyncio.wait((outgoing.welcome, outgoing.lost), timeout=_HELLO_S_MAX, return_when=_FIRST)
        if not outgoing.welcome.done():
            return "hung up on our hello, or did not answer it: does it know the secret?"
        theirs = outgoing.welcome.result()
        if theirs is None or not handshake.is_proof(theirs.proof, "listener", mine, theirs.challenge):
            return "did not prove that it knows the cluster's secret"
        transport.write(frame(encode(Proof(handshake.proof("dialer", mine, theirs.challenge)))))
        return ""


class _Outgoing(asyncio.Protocol):
    """A connection that we opened. Nothing comes back on it but a Welcome."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = loop.create_future()
        self.welcome: asyncio.Future[Welcome | None] = loop.create_future()
        self._frames = FrameReader(HELLO_BYTES_MAX)

    def data_received(self, data: bytes) -> None:
        if self.welcome.done():
            return
        try:
            for payload in self._frames.feed(data):
                message = decode(payload)
                if not self.welcome.done():
                    self.welcome.set_result(message if isinstance(message, Welcome) else None)
        except (FrameError, *UNDECODABLE):
            if not self.welcome.done():
                self.welcome.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)


class _Incoming(asyncio.Protocol):
    """One accepted connection: a Hello, then messages of that peer."""

    def __init__(self, network: PeerNetwork) -> None:
        self._network = network
        self._frames = FrameReader(HELLO_BYTES_MAX)
        self._peer: str | None = None
        self._greeting: tuple[str, bytes, bytes] | None = None  # who says it is there, and both challenges
        self._transport: asyncio.Transport | None = None
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but inheritance
        self._patience = asyncio.get_running_loop().call_later(_HELLO_S_MAX, self._refuse, "said no hello")

    def data_received(self, data: bytes) -> None:
        try:
            for payload in self._frames.feed(data):
                message = decode(payload)
                if self._peer is not None:
                    self._network.on_message(self._peer, message)
                elif self._greeting is not None:
                    if not self._admit_if_proven(message, *self._greeting):
                        return
                elif not self._greet(message):
                    return
        except (FrameError, *UNDECODABLE) as error:
            self._refuse(str(error))

    def _greet(self, message: Message) -> bool:
        if not isinstance(message, Hello):
            self._refuse("did not begin with a hello")
        elif message.cluster_id != self._network.cluster_id:
            self._refuse("belongs to another cluster")
        elif message.node not in self._network.links:
            self._refuse(f"calls itself {message.node!r}, which is no member")
        elif self._network.secret is None:
            self._admit(message.node)
            return True
        elif not message.challenge:
            self._refuse("knows no secret, and this cluster has one")
        else:
            mine = challenge()
            proof = self._network.handshake_with(message.node).proof("listener", message.challenge, mine)
            self._greeting = (message.node, message.challenge, mine)
            if self._transport is not None:
                self._transport.write(frame(encode(Welcome(mine, proof))))
            return True
        return False

    def _admit_if_proven(self, message: Message, peer: str, theirs: bytes, mine: bytes) -> bool:
        handshake = self._network.handshake_with(peer)
        if isinstance(message, Proof) and handshake.is_proof(message.proof, "dialer", theirs, mine):
            self._admit(peer)
            return True
        self._refuse(f"calls itself {peer!r} and did not prove that it knows the cluster's secret")
        return False

    def _admit(self, peer: str) -> None:
        self._peer = peer
        self._frames.bytes_max = FRAME_BYTES_MAX
        self._network.links[peer].wake()
        if self._patience is not None:
            self._patience.cancel()

    def _refuse(self, why: str) -> None:
        if self._peer is None or self._transport is not None:
            self._network.log("peer_refused", peer=self._peer, why=why)
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._patience is not None:
            self._patience.cancel()
        self._network.incoming.discard(self)

    def close(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()


class PeerNetwork:
    """runtime.Network over TCP."""

    def __init__(self, config: ClusterConfig, node: str, random: Random, log: Log) -> None:
        self.cluster_id = config.cluster_id
        self.secret = config.secret
        self.log = log
        self._node = node
        self.on_message: OnMessage = lambda peer, message: None
        self.incoming: set[_Incoming] = set()
        hello = Hello(config.cluster_id, node)
        self.links = {
            name: Link(
                config.address(name),
                hello,
                random,
                handshake=self._handshake(dialer=node, listener=name) if config.secret else None,
                log=log,
            )
            for name in config.names
            if name != node
        }
        self._tasks: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None

    def _handshake(self, *, dialer: str, listener: str) -> Handshake:
        assert self.secret is not None
        return Handshake(self.secret, self.cluster_id, dialer=dialer, listener=listener)

    def handshake_with(self, dialer: str) -> Handshake:
        """The handshake with a peer that dials us."""
        return self._handshake(dialer=dialer, listener=self._node)

    def send(self, peer: str, message: Message) -> None:
        """See runtime.Network."""
        link = self.links.get(peer)
        if link is not None:
            link.send(encode(message))

    def set_rules(self, rules: Mapping[str, LinkRule]) -> None:
        """Replace the rules of all outgoing links; a link that is not named has no faults."""
        for name, link in self.links.items():
            link.rule = rules.get(name, NO_FAULT)

    async def start(self, host: str, port: int) -> None:
        """Listen and dial. OSError if the port is taken."""
        loop = asyncio.get_running_loop()

        def accept() -> _Incoming:
            incoming = _Incoming(self)
            self.incoming.add(incoming)
            return incoming

        self._server = await loop.create_server(accept, host, port)
        self._tasks = [loop.create_task(link.run(), name=f"link {name}") for name, link in self.links.items()]

    async def stop(self) -> None:
        """Hang up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        for incoming in list(self.incoming):
            incoming.close()

    def describe(self) -> dict[str, Any]:
        """Figures for /stats."""
        return {
            name: {
                "connected": link.connected,
                "sent_total": link.sent_count,
                "bytes_sent_total": link.sent_bytes,
                "dropped_total": link.dropped_count,
                "queued_bytes": link.queued_bytes,
                "rule": msgspec.to_builtins(link.rule),
            }
            for name, link in sorted(self.links.items())
        }
