"""What every checker answers: a claim, how it stands, and the shortest evidence.

Not here: how a verdict is reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "violated", "at risk", "unknown"]
"""ok: the claim was checked and holds. violated: it does not. at risk: it was never promised for some of
these writes (w + r <= n), whatever the reads say. unknown: something could not be read, or there was nothing
to check."""

EVIDENCE_COUNT_MAX = 20


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a claim stands.

    acknowledged: writes that were acknowledged (puts, deletes and counter updates). lost: how many of them
    the final reads miss. at_risk: acknowledged writes to which the promise does not extend. evidence: one
    line a finding, at most EVIDENCE_COUNT_MAX and a last line that counts the rest.
    """

    status: Status
    claim: str
    acknowledged: int = 0
    lost: int = 0
    at_risk: int = 0
    counters_checked: int = 0
    counters_wrong: int = 0
    evidence: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the claim was checked and holds."""
        return self.status == "ok"

    def __str__(self) -> str:
        return f"acknowledged {self.acknowledged}, lost {self.lost}: {self.status}"


def shortened(evidence: list[str]) -> tuple[str, ...]:
    """The first findings, and how many more there are."""
    if len(evidence) <= EVIDENCE_COUNT_MAX:
        return tuple(evidence)
    more = len(evidence) - EVIDENCE_COUNT_MAX
    return (*evidence[:EVIDENCE_COUNT_MAX], f"… and {more} more")
