"""What nodes log, counted: which rare events a run has met."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from kvnode.ring import MOVING, STABLE


def count_logged(counts: Counter[str], event: str, facts: Mapping[str, Any]) -> None:
    """Count one event that a node has logged, if it is one of those."""
    if event == "member" and facts["after"] != "suspect":
        counts[f"member {facts['before']} to {facts['after']}"] += 1
    elif event == "exchange":
        counts["exchange found a difference"] += 1
    elif event == "swept":
        counts["tombstones swept"] += facts["tombstones"]
    elif event == "came_back_too_late":
        counts["former member came back too late"] += 1
    elif event == "record_corrupt":
        counts["damaged row found"] += 1
    elif event == "store_renewed":
        counts["store renewed in mid-life"] += 1
    elif event == "ring":
        counts["ring change learnt"] += 1
        if facts["phase"] == STABLE and facts["members"] == facts["members_before"]:
            counts["change called off" if facts["phase_before"] == MOVING else "ring renewed"] += 1
