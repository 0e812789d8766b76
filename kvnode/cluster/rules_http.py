"""Telling one node its link rules: a single POST /faults, written by hand on asyncio streams.

The supervisor has one thread and must react to its owner's death at any moment, so it cannot use a blocking
HTTP client, and it imports nothing heavy, so that a cluster starts fast. Not here: which rules (faults.py),
and when (keeper.py).
"""

from __future__ import annotations

import asyncio
import json

from kvnode.cluster.faults import Rules
from kvnode.cluster.state import Address

TIMEOUT_S = 2.0
ANSWER_BYTES_MAX = 64 * 1024


async def post_rules(address: Address, rules: Rules, token: str | None = None) -> str:
    """Replace all outgoing rules of the node; an empty answer is success, else it says why not."""
    try:
        return await asyncio.wait_for(_exchange(address, rules, token), TIMEOUT_S)
    except TimeoutError:
        return f"no answer in {TIMEOUT_S:.0f} s"
    except (OSError, asyncio.IncompleteReadError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


async def _exchange(address: Address, rules: Rules, token: str | None) -> str:
    body = json.dumps({"rules": rules}).encode()
    bearer = "" if token is None else f"Authorization: Bearer {token}\r\n"
    head = (
        f"POST /faults HTTP/1.1\r\nHost: {address.reachable_host}:{address.http_port}\r\n{bearer}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(address.reachable_host, address.http_port)
    try:
        writer.write(head.encode() + body)
        await writer.drain()
        status_line = (await reader.readline()).decode(errors="replace").split(maxsplit=2)
        if len(status_line) >= 2 and status_line[1] == "200":
            return ""
        rest = (await reader.read(ANSWER_BYTES_MAX)).decode(errors="replace")
        return " ".join(status_line).strip() + ": " + rest.rpartition("\r\n\r\n")[2][:500]
    finally:
        writer.close()
