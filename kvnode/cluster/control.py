"""How commands reach the supervisor: one JSON line each way over a Unix socket that only this user can open.

Both ends stand here: `ask` for whoever commands, `serve` for the supervisor.
Not here: what the commands do (keeper.py).
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from kvnode.cluster.errors import ClusterError, NotRunning, from_wire
from kvnode.cluster.places import make_private

LINE_BYTES_MAX = 1024 * 1024
CONNECT_TIMEOUT_S = 2.0

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


def ask(path: Path, command: dict[str, Any], *, timeout_s: float = 60.0) -> dict[str, Any]:
    """Send one command and wait for its answer.

    Raises NotRunning if nobody listens there, and the supervisor's own ClusterError if it refused.
    """
    received = bytearray()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.settimeout(CONNECT_TIMEOUT_S)
            connection.connect(os.fspath(path))
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
            raise NotRunning(f"no supervisor listens at {path}") from error
        except OSError as error:
            raise ClusterError(f"cannot reach the supervisor at {path}: {error}") from error
        try:
            connection.settimeout(timeout_s)
            connection.sendall(json.dumps(command).encode() + b"\n")
            while not received.endswith(b"\n"):
                data = connection.recv(65_536)
                if not data:
                    raise NotRunning("the supervisor ended before it answered")
                received += data
        except TimeoutError as error:
            raise ClusterError(
                f"{command['command']}: no answer from the supervisor in {timeout_s:.0f} s"
            ) from error
        except OSError as error:
            raise NotRunning(f"the supervisor ended before it answered ({error})") from error
    answer: dict[str, Any] = json.loads(received)
    if not answer.get("ok"):
        raise from_wire(str(answer.get("kind")), str(answer.get("error")))
    return answer


async def serve(path: Path, handler: Handler) -> asyncio.Server:
    """Listen at `path`, for this user only; each line is one command."""
    make_private(path.parent)
    _remove(path)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await _answer(line, handler)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):  # gone, or a line beyond the bound
            pass
        finally:
            writer.close()

    before = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(converse, os.fspath(path), limit=LINE_BYTES_MAX)
    finally:
        os.umask(before)


async def _answer(line: bytes, handler: Handler) -> dict[str, Any]:
    try:
        command = json.loads(line)
        if not isinstance(command, dict) or not isinstance(command.get("command"), str):
            raise ClusterError('expected a JSON object with a "command"')
        return {"ok": True, **await handler(command)}
    except ClusterError as error:
        return {"ok": False, "kind": type(error).__name__, "error": str(error)}
    except (KeyError, TypeError, ValueError) as error:
        return {"ok": False, "kind": "BadCommand", "error": f"this command makes no sense: {error!r}"}


def _remove(path: Path) -> None:
    # Only who holds the cluster's lock comes here: it is a dead supervisor's.
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    path.unlink(missing_ok=True)
