"""Telling one node its faults: a single POST /faults.

Not here: which faults (faults/rules.py), and when (faults/sync.py).
"""

from __future__ import annotations

from typing import Any

from kvnode.cluster import node_http
from kvnode.config import NodeAddress

TIMEOUT_S = 2.0


async def post_faults(address: NodeAddress, faults: dict[str, Any], token: str | None = None) -> str:
    """Replace all faults of the node; an empty answer is success, else it says why not."""
    try:
        status, answer = await node_http.ask(
            address, "POST", "/faults", faults, token=token, timeout_s=TIMEOUT_S
        )
    except OSError as error:
        return str(error) or type(error).__name__
    return "" if status == 200 else f"{status}: {answer.get('detail', answer)}"
