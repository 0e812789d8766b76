"""A connection on a socket of this computer: what it takes for a request, in which order it answers, when it ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from kvnode.config import BODY_BYTES_MAX, HEAD_BYTES_MAX
from kvnode.net.connection import JSON, Connection, Request, Response
from kvnode.net.server import HttpServer, bind


class Served:
    """An application that remembers its requests and answers each with its own path, when it is let."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.came = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def answer(self, request: Request) -> Response:
        self.requests.append(request)
        self.came.set()
        await self.gate.wait()
        return Response(200, JSON, request.path)


def with_server(scenario: Callable[[Served, HttpServer, int], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        served = Served()
        server = HttpServer(served.answer, bind("127.0.0.1", port))
        await server.start()
        try:
            await asyncio.wait_for(scenario(served, server, port), 20.0)
        finally:
            await server.stop()

    asyncio.run(whole())


async def exchange(port: int, *pieces: bytes) -> bytes:
    """Send the pieces, and read until the other side hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    data = await reader.read(-1)
    writer.close()
    return data


LAST = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def test_a_request_in_single_bytes_is_the_same_request() -> None:
    whole = b"PUT /kv/a?w=2 HTTP/1.1\r\nHost: x\r\nX-Y: z\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"

    async def scenario(served: Served, server: HttpServer, port: int) -> None:
        answer = await exchange(port, *(whole[i : i + 1] for i in range(len(whole))))
        assert answer.startswith(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 6\r\n"
        )
        assert answer.endswith(b"\r\nconnection: close\r\n\r\n/kv/a\n")
        (request,) = served.requests
        assert (request.method, request.path, request.query, request.body) == ("PUT", b"/kv/a", b"w=2", b"{}")
        assert request.headers[b"x-y"] == b"z"

    with_server(scenario)


def test_requests_that_come_together_are_answered_in_order() -> None:
    async def scenario(served: Served, server: HttpServer, port: int) -> None:
        served.gate.clear()
        many = b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(50))
        asked = asyncio.ensure_future(exchange(port, many + LAST))
        await served.came.wait()
        assert len(served.requests) == 1, "one at a time"
        served.gate.set()
        bodies = [part.rpartition(b"\r\n\r\n")[2] for part in (await asked).split(b"HTTP/1.1 200 OK")[1:]]
        assert bodies == [*(b"/%d\n" % number for number in range(50)), b"/last\n"]

    with_server(scenario)


def test_a_body_beyond_its_bound_is_not_kept_and_the_next_request_is_served() -> None:
    async def scenario(served: Served, server: HttpServer, port: int) -> None:
        size = BODY_BYTES_MAX + 100_000
        head = b"PUT /large HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
        answer = await exchange(port, head, b"x" * size, LAST)
        assert answer.count(b"HTTP/1.1 200 OK") == 2
        assert [request.body for request in served.requests] == [None, b""]

    with_server(scenario)


def test_chunks_are_put_together_and_who_waits_is_told_to_go_on() -> None:
    async def scenario(served: Served, server: HttpServer, port: int) -> None:
        head = b"PUT /k HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = await exchange(port, head, b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n", LAST)
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
        assert served.requests[0].body == b"abcde"

    with_server(scenario)


def test_headers_behind_a_body_change_nothing() -> None:
    async def scenario(served: Served, server: HttpServer, port: int) -> None:
        head = b"PUT /k HTTP/1.1\r\nHost: x\r\nOrigin: far\r\nTransfer-Encoding: chunked\r\n\r\n"
        await exchange(port, head, b"1\r\na\r\n0\r\nOrigin: near\r\nX: y\r\n\r\n", LAST)
        assert served.requests[0].body == b"a"
        assert served.requests[0].headers[b"origin"] == b"far"
        assert b"x" not in served.requests[0].headers

    with_server(scenario)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"no HTTP at all\r\n\r\n", b"400"),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * (HEAD_BYTES_MAX + 1), b"431"),
        (LAST.replace(b" /last ", b" http://x/last?q=1 "), b"200"),
        (LAST.replace(b"HTTP/1.1", b"HTTP/1.0"), b"200"),
        (LAST.replace(b"Connection: close", b"Connection: close, upgrade\r\nUpgrade: h2c"), b"200"),
    ],
    ids=["garbage", "not ASCII", "endless head", "absolute form", "HTTP/1.0", "upgrade"],
)
def test_it_answers_and_hangs_up(sent: bytes, status: bytes) -> None:
    async def scenario(served: Served, server: HttpServer, port: int) -> None:
        answer = await exchange(port, sent)
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert [request.path for request in served.requests] == [b"/last"] * (status == b"200")

    with_server(scenario)


class Wire:
    """A transport that keeps what is written: with it a test says what comes in one chunk."""

    def __init__(self) -> None:
        self.sent = b""
        self.closing = False

    def write(self, data: bytes) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def feed(*chunks: bytes) -> tuple[Served, Wire]:
    """A connection to which these came, each at once, and what it had to say when all was answered."""
    served, wire = Served(), Wire()
    connection = Connection(served.answer, lambda ended: None)
    connection.connection_made(wire)  # type: ignore[arg-type]
    for chunk in chunks:
        connection.data_received(chunk)
        if connection._serving is not None:
            await connection._serving
    return served, wire


LARGE = (
    b"PUT /kv/large HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % HEAD_BYTES_MAX
    + b"\n" * HEAD_BYTES_MAX
)
MANY = (b"GET /kv/one HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 1000 + b"\r\n\r\n") * 70


@pytest.mark.parametrize("before", [LARGE, MANY], ids=["a large body", "many heads"])
@pytest.mark.parametrize("cut", [1, 3, 6, 12, 25, len(LAST) - 1])
def test_what_came_before_a_cut_head_does_not_count_as_its_bytes(before: bytes, cut: int) -> None:
    """1. A large PUT and the first bytes of the next request came in one chunk. 2. All of it was counted as one head,
    and the connection ended with 431.
    """
    served, wire = asyncio.run(feed(before + LAST[:cut], LAST[cut:]))
    assert served.requests[-1].path == b"/last"
    assert b"HTTP/1.1 431" not in wire.sent


@pytest.mark.parametrize(
    "line", [b"X: " + b"x" * 1000 + b"\r\n", b"X: /last\r\n"], ids=["large", "its own target"]
)
def test_a_head_without_end_behind_a_body_is_refused(line: bytes) -> None:
    lines = line * (20_000 // len(line))
    _, wire = asyncio.run(feed(LARGE + LAST[:-2], *[lines] * 3))
    assert b"HTTP/1.1 431" not in wire.sent
    _, wire = asyncio.run(feed(LARGE + LAST[:-2], *[lines] * 4))
    assert b"HTTP/1.1 431" in wire.sent


def test_stopping_answers_what_is_under_way_and_closes_the_rest() -> None:
    async def scenario(served: Served, server: HttpServer, port: int) -> None:
        served.gate.clear()
        idle, _ = await asyncio.open_connection("127.0.0.1", port)
        asked = asyncio.ensure_future(exchange(port, b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"))
        await served.came.wait()
        stopping = asyncio.ensure_future(server.stop())
        assert await idle.read(-1) == b""
        served.gate.set()
        assert (await asked).endswith(b"connection: close\r\n\r\n/slow\n")
        await stopping

    with_server(scenario)


def test_a_client_that_leaves_before_its_answer_leaves_nothing_behind() -> None:
    async def scenario(served: Served, server: HttpServer, port: int) -> None:
        served.gate.clear()
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(LAST)
        await served.came.wait()
        writer.transport.abort()
        served.gate.set()
        await server._all_ended.wait()

    with_server(scenario)


def test_nonsense_behind_a_request_is_not_taken_for_its_answer() -> None:
    """1. A PUT arrives and is being stored. 2. Behind it comes what is no request. 3. A 400 went out first, definite,
    and the client took it for the answer of its PUT, which was then applied.
    """

    async def scenario(served: Served, server: HttpServer, port: int) -> None:
        served.gate.clear()
        asked = asyncio.ensure_future(
            exchange(port, b"GET /first HTTP/1.1\r\nHost: x\r\n\r\nnonsense\r\n\r\n")
        )
        await served.came.wait()
        served.gate.set()
        answer = await asked
        assert answer.count(b"HTTP/1.1") == 1
        assert answer.startswith(b"HTTP/1.1 200 OK") and answer.endswith(b"/first\n")

    with_server(scenario)
