"""One HTTP/1.1 connection: from bytes to requests (httptools parses, in C), and from answers to bytes.

Here: heads and bodies within their bounds, answers in the order of the requests, how long a connection is kept. Not
here: what a request means (http.py), which socket it came in by, and how many connections there may be (server.py).

How it works. The parser calls back for each part of a request; when the last has come, one task serves it. Requests
that arrive before it is answered (pipelining) wait in line, and nothing more is read meanwhile. A body beyond its
bound is answered at once, and what follows of it is thrown away.

A client may ask to go on in another protocol (Upgrade; `curl --http2` does so at each first request). The parser then
stops behind the head, since it cannot know what follows. We do not upgrade, so what follows is the request's body: the
head is given to a fresh parser once more, without that wish.

Why not an ASGI server: between the parser and the application it puts a scope, a cycle, an event and two messages,
about as much work as a whole quorum read needs besides (kvnode/README.md has the figures).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, NamedTuple, cast

import httptools

from kvnode.config import BODIES_BYTES_MAX, BODY_BYTES_MAX, HEAD_BYTES_MAX, RETRY_AFTER_S
from kvnode.errors import (
    BadRequest,
    HeadersTooLarge,
    KvError,
    MethodNotAllowed,
    Overloaded,
    TooBusy,
    Unauthorized,
)
from kvnode.net.parse import as_json

JSON, PROBLEM = b"application/json", b"application/problem+json"
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}".encode() for status in HTTPStatus}
_GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
_OF_UPGRADES = frozenset((b"connection", b"upgrade", b"http2-settings"))


class Request:
    """One request. path, query: as they came, percent-encoded. headers: by their names in lower case.

    body: None if it was longer than BODY_BYTES_MAX. keeps: the client wants the connection kept.
    """

    __slots__ = ("body", "headers", "keeps", "method", "path", "query")

    def __init__(
        self, method: str, path: bytes, query: bytes, headers: dict[bytes, bytes], *, keeps: bool
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body: bytes | None = b""
        self.keeps = keeps


class Response(NamedTuple):
    """The answer to one request. more: further header lines. ends: the connection ends with it."""

    status: int
    content_type: bytes
    body: bytes
    more: bytes = b""
    ends: bool = False


def response_of(error: KvError, *, ends: bool = False) -> Response:
    """The problem document of an error, and the header lines that belong to its status."""
    more = b""
    match error:
        case Unauthorized():
            more = b'www-authenticate: Bearer realm="quorum-lab"\r\n'
        case MethodNotAllowed():
            more = b"allow: %b\r\n" % ", ".join(error.allow).encode()
        case TooBusy() | Overloaded():
            more = b"retry-after: %d\r\n" % RETRY_AFTER_S
    return Response(error.status, PROBLEM, as_json(error.problem()), more, ends)


Answer = Callable[[Request], Awaitable[Response]]
"""Serves one request; it must not raise."""


class Bodies:
    """How many bytes of bodies all connections of a server hold. make_room: asked for so many; whether it could."""

    def __init__(self, bytes_max: int, make_room: Callable[[int], bool] = lambda wanted: False) -> None:
        self.bytes_max = bytes_max
        self.held_bytes = 0
        self.make_room = make_room


class Connection(asyncio.Protocol):
    """The callbacks of asyncio and of the parser meet here. on_end is told when nothing is left to do.

    refusal: why the connection ends before it has begun; None if it does not.
    Invariants: at most one request is being served, and those in line came after it; what is counted in `bodies` for
    this connection is `_held_bytes`.
    """

    def __init__(
        self,
        answer: Answer,
        on_end: Callable[[Connection], None],
        bodies: Bodies | None = None,
        refusal: KvError | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._answer = answer
        self._on_end = on_end
        self._bodies = bodies or Bodies(BODIES_BYTES_MAX)
        self._refusal = refusal
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._in_line: deque[Request] = deque()
        self._serving: asyncio.Task[None] | None = None
        self._ends = False
        self._writable: asyncio.Future[None] | None = None
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._asks_to_upgrade = False
        self._request: Request | None = None  # whose body is arriving
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._held_bytes = 0
        self._in_head = True
        self._head_bytes = 0  # from the target on, of chunks that did not end the head
        self.last_byte_s = self._loop.time()
        """When the last byte came, by the loop's clock."""
        self.arriving_since_s: float | None = None
        """When the first byte came of the request that is arriving; None if none is."""
        self.says_last = False
        """Whether the next answer is the last one, and says so."""

    # --- asyncio.Protocol ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but inheritance
        if self._refusal is not None:
            self.refuse(self._refusal)

    def data_received(self, data: bytes) -> None:
        self.last_byte_s = self._loop.time()
        if self._ends:
            return
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self.refuse(BadRequest("this is no HTTP request that the node understands"))
            return
        if self._in_head:  # its end is still to come
            begin = 0 if self._head_bytes else data.rfind(self._url)  # before it stands what is no part of it
            self._head_bytes += len(data) - begin
            if self._head_bytes > HEAD_BYTES_MAX:
                self.refuse(HeadersTooLarge(f"the head of the request has more than {HEAD_BYTES_MAX} bytes"))
        if self._in_line and self._transport is not None:
            self._transport.pause_reading()

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self._parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as stopped:
                if not self._asks_to_upgrade:
                    return  # CONNECT: whatever follows is no HTTP
                data = self._head_without_upgrade() + data[stopped.args[0] :]
                self._parser = httptools.HttpRequestParser(self)

    def _head_without_upgrade(self) -> bytes:
        method, version = self._parser.get_method(), self._parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (method, self._url, version)]
        lines += (
            b"%b: %b" % (name, value) for name, value in self._headers.items() if name not in _OF_UPGRADES
        )
        if b"close" in self._headers.get(b"connection", b"").lower():
            lines.append(b"connection: close")
        return b"\r\n".join((*lines, b"", b""))

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = self._parser = None
        self._in_line.clear()
        self.resume_writing()
        self._hold(0)
        if self._serving is None:
            self._on_end(self)

    # --- httptools ----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        self._url, self._headers = b"", {}
        self.arriving_since_s = self.last_byte_s

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # else it comes behind a chunked body: too late to say who asks, and for what
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        parser = self._parser
        method = parser.get_method()
        self._asks_to_upgrade = parser.should_upgrade() and method != b"CONNECT"
        if self._asks_to_upgrade:
            return
        self._in_head = False
        path, query = _split(self._url)
        keeps = (
            parser.should_keep_alive() and parser.get_http_version() != "1.0" and not parser.should_upgrade()
        )
        self._request = Request(method.decode(), path, query, self._headers, keeps=keeps)
        self._body, self._body_bytes = [], 0
        waits = self._headers.get(b"expect", b"").lower() == b"100-continue"
        if waits and self._serving is None and self._transport is not None:
            self._transport.write(_GO_ON)

    def on_body(self, body: bytes) -> None:
        if self._request is None or self._ends:
            return  # it was too long, or is not wanted any more
        if not self._hold(self._held_bytes + len(body)):
            self.refuse(TooBusy("the bodies of other requests take all the room there is; try again later"))
            return
        self._body.append(body)
        self._body_bytes += len(body)
        if self._body_bytes > BODY_BYTES_MAX:
            self._body.clear()
            self._request.body = None
            self.on_message_complete()

    def on_message_complete(self) -> None:
        request, self._request = self._request, None
        if request is None:
            return  # it was too long, and is answered already
        self.arriving_since_s = None
        if request.body is not None:
            request.body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            self._body = []
        if self._ends:
            return
        if self._serving is None:
            self._serving = self._loop.create_task(self._serve(request))
        else:
            self._in_line.append(request)

    def _hold(self, wanted_bytes: int) -> bool:
        """Count so many bytes of bodies for this connection; False if there is no room for them."""
        bodies = self._bodies
        more = wanted_bytes - self._held_bytes
        if more > 0 and bodies.held_bytes + more > bodies.bytes_max and not bodies.make_room(more):
            return False
        bodies.held_bytes += more
        self._held_bytes = wanted_bytes
        return True

    def _waiting_bytes(self) -> int:
        arriving = 0 if self._request is None else self._body_bytes
        return arriving + sum(len(request.body or b"") for request in self._in_line)

    # --- answering ----------------------------------------------------------------------------------------

    async def _serve(self, request: Request) -> None:
        while True:
            self._write(request, await self._answer(request))
            if self._held_bytes:
                self._hold(self._waiting_bytes())
            if self._writable is not None:
                await self._writable
            if self._transport is None or self._ends or not self._in_line:
                break
            request = self._in_line.popleft()
            if not self._in_line:
                self._transport.resume_reading()
        self._serving = None
        if self.arriving_since_s is not None:
            self.arriving_since_s = self._loop.time()  # before that, nothing may have been read
        if self._transport is None:
            self._on_end(self)

    def _write(self, request: Request, response: Response) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        status, content_type, body, more, ends = response
        self._ends = self._ends or ends or self.says_last or not request.keeps
        line_end = b"" if body.endswith(b"\n") else b"\n"  # for whoever reads it in a terminal
        transport.write(
            b"%b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b%b\r\n%b%b"
            % (
                _STATUS_LINES[status],
                content_type,
                len(body) + len(line_end),
                more,
                b"connection: close\r\n" if self._ends else b"",
                *((body, line_end) if request.method != "HEAD" else (b"", b"")),
            )
        )
        if self._ends:
            transport.close()

    def refuse(self, error: KvError) -> None:
        """What came is no request, or one without end: say so, and hang up.

        While a request is being served nothing is said: it would be taken for its answer. That ends the connection.
        """
        if self._serving is not None:
            self._ends = True
            self._in_line.clear()
        elif self._transport is not None and not self._transport.is_closing():
            self._ends = True
            last = Request("", b"", b"", {}, keeps=False)
            self._write(last, response_of(error, ends=True))
        self._body.clear()
        self._request = None
        self.arriving_since_s = None

    # --- for the server -----------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether no request is being served."""
        return self._serving is None

    @property
    def is_at_rest(self) -> bool:
        """Whether no request is being served or is on its way."""
        return self._serving is None and self.arriving_since_s is None

    @property
    def held_bytes(self) -> int:
        """How many bytes of bodies it holds."""
        return self._held_bytes

    def give_way(self, error: KvError) -> None:
        """What is arriving is not waited for any more: say why, and hang up."""
        self.refuse(error)
        self._hold(0)

    def end(self) -> None:
        """End the connection: at once if nothing is being served, else with the answer."""
        self._ends = True
        if self._serving is None and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End it now."""
        if self._transport is not None:
            self._transport.abort()


def _split(url: bytes) -> tuple[bytes, bytes]:
    """(path, query) of a request's target. ValueError, or the parser's own error, if it is none."""
    if not url.isascii():
        raise ValueError("the target is not ASCII")
    if url.startswith(b"/") and b"#" not in url:
        path, _, query = url.partition(b"?")
        return path, query
    parsed = httptools.parse_url(url)  # http://host/path?query
    return parsed.path or b"/", parsed.query or b""
