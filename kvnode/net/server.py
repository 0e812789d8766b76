"""Running the HTTP API on uvicorn, with its odd ends tied up: our own sockets, and problem documents for garbage."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from kvnode.config import HEAD_BYTES_MAX
from kvnode.errors import BadRequest, HeadersTooLarge, KvError
from kvnode.net.parse import as_json

_BACKLOG = 512
_GRACE_S = 3  # longer than any request may take (config.FORWARD_TIMEOUT_MS)


class _Protocol(HttpToolsProtocol):
    """uvicorn answers what is no HTTP in plain text, and gathers headers without a bound; ours does neither."""

    _in_head = True
    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
                self._refuse(HeadersTooLarge(f"the head of the request has more than {HEAD_BYTES_MAX} bytes"))

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(BadRequest(f"this is no HTTP request that the node understands: {msg}"))

    def _refuse(self, error: KvError) -> None:
        body = as_json(error.problem())
        head = (
            f"HTTP/1.1 {error.status} {error.title}\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


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
    """One uvicorn server on one socket; starts, and stops when told."""

    def __init__(self, app: Any, listener: socket.socket) -> None:
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=_GRACE_S,
        )
        logging.getLogger("uvicorn").addHandler(
            logging.NullHandler()
        )  # its warnings are no message to people
        self._listener = listener
        self._server = uvicorn.Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to serve."""
        self._server.config.load()
        self._server.lifespan = self._server.config.lifespan_class(self._server.config)
        await self._server.startup(sockets=[self._listener])
        self._task = asyncio.get_running_loop().create_task(self._server.main_loop(), name="http")

    async def stop(self) -> None:
        """Answer what is under way (at most three seconds), then close."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
            await self._server.shutdown(sockets=[self._listener])
