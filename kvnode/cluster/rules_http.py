"""Telling one node its link rules: a single POST /faults.

Not here: which rules (faults.py), and when (rule_teller.py).
"""

from __future__ import annotations

from kvnode.cluster import node_http
from kvnode.cluster.faults import Rules
from kvnode.config import NodeAddress

TIMEOUT_S = 2.0


async def post_rules(address: NodeAddress, rules: Rules, token: str | None = None) -> str:
    """Replace all outgoing rules of the node; an empty answer is success, else it says why not."""
    try:
        status, answer = await node_http.ask(
            address, "POST", "/faults", {"rules": rules}, token=token, timeout_s=TIMEOUT_S
        )
    except OSError as error:
        return str(error) or type(error).__name__
    return "" if status == 200 else f"{status}: {answer.get('detail', answer)}"
