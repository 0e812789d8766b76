"""What a verdict of the traffic service means, in one sentence that says what to do next.

Pure.
Must not live here: how a verdict is reached (kvnode.checkers, behind the service).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BEGIN_ANEW = "Press Reset for next class in the cockpit (a new ledger begins), and run the notebook again."


def meaning(verdict: Mapping[str, Any]) -> str:
    """One sentence or two about `verdict`, which is what POST /api/real/traffic/check answers."""
    status = verdict.get("status")
    if status == "ok":
        return "ok: every acknowledged write was read back, and every counter is right."
    evidence = next(iter(verdict.get("evidence") or ()), "the service gave no evidence")
    if status == "at risk":
        return (
            f"at risk: {verdict['at_risk']} of {verdict['acknowledged']} writes were acknowledged by so few replicas "
            "(W = 1, or R + W not more than N) that the database never promised to keep them; "
            f"{verdict['lost']} of them are missing now. {BEGIN_ANEW}"
        )
    if status == "violated":
        return (
            f"violated: of {verdict['acknowledged']} acknowledged writes {verdict['lost']} are lost, "
            f"{verdict['counters_wrong']} counters are wrong. First evidence: {evidence}"
        )
    return (
        f"unknown: not everything could be read back ({evidence}). "
        "Restart the nodes that are down, wait until all lights are green, and run this cell again."
    )
