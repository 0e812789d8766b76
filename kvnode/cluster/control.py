"""How commands reach the supervisor: one JSON line each way over a Unix socket that only this user can open.

Both ends stand here: `ask` for whoever commands, `serve` for the supervisor.
Must not live here: what the commands do (processes/manager.py), and what a lease is (faults/leases.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from kvnode.cluster.contract import Answer, ClusterState, Command, command_from, from_json, name_of, to_json
from kvnode.cluster.errors import ClusterError, NotRunning, from_wire
from kvnode.cluster.faults import leases
from kvnode.cluster.faults.leases import Lease
from kvnode.cluster.paths import make_private

LINE_BYTES_MAX = 1024 * 1024
CONNECT_TIMEOUT_S = 2.0
GONE_PATIENCE_S = 1.0
"""When who asked has gone, what they asked for may go on for so long before what they did is undone."""

Handler = Callable[[Command], Awaitable[ClusterState]]


class Ended(Protocol):
    """Who is told that the holder of a lease is gone."""

    def __call__(self, lease: Lease, *, is_final: bool) -> Awaitable[None]:
        """is_final: the connection has ended, and no command of it is under way any more."""


def ask(path: Path, command: Command, *, timeout_s: float = 60.0) -> ClusterState:
    """Send one command and wait for the state after it.

    Raises NotRunning if nobody listens there, and the supervisor's own ClusterError if it refused.
    """
    with connect(path) as connection:
        return say(connection, command, timeout_s=timeout_s)


def connect(path: Path) -> socket.socket:
    """A connection to the supervisor, for as many commands as are wanted. Raises NotRunning if nobody listens there."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(CONNECT_TIMEOUT_S)
        connection.connect(os.fspath(path))
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
        connection.close()
        raise NotRunning(f"no supervisor listens at {path}") from error
    except OSError as error:
        connection.close()
        raise ClusterError(f"cannot reach the supervisor at {path}: {error}") from error
    return connection


def say(connection: socket.socket, command: Command, *, timeout_s: float) -> ClusterState:
    """Send one command over a connection and wait for the state after it; raises as `ask`."""
    received = bytearray()
    try:
        connection.settimeout(timeout_s)
        connection.sendall(to_json(command))
        while not received.endswith(b"\n"):
            data = connection.recv(65_536)
            if not data:
                raise NotRunning("the supervisor ended before it answered")
            received += data
    except TimeoutError as error:
        raise ClusterError(
            f"{name_of(command)}: no answer from the supervisor in {timeout_s:.0f} s"
        ) from error
    except OSError as error:
        raise NotRunning(f"the supervisor ended before it answered ({error})") from error
    answer = from_json(bytes(received), Answer)
    if not answer.ok or answer.state is None:
        raise from_wire(answer.kind, answer.error)
    return answer.state


async def serve(path: Path, handler: Handler, ended: Ended) -> asyncio.Server:
    """Listen at `path`, for this user only; each line is one command.

    A connection may become a lease (faults/leases.py); `ended` is told when its holder is gone.
    """
    make_private(path.parent)
    _remove(path)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lease = Lease()
        leases.enter(lease)
        with contextlib.suppress(ConnectionError, ValueError):  # gone, or a line beyond the bound
            await _converse(reader, writer, handler, lambda: ended(lease, is_final=False))
        writer.close()
        await ended(lease, is_final=True)

    before = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(converse, os.fspath(path), limit=LINE_BYTES_MAX)
    finally:
        os.umask(before)


async def _converse(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    handler: Handler,
    gone: Callable[[], Awaitable[None]],
) -> None:
    """Answer line by line, until there is none. Who goes away during a long command is noticed at once."""
    line = await reader.readline()
    while line:
        answering = asyncio.ensure_future(_answer(line, handler))
        following = asyncio.ensure_future(reader.readline())
        try:
            await asyncio.wait({answering, following}, return_when=asyncio.FIRST_COMPLETED)
            if following.done() and not answering.done() and _is_end(following):
                await asyncio.wait({answering}, timeout=GONE_PATIENCE_S)
                await gone()
            writer.write(to_json(await answering))
            await writer.drain()
            line = await following
        finally:
            following.cancel()


def _is_end(reading: asyncio.Future[bytes]) -> bool:
    return reading.cancelled() or reading.exception() is not None or not reading.result()


async def _answer(line: bytes, handler: Handler) -> Answer:
    try:
        return Answer(ok=True, state=await handler(command_from(line)))
    except ClusterError as error:
        return Answer.refusal(error)
    except OSError as error:  # a full disk, say: the computer refuses, the supervisor goes on
        where = f"{error.filename}: " if error.filename else ""
        return Answer(ok=False, kind="ClusterError", error=f"{where}{error.strerror or error}")


def _remove(path: Path) -> None:
    # Only who holds the cluster's lock comes here: it is a dead supervisor's.
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    path.unlink(missing_ok=True)
