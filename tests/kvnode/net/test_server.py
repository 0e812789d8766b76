"""How many connections and how much of bodies a server holds, and who gives way when there is no room."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from kvnode.net import server as server_module
from kvnode.net.connection import JSON, Request, Response
from kvnode.net.server import HttpServer, bind

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
Scenario = Callable[[HttpServer, int], Coroutine[Any, Any, None]]


def with_server(scenario: Scenario, **bounds: int) -> None:
    async def answer(request: Request) -> Response:
        return Response(200, JSON, b"%d" % len(request.body or b""))

    async def whole() -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = HttpServer(answer, bind("127.0.0.1", port), **bounds)
        await server.start()
        try:
            await asyncio.wait_for(scenario(server, port), 20.0)
        finally:
            await server.stop()

    asyncio.run(whole())


class Caller:
    """One client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int) -> Caller:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def ask(self, data: bytes = REQUEST) -> tuple[int, bytes]:
        self.send(data)
        return await self.answer()

    async def answer(self) -> tuple[int, bytes]:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        return int(head.split()[1]), await self.reader.readexactly(length)

    async def is_closed(self) -> bool:
        return await self.reader.read(-1) == b""


def put_of(size: int) -> bytes:
    return b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("not within five seconds")


def test_of_too_many_connections_the_one_at_rest_for_longest_gives_way() -> None:
    """1. Sockets on which nothing came took all files of a node. 2. Nobody could connect to it any more."""

    async def scenario(server: HttpServer, port: int) -> None:
        callers = [await Caller.connect(port) for _ in range(4)]
        for caller in callers:
            assert (await caller.ask())[0] == 200
        assert (await callers[0].ask())[0] == 200  # it is not the oldest now
        fifth = await Caller.connect(port)
        assert await fifth.ask() == (200, b"0\n")
        assert await callers[1].is_closed()
        for caller in (callers[0], callers[2], callers[3], fifth):
            assert (await caller.ask())[0] == 200
        assert server.describe().made_way_total == 1

    with_server(scenario, count_max=4)


def test_a_connection_too_many_is_refused_in_words_while_all_others_are_in_use() -> None:
    async def scenario(server: HttpServer, port: int) -> None:
        callers = [await Caller.connect(port) for _ in range(2)]
        for caller in callers:
            caller.send(put_of(10) + b"12345")
        await until(lambda: server.describe().bodies_bytes == 10)
        refused = await Caller.connect(port)
        status, body = await refused.answer()
        problem = json.loads(body)
        assert (status, problem["title"], problem["definite"]) == (503, "Overloaded", True)
        assert "2 connections" in problem["detail"]
        assert await refused.is_closed()
        for caller in callers:
            assert await caller.ask(b"67890") == (200, b"10\n")
        assert await (await Caller.connect(port)).ask() == (200, b"0\n")

    with_server(scenario, count_max=2)


def test_a_request_that_does_not_arrive_in_time_is_answered_and_hung_up_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_module, "REQUEST_ARRIVAL_S", 0.2)
    monkeypatch.setattr(server_module, "_LOOK_S", 0.05)

    async def scenario(server: HttpServer, port: int) -> None:
        head, body, at_rest = [await Caller.connect(port) for _ in range(3)]
        assert (await at_rest.ask())[0] == 200
        head.send(REQUEST[:10])
        body.send(put_of(100) + b"x" * 50)
        for caller in (head, body):
            status, problem = await caller.answer()
            assert (status, json.loads(problem)["definite"]) == (408, True)
            assert await caller.is_closed()
        assert server.describe().bodies_bytes == 0
        assert (await at_rest.ask())[0] == 200

    with_server(scenario)


def test_bodies_that_stall_give_way_to_one_that_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """1. Hundreds of requests sent a megabyte each and then nothing. 2. The node grew by as many megabytes."""
    monkeypatch.setattr(server_module, "BODY_STALLED_S", 0.05)

    async def scenario(server: HttpServer, port: int) -> None:
        stalled = [await Caller.connect(port) for _ in range(3)]
        for number, caller in enumerate(stalled):
            caller.send(put_of(50_000) + b"x" * 30_000)
            await until(lambda number=number: server.describe().bodies_bytes == 30_000 * (number + 1))  # type: ignore
        await asyncio.sleep(0.1)
        assert await (await Caller.connect(port)).ask(put_of(40_000) + b"x" * 40_000) == (200, b"40000\n")
        status, problem = await stalled[0].answer()
        assert (status, json.loads(problem)["title"]) == (408, "Request timeout")
        await until(lambda: server.describe().bodies_bytes == 60_000)
        for caller in stalled[1:]:
            assert await caller.ask(b"x" * 20_000) == (200, b"50000\n")
        assert server.describe().bodies_bytes == 0

    with_server(scenario, bodies_bytes_max=100_000)


def test_a_body_for_which_there_is_no_room_is_refused_and_nothing_of_it_is_kept() -> None:
    async def scenario(server: HttpServer, port: int) -> None:
        first = await Caller.connect(port)
        first.send(put_of(90_000) + b"x" * 80_000)
        await until(lambda: server.describe().bodies_bytes == 80_000)
        late = await Caller.connect(port)
        status, problem = await late.ask(put_of(60_000) + b"x" * 60_000)
        assert (status, json.loads(problem)["definite"]) == (429, True)
        await until(lambda: server.describe().bodies_bytes == 80_000)
        assert await first.ask(b"x" * 10_000) == (200, b"90000\n")

    with_server(scenario, bodies_bytes_max=100_000)


def test_a_wish_for_another_protocol_is_passed_over_and_the_body_is_read() -> None:
    """1. `curl --http2` sends Upgrade: h2c with its first request. 2. The parser stopped behind the head, and a PUT
    was refused: "the body is empty".
    """
    head = put_of(4).replace(
        b"\r\n\r\n",
        b"\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n\r\n",
    )

    async def scenario(server: HttpServer, port: int) -> None:
        caller = await Caller.connect(port)
        assert await caller.ask(head + b"body") == (200, b"4\n")
        for piece in (head[:30], head[30:], b"bo"):
            caller.send(piece)
            await asyncio.sleep(0.01)
        assert await caller.ask(b"dy" + REQUEST + head + b"1234") == (200, b"4\n")
        assert [await caller.answer(), await caller.answer()] == [(200, b"0\n"), (200, b"4\n")]

    with_server(scenario)


def test_a_server_that_stops_says_so_in_its_last_answers_and_leaves_no_request_without_one() -> None:
    async def scenario(server: HttpServer, port: int) -> None:
        callers = [await Caller.connect(port) for _ in range(3)]
        for caller in callers:
            assert (await caller.ask())[0] == 200
        stopping = asyncio.ensure_future(server.stop())
        await asyncio.sleep(0)
        for caller in callers:
            caller.send(REQUEST)
            head = await caller.reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert b"connection: close" in head.lower()
        await asyncio.wait_for(stopping, 1.0)

    with_server(scenario)
