"""Running the HTTP API on uvicorn, with its odd ends tied up: our own sockets, and problem documents for garbage."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from kvnode.errors import BadRequest
from kvnode.net.parse import as_json

_BACKLOG = 512


class _Protocol(HttpToolsProtocol):
    """uvicorn answers what is no HTTP in plain text; ours is a problem document like every other error."""

    def send_400_response(self, msg: str) -> None:
        body = as_json(BadRequest(f"this is no HTTP request that the node understands: {msg}").problem())
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\n"
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
            timeout_graceful_shutdown=2,
        )
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
        """Answer what is under way (at most two seconds), then close."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
            await self._server.shutdown(sockets=[self._listener])
