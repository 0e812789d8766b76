"""How the worlds come to their verdicts: the same rules for all of them.

Here: from counts to a status.
Must not live here: what is counted (each world), what a verdict is (kvnode.checkers).
"""

from __future__ import annotations

from collections.abc import Sequence

from kvnode.checkers import Status, Verdict
from traffic.workloads.reading import Reads

EVIDENCE_MAX = 20


def judged(
    claim: str,
    *,
    acknowledged: int,
    lost: int,
    unread: int = 0,
    at_risk: bool = False,
    evidence: Sequence[str] = (),
) -> Verdict:
    """Violated if anything acknowledged is lost; else unknown if something could not be read or nothing was
    acknowledged; else at risk if the settings promised nothing; else ok."""
    status: Status = "ok"
    if lost and not at_risk:
        status = "violated"
    elif unread or not acknowledged:
        status = "unknown"
    elif at_risk:
        status = "at risk"
    lines = list(evidence[:EVIDENCE_MAX])
    if len(evidence) > EVIDENCE_MAX:
        lines.append(f"… and {len(evidence) - EVIDENCE_MAX} more")
    if unread:
        lines.append(f"{unread} keys could not be read")
    if not acknowledged:
        lines.append("nothing was acknowledged, so there was nothing to check")
    return Verdict(
        status=status,
        claim=claim,
        acknowledged=acknowledged,
        lost=lost,
        at_risk=acknowledged if at_risk else 0,
        evidence=tuple(lines),
    )


def at_risk(w_min: int | None, reads: Reads) -> bool:
    """Whether some write was acknowledged by so few replicas that a final read need not meet it, or by one
    of several (a single disk is a single failure)."""
    if w_min is None:
        return False
    return w_min + reads.quorum <= reads.replicas or (w_min == 1 < reads.replicas)
