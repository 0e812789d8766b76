"""The HTTP client against a server that answers exactly what a test wants, well-behaved or not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from traffic.stores.http import (
    BadAnswer,
    ConnectFailed,
    ConnectionLost,
    HttpError,
    LineFull,
    Pool,
    Timeout,
)

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def read_request(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = next(
        (int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-length")),
        0,
    )
    return head, await reader.readexactly(length)


@asynccontextmanager
async def server(handler: Handler, **pool: Any) -> Any:
    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(guarded, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    client = Pool(f"http://127.0.0.1:{port}", **{"timeout_s": 2.0, **pool})
    try:
        yield client
    finally:
        await client.close()
        listening.close()


def always(answer: bytes, seen: list[str] | None = None) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, body = await read_request(reader)
            if seen is not None:
                seen.append(head + body.decode())
            writer.write(answer)

    return handle


def test_a_request_and_its_answer() -> None:
    async def main() -> None:
        seen: list[str] = []
        async with server(always(OK, seen)) as client:
            answer = await client.request("PUT", "/kv/tweet%2F1?w=2", b'{"value":1}')
            assert (answer.status, answer.body) == (200, b"ok")
        assert seen[0].startswith("PUT /kv/tweet%2F1?w=2 HTTP/1.1\r\nHost: 127.0.0.1:")
        assert "Content-Type: application/json\r\nContent-Length: 11\r\n" in seen[0]
        assert seen[0].endswith('{"value":1}')

    asyncio.run(main())


def test_the_connection_is_kept() -> None:
    async def main() -> None:
        connections = 0

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            await always(OK)(reader, writer)

        async with server(handle) as client:
            for _ in range(50):
                await client.request("GET", "/")
        assert connections == 1

    asyncio.run(main())


def test_a_chunked_answer_in_small_pieces() -> None:
    async def main() -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                await read_request(reader)
                for (
                    byte
                ) in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n":
                    writer.write(bytes([byte]))
                    await writer.drain()

        async with server(handle) as client:
            for _ in range(3):
                assert (await client.request("GET", "/")).body == b"abcde"

    asyncio.run(main())


def test_interim_and_empty_answers() -> None:
    async def main() -> None:
        continued = b"HTTP/1.1 100 Continue\r\n\r\n" + OK
        async with server(always(continued)) as client:
            assert (await client.request("POST", "/", b"{}")).status == 200
        async with server(always(b"HTTP/1.1 204 No Content\r\n\r\n")) as client:
            for _ in range(3):
                answer = await client.request("POST", "/")
                assert (answer.status, answer.body) == (204, b"")

    asyncio.run(main())


def test_a_server_that_closes_after_each_answer_is_no_error() -> None:
    async def main() -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")

        async with server(handle) as client:
            for _ in range(10):
                assert (await client.request("GET", "/")).status == 200

    asyncio.run(main())


def test_an_idle_connection_that_the_server_closed_is_replaced() -> None:
    async def main() -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            writer.write(OK)

        async with server(handle) as client:
            for _ in range(5):
                assert (await client.request("GET", "/")).status == 200
                async with asyncio.timeout(2):
                    while client._connections:  # noqa: ASYNC110 a pool tells nobody when it shrinks
                        await asyncio.sleep(0.001)

    asyncio.run(main())


def test_many_at_once_stay_within_the_connections() -> None:
    async def main() -> None:
        open_now = most = 0

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal open_now, most
            open_now += 1
            most = max(most, open_now)
            try:
                while True:
                    await read_request(reader)
                    await asyncio.sleep(0.002)
                    writer.write(OK)
            finally:
                open_now -= 1

        async with server(handle, connections_max=4) as client:
            answers = await asyncio.gather(*(client.request("GET", f"/{n}") for n in range(200)))
            assert all(answer.status == 200 for answer in answers)
        assert most <= 4

    asyncio.run(main())


@pytest.mark.parametrize("depth", [1, 4])
def test_answers_find_their_requests(depth: int) -> None:
    async def main() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                _, body = await read_request(reader)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

        async with server(echo, connections_max=2, pipeline_depth_max=depth) as client:
            bodies = [str(number).encode() * (number % 7 + 1) for number in range(300)]
            answers = await asyncio.gather(*(client.request("POST", "/", body) for body in bodies))
            assert [answer.body for answer in answers] == bodies

    asyncio.run(main())


def test_silence_ends_in_a_timeout_that_is_not_definite() -> None:
    async def main() -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        async with server(handle, timeout_s=0.1) as client:
            with pytest.raises(Timeout) as caught:
                await client.request("GET", "/")
            assert not caught.value.definite
            assert not client._connections  # a late answer must not reach the next request

    asyncio.run(main())


def test_one_silent_request_does_not_delay_the_others() -> None:
    async def main() -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                head, _ = await read_request(reader)
                if head.startswith("GET /silent"):
                    await reader.read()
                writer.write(OK)

        async with server(handle, timeout_s=0.3) as client:
            silent = asyncio.ensure_future(client.request("GET", "/silent"))
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            for _ in range(20):
                await client.request("GET", "/")
            assert loop.time() - began_s < 0.25
            with pytest.raises(Timeout):
                await silent

    asyncio.run(main())


def test_a_connection_that_breaks_before_the_answer_is_not_definite() -> None:
    async def main() -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")

        async with server(handle) as client:
            with pytest.raises(ConnectionLost) as caught:
                await client.request("PUT", "/", b"{}")
            assert not caught.value.definite

    asyncio.run(main())


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\xff\x00garbage\r\n\r\n",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        OK + b"and more\r\n\r\n",
    ],
)
def test_garbage_is_a_bad_answer_and_the_client_goes_on(garbage: bytes) -> None:
    async def main() -> None:
        async with server(always(garbage)) as client:
            for _ in range(3):
                try:
                    answer = await client.request("GET", "/")
                except HttpError as error:
                    assert not error.definite
                else:
                    assert answer.body == b"ok"  # the garbage came after a good answer

    asyncio.run(main())


def test_an_answer_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traffic.stores.http.ANSWER_BYTES_MAX", 10_000)

    async def main() -> None:
        huge = b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20_000
        async with server(always(huge)) as client:
            with pytest.raises(BadAnswer):
                await client.request("GET", "/")

    asyncio.run(main())


def test_nobody_there_is_definite_and_asked_again_only_after_a_moment() -> None:
    async def main() -> None:
        listening = await asyncio.start_server(always(OK), "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        listening.close()
        await listening.wait_closed()
        client = Pool(f"http://127.0.0.1:{port}")
        for _ in range(20):
            with pytest.raises(ConnectFailed) as caught:
                await client.request("GET", "/")
            assert caught.value.definite
            assert "no connection to" in str(caught.value)
        await client.close()

    asyncio.run(main())


def test_the_line_is_bounded() -> None:
    async def main() -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        async with server(handle, connections_max=1, waiting_max=5, timeout_s=0.2) as client:
            results = await asyncio.gather(
                *(client.request("GET", "/") for _ in range(20)), return_exceptions=True
            )
            full = [error for error in results if isinstance(error, LineFull)]
            assert 13 <= len(full) <= 15
            assert all(isinstance(error, HttpError) for error in results)

    asyncio.run(main())


def test_a_cancelled_request_leaves_the_client_in_order() -> None:
    async def main() -> None:
        came = asyncio.Event()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                head, _ = await read_request(reader)
                came.set()
                await asyncio.sleep(0.02)
                path = head.split()[1].encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

        async with server(handle, connections_max=1) as client:
            first = asyncio.ensure_future(client.request("GET", "/first"))
            await came.wait()
            first.cancel()
            assert (await client.request("GET", "/second")).body == b"/second"

    asyncio.run(main())


@pytest.mark.parametrize("url", ["https://127.0.0.1:1", "127.0.0.1:9999", "http://"])
def test_a_url_that_cannot_work_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="expected a URL like"):
        Pool(url)
