"""Asking one node something over HTTP, written by hand on asyncio streams.

The supervisor has one thread and must react to its owner's death at any moment, so it cannot use a blocking HTTP
client, and it imports nothing heavy, so that a cluster starts fast.
Must not live here: what is asked (faults/sync.py, membership_changes.py).
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from kvnode.config import NodeAddress

ANSWER_BYTES_MAX = 1024 * 1024


async def ask(
    address: NodeAddress,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    *,
    token: str | None,
    timeout_s: float,
) -> tuple[int, dict[str, Any]]:
    """(status, JSON body). Raises OSError if there is no sensible answer in time."""
    try:
        return await asyncio.wait_for(_exchange(address, method, path, body, token), timeout_s)
    except TimeoutError as error:
        raise OSError(f"no answer in {timeout_s:.0f} s") from error
    except (asyncio.IncompleteReadError, ValueError) as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


async def _exchange(
    address: NodeAddress, method: str, path: str, body: dict[str, Any] | None, token: str | None
) -> tuple[int, dict[str, Any]]:
    content = b"" if body is None else json.dumps(body).encode()
    bearer = "" if token is None else f"Authorization: Bearer {token}\r\n"
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {address.reachable_host}:{address.http_port}\r\n{bearer}"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(
        address.reachable_host, address.http_port, limit=ANSWER_BYTES_MAX
    )
    try:
        writer.write(head.encode() + content)
        await writer.drain()
        status = int((await reader.readline()).split(maxsplit=2)[1])
        received = await reader.read(ANSWER_BYTES_MAX)
        while len(received) < ANSWER_BYTES_MAX and (more := await reader.read(ANSWER_BYTES_MAX)):
            received += more
        answer = json.loads(received.partition(b"\r\n\r\n")[2])
        return status, answer if isinstance(answer, dict) else {}
    except IndexError as error:
        raise ValueError("that is no HTTP answer") from error
    finally:
        writer.close()
