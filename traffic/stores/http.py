"""A lean asynchronous HTTP/1.1 client: connections to one host, kept alive, with bounds and deadlines.

Here: bytes, connections, timeouts.
Must not live here: JSON, nodes, retries, what a status means.

Why not aiohttp: a load generator must cost little per operation, or it measures itself. asyncio's
Protocol and the httptools parser (C) take about a fifth of the CPU (DESIGN: 10 µs beside 71 µs an
operation).

How it works. A `Pool` opens up to `connections_max` connections, each carrying up to `pipeline_depth_max`
requests (1 by default: with pipelining a slow answer delays the ones behind it and so falsifies their
latency; it is there for throughput tests). A request takes an idle connection, else opens one, else waits
in line. Answers come in order, so a connection keeps a queue of waiting futures. Deadlines are swept by
one timer a pool instead of one a request.

What a failure means: `ConnectFailed` and `LineFull` are raised before a byte was written, so nothing can
have happened. Everything after that (`Timeout`, `ConnectionLost`, `BadAnswer`) is indefinite.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import cast
from urllib.parse import urlsplit

import httptools

CONNECTIONS_MAX = 32
PIPELINE_DEPTH_MAX = 1
WAITING_MAX = 1024
ANSWER_BYTES_MAX = 16 * 1024 * 1024
TIMEOUT_S = 3.0
CONNECT_TIMEOUT_S = 1.0
RECONNECT_AFTER_S = 0.1
SWEEP_EVERY_S = 0.025


class HttpError(Exception):
    """An exchange failed. `definite`: not one byte of the request was sent."""

    definite = False


class ConnectFailed(HttpError):
    """Nobody took the connection."""

    definite = True


class LineFull(HttpError):
    """Too many requests wait for a connection already."""

    definite = True


class Timeout(HttpError):
    """No answer in time."""


class ConnectionLost(HttpError):
    """The connection ended before the answer did."""


class BadAnswer(HttpError):
    """What came back was not HTTP, or larger than ANSWER_BYTES_MAX."""


class Answer:
    """Status and body."""

    __slots__ = ("body", "status")

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body


class _Waiting:
    """A request on the wire. Invariant: in a connection's queue in the order in which it was written."""

    __slots__ = ("deadline_s", "future")

    def __init__(self, future: asyncio.Future[Answer], deadline_s: float) -> None:
        self.future = future
        self.deadline_s = deadline_s


