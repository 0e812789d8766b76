"""The listening side of the HTTP API: a socket of our own, the connections on it, and their orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from kvnode.net.connection import Answer, Connection

_BACKLOG = 512
_GRACE_S = 3.0  # longer than any request may take (config.FORWARD_TIMEOUT_MS)
_LOOK_S = 25.0
_QUIET_ROUNDS_MAX = 3  # a connection on which nothing comes for 75 s is closed


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


class HttpServer:
    """One HTTP server on one socket; starts, and stops when told. answer: serves one request."""

    def __init__(self, answer: Answer, listener: socket.socket) -> None:
        self._answer = answer
        self._listener = listener
        self._connections: set[Connection] = set()
        self._all_ended = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._looking: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Begin to serve."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, sock=self._listener, backlog=_BACKLOG)
        self._looking = loop.call_later(_LOOK_S, self._look, loop)

    def _accept(self) -> Connection:
        connection = Connection(self._answer, self._ended)
        self._connections.add(connection)
        return connection

    def _ended(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._all_ended.set()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close what has been quiet for too long."""
        for connection in list(self._connections):
            connection.quiet_rounds += 1
            if connection.quiet_rounds > _QUIET_ROUNDS_MAX and connection.is_idle:
                connection.end()
        self._looking = loop.call_later(_LOOK_S, self._look, loop)

    async def stop(self) -> None:
        """Answer what is under way (at most three seconds), then close."""
        if self._looking is not None:
            self._looking.cancel()
        if self._server is not None:
            self._server.close()
        self._all_ended.clear()
        for connection in list(self._connections):
            connection.end()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_ended.wait(), _GRACE_S)
        for connection in list(self._connections):
            connection.abort()
