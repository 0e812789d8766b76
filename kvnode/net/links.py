"""The outgoing side to one peer: a connection that is kept up, a bounded queue, and the faults of the link.

Under a rule whose delays scatter, messages may overtake each other: each is delayed by itself, as a datagram would
be. TCP would keep their order by holding all behind the slowest. Then the delays that nodes see would not be those
that were set (a hundred messages behind one straggler of a long tail are stragglers too), and one slow message could
not be told from a slow link. Nothing relies on order: runtime.Network does not promise it, and the simulated network
reorders more.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import msgspec

from kvnode.config import HELLO_BYTES_MAX, LINK_QUEUE_BYTES_MAX, NodeAddress
from kvnode.faults import NO_FAULT, Line, LinkRule
from kvnode.messages import UNDECODABLE, Hello, Moment, Proof, Welcome, decode, encode
from kvnode.net.frames import FrameError, FrameReader, frame
from kvnode.net.handshake import Handshake, challenge
from kvnode.observe import DurationStats
from kvnode.runtime import Random

_RETRY_S_MIN, _RETRY_S_MAX = 0.05, 0.5
_PATIENCE_S = 1.0
"""What is sent so soon after a link was lost (or at the start) waits for the next connection."""
_UNCHECKED_BYTES = 65_536
"""How much of one turn of the loop may follow its first message without a look at the bound."""
HELLO_S_MAX = 5.0
FRAME_BYTES = 4  # the length before each message
_FIRST = asyncio.FIRST_COMPLETED
_REFUSED_S = 1.0  # a connection that ends sooner was refused: do not knock on that door all the time
Log = Callable[..., None]


class RoundTripStats(msgspec.Struct, frozen=True):
    """Percentiles of the round trips to one peer (ms), and of how many."""

    p50: float | None
    p95: float | None
    samples: int


class LinkStats(msgspec.Struct, frozen=True):
    """One link now, and what it carried since it is there. round_trip_ms: None if none was measured lately."""

    connected: bool
    sent_total: int
    bytes_sent_total: int
    dropped_total: int
    queued_bytes: int
    rule: LinkRule
    round_trip_ms: RoundTripStats | None


class Link:
    """The outgoing side to one peer.

    is_kept: the peer is a member, so a connection that is lost is made again. delay_s_max: what would be held back for
    longer than this, or was because this process stood still, is lost.
    """

    def __init__(
        self,
        address: NodeAddress,
        hello: Hello,
        random: Random,
        *,
        handshake: Handshake,
        log: Log = lambda event, **facts: None,
        delay_s_max: float = float("inf"),
    ) -> None:
        self._delay_s_max = delay_s_max
        self._outgoing: _Outgoing | None = None
        self._address = address
        self.where = (address.host, address.peer_port)
        self.is_kept = True
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
        self._line = Line()
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

    def describe(self, trip: DurationStats) -> LinkStats:
        """For /stats. trip: the round trips to this peer, as probes measure them."""
        return LinkStats(
            connected=self.connected,
            sent_total=self.sent_count,
            bytes_sent_total=self.sent_bytes,
            dropped_total=self.dropped_count,
            queued_bytes=self.queued_bytes,
            rule=self.rule,
            round_trip_ms=RoundTripStats(trip.p50_ms, trip.p95_ms, trip.samples) if trip.samples else None,
        )

    def send(self, payload: bytes) -> None:
        """Send under the link's rule."""
        if self.rule is NO_FAULT:
            self._enqueue(payload)
            return
        delay_ms = self.rule.delay_of_next(self._random)
        passed_s = 0.0
        if delay_ms is not None and self.rule.bytes_per_s:
            now_s = self._loop.time()
            passed_s = self._line.passed_s(now_s, len(payload) + FRAME_BYTES, self.rule.bytes_per_s)
            delay_ms += (passed_s - now_s) * 1000.0
        if delay_ms is None:
            self.dropped_count += 1
        elif not delay_ms:
            self._enqueue(payload)
        elif (
            self.queued_bytes > LINK_QUEUE_BYTES_MAX or delay_ms > self._delay_s_max * 1000.0
        ):  # those that wait for their time count too
            self.dropped_count += 1
        else:
            self._line.free_s = max(passed_s, self._line.free_s)
            self._delayed_bytes += len(payload)
            self._loop.call_later(delay_ms / 1000.0, self._enqueue_delayed, payload, self._loop.time())

    def _enqueue_delayed(self, payload: bytes, sent_s: float) -> None:
        self._delayed_bytes -= len(payload)
        if self._loop.time() - sent_s > self._delay_s_max:
            self.dropped_count += 1
        else:
            self._enqueue(payload)

    def _enqueue(self, payload: bytes) -> None:
        queue = self._queue
        if not queue or self._queued_bytes > _UNCHECKED_BYTES or self._transport is None or self.rule.cut:
            if self._is_refused():
                self.dropped_count += 1
                return
            if not queue and self._transport is not None:
                self._loop.call_soon(self._flush)
        queue += (len(payload).to_bytes(4, "big"), payload)
        self._queued_bytes += len(payload) + 4
        self.sent_count += 1

    def _is_refused(self) -> bool:
        waits_too_long = self._transport is None and self._loop.time() - self._lost_s > _PATIENCE_S
        return waits_too_long or self.rule.cut or self.queued_bytes > LINK_QUEUE_BYTES_MAX

    def _flush(self) -> None:
        # uvloop raises on writing to a connection that is lost already, though nobody was told yet.
        if self._transport is not None and not self._transport.is_closing():
            outgoing = self._outgoing
            if outgoing is not None and outgoing.is_news:
                outgoing.is_news = False
                self._queue.insert(0, frame(encode(outgoing.moment)))
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
        """Keep the connection up, for as long as the link is kept."""
        retry_s = _RETRY_S_MIN
        while True:
            self._wake.clear()
            try:
                transport, outgoing = await self._loop.create_connection(
                    _Outgoing, self._address.reachable_host, self._address.peer_port
                )
            except OSError:
                if not self.is_kept:
                    return
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
                    if not self.is_kept:
                        return
                    await asyncio.sleep(_RETRY_S_MAX)
                    continue
                self._trouble = ""
                self._transport, self._outgoing = transport, outgoing
                if connected_s - self._lost_s > _PATIENCE_S:
                    self._drop_queue()
                self._flush()
            await outgoing.lost
            self._transport = None
            self._lost_s = self._loop.time()
            self._drop_queue()
            if not self.is_kept:
                return
            if self._loop.time() - connected_s > _REFUSED_S:
                retry_s = _RETRY_S_MIN
            await asyncio.sleep(retry_s)
            retry_s = min(_RETRY_S_MAX, retry_s * 2)

    async def _greet(self, transport: asyncio.Transport, outgoing: _Outgoing) -> str:
        """Say who calls, and prove it; what is wrong with the peer, or nothing."""
        handshake = self._handshake
        mine = challenge()
        transport.write(frame(encode(msgspec.structs.replace(self._hello, challenge=mine))))
        await asyncio.wait((outgoing.welcome, outgoing.lost), timeout=HELLO_S_MAX, return_when=_FIRST)
        if not outgoing.welcome.done():
            return "hung up on our hello, or did not answer it: does it know the secret?"
        theirs = outgoing.welcome.result()
        if theirs is None or not handshake.is_proof(theirs.proof, "listener", mine, theirs.challenge):
            return "did not prove that it knows the cluster's secret"
        transport.write(frame(encode(Proof(handshake.proof("dialer", mine, theirs.challenge)))))
        return await self._heard_moment(outgoing)

    async def _heard_moment(self, outgoing: _Outgoing) -> str:
        """Nothing is sent before the listener is known to listen: it takes what comes then for new."""
        await asyncio.wait((outgoing.heard, outgoing.lost), timeout=HELLO_S_MAX, return_when=_FIRST)
        return "" if outgoing.heard.done() else "did not answer our hello"


class _Outgoing(asyncio.Protocol):
    """A connection that we opened. Nothing comes back on it but a Welcome, and moments of the listener's clock.

    moment: the last of them. is_news: it was not sent back yet. heard: the first has come.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = loop.create_future()
        self.welcome: asyncio.Future[Welcome | None] = loop.create_future()
        self.heard: asyncio.Future[None] = loop.create_future()
        self.moment = Moment(0.0)
        self.is_news = False
        self._frames = FrameReader(HELLO_BYTES_MAX)
        self._is_garbled = False

    def data_received(self, data: bytes) -> None:
        if self._is_garbled:
            return
        try:
            for payload in self._frames.feed(data):
                message = decode(payload)
                if isinstance(message, Moment):
                    self.moment, self.is_news = message, True
                    if not self.heard.done():
                        self.heard.set_result(None)
                elif not self.welcome.done():
                    self.welcome.set_result(message if isinstance(message, Welcome) else None)
        except (FrameError, *UNDECODABLE):
            self._is_garbled = True
            if not self.welcome.done():
                self.welcome.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