class Connection(asyncio.Protocol):
    """One connection. The callbacks of asyncio and of the parser meet here."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._queue: deque[_Waiting] = deque()
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._keep_alive = True

    # --- for the pool -------------------------------------------------------------------------------------

    @property
    def depth(self) -> int:
        return len(self._queue)

    @property
    def usable(self) -> bool:
        return self._keep_alive and self._transport is not None and not self._transport.is_closing()

    def send(self, request: bytes, future: asyncio.Future[Answer], deadline_s: float) -> None:
        assert self._transport is not None
        self._queue.append(_Waiting(future, deadline_s))
        self._transport.write(request)

    def overdue(self, now_s: float) -> bool:
        return bool(self._queue) and self._queue[0].deadline_s <= now_s

    def close(self, error: HttpError) -> None:
        """End it; whoever waits here gets `error`."""
        self._keep_alive = False
        if self._transport is not None:
            self._transport.abort()
        queue, self._queue = self._queue, deque()
        for waiting in queue:
            if not waiting.future.done():
                waiting.future.set_exception(error)
        self._pool.forget(self)

    # --- asyncio.Protocol ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without inheriting from it

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.close(BadAnswer(f"not HTTP: {error}"))
        except BadAnswer as error:
            self.close(error)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.close(ConnectionLost("the connection ended before the answer"))

    # --- httptools ----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if not self._queue:
            raise BadAnswer("an answer that nobody asked for")

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > ANSWER_BYTES_MAX:
            raise BadAnswer(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
        self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # "100 Continue" announces the answer, it is none
            return
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = []
        self._body_bytes = 0
        if not self._parser.should_keep_alive():
            self._keep_alive = False
        waiting = self._queue.popleft()
        if not waiting.future.done():
            waiting.future.set_result(Answer(status, body))
        if self._keep_alive:
            self._pool.freed(self)
        else:
            self.close(ConnectionLost("the server closed the connection"))


class Pool:
    """Connections to one base URL. Use within one running event loop; `close` when done."""

    def __init__(
        self,
        url: str,
        *,
        connections_max: int = CONNECTIONS_MAX,
        pipeline_depth_max: int = PIPELINE_DEPTH_MAX,
        waiting_max: int = WAITING_MAX,
        timeout_s: float = TIMEOUT_S,
        token: str | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"expected a URL like http://127.0.0.1:9999, got {url!r}")
        self.url = url.rstrip("/")
        self._host = parts.hostname
        self._port = parts.port or 80
        self._connections_max = connections_max
        self._depth_max = pipeline_depth_max
        self._waiting_max = waiting_max
        self._timeout_s = timeout_s
        bearer = f"Authorization: Bearer {token}\r\n" if token else ""
        self._head = f" HTTP/1.1\r\nHost: {parts.netloc}\r\n{bearer}".encode()
        self._connections: set[Connection] = set()
        self._idle: list[Connection] = []  # used as a stack: a warm connection stays warm
        self._opening: set[asyncio.Task[None]] = set()
        self._line: deque[tuple[bytes, asyncio.Future[Answer], float]] = deque()
        self._refused_s = float("-inf")
        self._refusal = ""
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def has_room(self) -> bool:
        """Whether one more request would be written at once (or as soon as a new connection stands)."""
        if self._line:
            return False
        return bool(self._idle) or len(self._connections) + len(self._opening) < self._connections_max

    async def request(
        self, method: str, target: str, body: bytes | None = None, *, timeout_s: float | None = None
    ) -> Answer:
        """One exchange. `target` is path and query, already percent-encoded; a body is JSON. Raises
        HttpError."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        if self._closed:
            raise ConnectFailed("the client was closed")
        if not self._connections and now_s - self._refused_s < RECONNECT_AFTER_S:
            raise ConnectFailed(self._refusal)
        deadline_s = now_s + (self._timeout_s if timeout_s is None else timeout_s)
        data = self._encode(method, target, body)
        future: asyncio.Future[Answer] = loop.create_future()
        connection = self._take()
        if connection is not None:
            connection.send(data, future, deadline_s)
        else:
            if len(self._line) >= self._waiting_max:
                raise LineFull(f"{self._waiting_max} requests wait for {self.url} already")
            self._line.append((data, future, deadline_s))
            if len(self._connections) + len(self._opening) < self._connections_max:
                self._open(loop)
        if self._sweeper is None:
            self._sweeper = loop.call_later(SWEEP_EVERY_S, self._sweep, loop)
        return await future

    async def close(self) -> None:
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for task in list(self._opening):
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for connection in list(self._connections):
            connection.close(ConnectionLost("the client was closed"))
        self._fail_line(ConnectFailed("the client was closed"))

    # --- for connections ----------------------------------------------------------------------------------

    def freed(self, connection: Connection) -> None:
        """`connection` can carry one more request: the next in line, if any."""
        while self._line:
            data, future, deadline_s = self._line.popleft()
            if not future.done():
                connection.send(data, future, deadline_s)
                return
        if connection.depth < self._depth_max and connection not in self._idle:
            self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if self._line and not self._closed:
            loop = asyncio.get_running_loop()
            if len(self._connections) + len(self._opening) < min(self._connections_max, len(self._line)):
                self._open(loop)

    # --- inside -------------------------------------------------------------------------------------------

    def _encode(self, method: str, target: str, body: bytes | None) -> bytes:
        start = f"{method} {target}".encode("ascii") + self._head
        if body is None:
            if method in {"POST", "PUT"}:
                return start + b"Content-Length: 0\r\n\r\n"
            return start + b"\r\n"
        length = str(len(body)).encode()
        return b"%bContent-Type: application/json\r\nContent-Length: %b\r\n\r\n%b" % (start, length, body)

    def _take(self) -> Connection | None:
        while self._idle:
            connection = self._idle[-1]
            if not connection.usable or connection.depth >= self._depth_max:
                self._idle.pop()
                continue
            # An empty connection serves alone; pipelining starts only when no further one may be opened.
            if connection.depth and len(self._connections) + len(self._opening) < self._connections_max:
                return None
            if connection.depth + 1 >= self._depth_max:
                self._idle.pop()
            return connection
        return None

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        task = loop.create_task(self._connect(loop))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await loop.create_connection(lambda: Connection(self), self._host, self._port)
        except (OSError, TimeoutError) as error:
            self._refused_s = loop.time()
            self._refusal = f"no connection to {self.url} ({error or type(error).__name__})"
            # Requests in line may still be served by connections that stand; without any, they fail now.
            if not self._connections:
                self._fail_line(ConnectFailed(self._refusal))
            return
        self._connections.add(connection)
        self.freed(connection)

    def _fail_line(self, error: HttpError) -> None:
        line, self._line = self._line, deque()
        for _, future, _ in line:
            if not future.done():
                future.set_exception(error)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Fail what is overdue. A connection with an overdue answer is closed: a later answer would go to
        the wrong request."""
        now_s = loop.time()
        for connection in [one for one in self._connections if one.overdue(now_s)]:
            connection.close(Timeout("no answer in time"))
        while self._line and self._line[0][2] <= now_s:
            _, future, _ = self._line.popleft()
            if not future.done():
                future.set_exception(ConnectFailed("no connection was free in time"))
        busy = self._line or any(connection.depth for connection in self._connections)
        self._sweeper = (
            loop.call_later(SWEEP_EVERY_S, self._sweep, loop) if busy and not self._closed else None
        )
