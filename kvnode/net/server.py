"""The listening side of the HTTP API: a socket of our own, how many connections there may be, and their orderly end.

Whoever connects and sends nothing, or half a request, costs a file and memory. So connections are counted: at the most
that there may be, the one that has been at rest for longest gives way to a new one, and if none is at rest the new one
is refused. A request has to arrive within its time. Bodies are counted together: where they take all the room, one that
has stalled gives way.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket

import msgspec

from kvnode.config import (
    BODIES_BYTES_MAX,
    BODY_STALLED_S,
    CONNECTION_IDLE_S,
    CONNECTIONS_MAX,
    FILES_RESERVED,
    FILES_WANTED,
    REQUEST_ARRIVAL_S,
)
from kvnode.errors import Overloaded, RequestTimeout
from kvnode.net.connection import Answer, Bodies, Connection

_BACKLOG = 512
_LAST_ANSWERS_S = 0.2
_GRACE_S = 3.0  # longer than any request may take (config.FORWARD_TIMEOUT_MS)
_LOOK_S = 1.0


def connections_max() -> int:
    """How many connections this process has files for; asks the operating system for more files where it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    if soft == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return max(16, min(CONNECTIONS_MAX, soft - FILES_RESERVED))


def bind(host: str, port: int) -> socket.socket:
    """A listening address of our own; OSError if the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


class HttpStats(msgspec.Struct, frozen=True):
    """Connections now and at the most, what became of others since the start, and the bytes of bodies held."""

    connections: int
    connections_max: int
    refused_total: int
    made_way_total: int
    timed_out_total: int
    bodies_bytes: int


class HttpServer:
    """One HTTP server on one socket; starts, and stops when told. answer: serves one request.

    refused_count, made_way_count: connections that were refused, and that were closed to make room.
    """

    def __init__(
        self,
        answer: Answer,
        listener: socket.socket,
        *,
        count_max: int = CONNECTIONS_MAX,
        bodies_bytes_max: int = BODIES_BYTES_MAX,
    ) -> None:
        self._answer = answer
        self._count_max = count_max
        self._bodies = Bodies(bodies_bytes_max, self._make_room)
        self.refused_count = 0
        self.made_way_count = 0
        self.timed_out_count = 0
        self._listener = listener
        self._backlog = min(
            _BACKLOG, max(16, count_max // 4)
        )  # so many are accepted at once, beyond the most
        self._connections: set[Connection] = set()
        self._all_ended = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._looking: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Begin to serve."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, sock=self._listener, backlog=self._backlog)
        self._looking = loop.call_later(_LOOK_S, self._look, loop)

    def _accept(self) -> Connection:
        refusal = None
        if len(self._connections) >= self._count_max:
            at_rest = [connection for connection in self._connections if connection.is_at_rest]
            if at_rest:
                self.made_way_count += 1
                oldest = min(at_rest, key=lambda connection: connection.last_byte_s)
                oldest.end()
                self._ended(oldest)
            else:
                self.refused_count += 1
                refusal = Overloaded(f"{self._count_max} connections are in use, the most there may be")
        connection = Connection(self._answer, self._ended, self._bodies, refusal)
        if refusal is None:
            self._connections.add(connection)
        return connection

    def _make_room(self, wanted_bytes: int) -> bool:
        """Let bodies give way that have stalled, the one first that has done so for longest."""
        now_s = asyncio.get_running_loop().time()
        stalled = [
            connection
            for connection in self._connections
            if connection.held_bytes
            and connection.is_idle
            and now_s - connection.last_byte_s >= BODY_STALLED_S
        ]
        stalled.sort(key=lambda connection: connection.last_byte_s, reverse=True)
        while stalled and self._bodies.held_bytes + wanted_bytes > self._bodies.bytes_max:
            self.timed_out_count += 1
            stalled.pop().give_way(RequestTimeout("the body stalled, and others needed its room"))
        return self._bodies.held_bytes + wanted_bytes <= self._bodies.bytes_max

    def describe(self) -> HttpStats:
        """For /stats."""
        return HttpStats(
            connections=len(self._connections),
            connections_max=self._count_max,
            refused_total=self.refused_count,
            made_way_total=self.made_way_count,
            timed_out_total=self.timed_out_count,
            bodies_bytes=self._bodies.held_bytes,
        )

    def _ended(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._all_ended.set()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close what has been quiet, or arriving, for too long."""
        now_s = loop.time()
        for connection in list(self._connections):
            since_s = connection.arriving_since_s
            if since_s is not None and connection.is_idle and now_s - since_s > REQUEST_ARRIVAL_S:
                self.timed_out_count += 1
                connection.give_way(
                    RequestTimeout(f"the request has not arrived within {REQUEST_ARRIVAL_S:.0f} s")
                )
            elif connection.is_at_rest and now_s - connection.last_byte_s > CONNECTION_IDLE_S:
                connection.end()
        self._looking = loop.call_later(_LOOK_S, self._look, loop)

    async def stop(self) -> None:
        """Answer what is under way (at most three seconds), then close.

        Whoever keeps a connection may be sending its next request at this very moment, and could not know what became
        of it if the connection just ended. So for a moment each answer says that it is the last on its connection.
        """
        if self._looking is not None:
            self._looking.cancel()
        if self._server is not None:
            self._server.close()
        self._all_ended.clear()
        for connection in self._connections:
            connection.says_last = True
        await self._until_all_ended(_LAST_ANSWERS_S)
        for connection in list(self._connections):
            connection.end()
        await self._until_all_ended(_GRACE_S)
        for connection in list(self._connections):
            connection.abort()

    async def _until_all_ended(self, time_s_max: float) -> None:
        if self._connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_ended.wait(), time_s_max)
