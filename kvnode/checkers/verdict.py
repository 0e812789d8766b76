"""What every checker answers: a claim, how it stands, and the shortest evidence.

Must not live here: how a verdict is reached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["ok", "violated", "at risk", "unknown"]
"""ok: the claim was checked and holds. violated: it does not. at risk: it was never promised for some of
these operations (as with w + r <= n), whatever was seen. unknown: something could not be read, or there was
nothing to check."""

EVIDENCE_COUNT_MAX = 20
WORST_FIRST: tuple[Status, ...] = ("violated", "unknown", "at risk", "ok")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a claim stands.

    facts: what was counted or measured, by name, in the order in which people want to read it; a name ends in its
    unit where it has one. evidence: one line a finding, at most EVIDENCE_COUNT_MAX and a last line that counts the
    rest.

    Of the ledger alone: acknowledged: writes that were acknowledged (puts, deletes and counter updates). lost: how
    many of them the final reads miss. at_risk: acknowledged writes to which the promise does not extend.
    """

    status: Status
    claim: str
    acknowledged: int = 0
    lost: int = 0
    at_risk: int = 0
    counters_checked: int = 0
    counters_wrong: int = 0
    evidence: tuple[str, ...] = ()
    facts: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def ok(self) -> bool:
        """Whether the claim was checked and holds."""
        return self.status == "ok"

    def __str__(self) -> str:
        if self.facts:
            return f"{', '.join(_in_words(name, value) for name, value in self.facts.items())}: {self.status}"
        return f"acknowledged {self.acknowledged}, lost {self.lost}: {self.status}"

    def as_json(self) -> dict[str, Any]:
        """The verdict as an API answers it."""
        return {
            "claim": self.claim,
            "status": self.status,
            "summary": str(self),
            "acknowledged": self.acknowledged,
            "lost": self.lost,
            "at_risk": self.at_risk,
            "counters_checked": self.counters_checked,
            "counters_wrong": self.counters_wrong,
            "facts": dict(self.facts),
            "evidence": list(self.evidence),
        }

    # --- one for each way in which it can stand -----------------------------------------------------------

    @classmethod
    def holds(cls, claim: str, facts: Mapping[str, float] | None = None) -> Verdict:
        """The claim was checked and is true."""
        return cls(status="ok", claim=claim, facts=facts or {})

    @classmethod
    def broken(cls, claim: str, evidence: Sequence[str], facts: Mapping[str, float] | None = None) -> Verdict:
        """The claim is false, and the evidence shows where."""
        return cls(status="violated", claim=claim, facts=facts or {}, evidence=shortened(evidence))

    @classmethod
    def not_promised(
        cls, claim: str, evidence: Sequence[str] = (), facts: Mapping[str, float] | None = None
    ) -> Verdict:
        """Nobody promised the claim for these settings; the evidence shows where it was false, if it was."""
        return cls(status="at risk", claim=claim, facts=facts or {}, evidence=shortened(evidence))

    @classmethod
    def not_known(
        cls, claim: str, why: str | Sequence[str], facts: Mapping[str, float] | None = None
    ) -> Verdict:
        """The claim could not be checked, and this is why."""
        evidence = [why] if isinstance(why, str) else why
        return cls(status="unknown", claim=claim, facts=facts or {}, evidence=shortened(evidence))


def _in_words(name: str, value: float) -> str:
    return f"{name.replace('_', ' ')} {value if isinstance(value, int) else f'{value:.4g}'}"


def worst(verdicts: Sequence[Verdict]) -> Status:
    """The worst status among them; unknown if there are none."""
    found = {verdict.status for verdict in verdicts}
    return next((status for status in WORST_FIRST if status in found), "unknown")


def merged(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict over several on the same claim: the worst status, all counts, the first evidence.

    Of facts whose name ends in `_max` or in `_s` (a time) the greatest counts; the others are summed.
    """
    facts: dict[str, float] = {}
    for verdict in verdicts:
        for name, value in verdict.facts.items():
            known = facts.get(name)
            if known is None:
                facts[name] = value
            else:
                facts[name] = max(known, value) if name.endswith(("_max", "_s")) else known + value
    return Verdict(
        status=worst(verdicts),
        claim=verdicts[0].claim,
        acknowledged=sum(verdict.acknowledged for verdict in verdicts),
        lost=sum(verdict.lost for verdict in verdicts),
        at_risk=sum(verdict.at_risk for verdict in verdicts),
        counters_checked=sum(verdict.counters_checked for verdict in verdicts),
        counters_wrong=sum(verdict.counters_wrong for verdict in verdicts),
        evidence=shortened([line for verdict in verdicts for line in verdict.evidence]),
        facts=facts,
    )


def shortened(evidence: Sequence[str]) -> tuple[str, ...]:
    """The first findings, and how many more there are."""
    if len(evidence) <= EVIDENCE_COUNT_MAX:
        return tuple(evidence)
    more = len(evidence) - EVIDENCE_COUNT_MAX
    return (*evidence[:EVIDENCE_COUNT_MAX], f"… and {more} more")
