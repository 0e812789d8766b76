"""A verdict in words: what it means, and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.verdicts import meaning

VERDICT: dict[str, Any] = {
    "status": "ok", "acknowledged": 320, "lost": 0, "at_risk": 0, "counters_checked": 40, "counters_wrong": 0,
    "evidence": [],
}  # fmt: skip


@pytest.mark.parametrize("status", ["ok", "at risk", "violated", "unknown"])
def test_every_verdict_has_a_meaning_even_without_evidence(status: str) -> None:
    said = meaning({**VERDICT, "status": status})
    assert said.startswith(f"{status}: ")
    assert "[]" not in said


def test_at_risk_says_how_many_why_and_what_to_do() -> None:
    said = meaning({**VERDICT, "status": "at risk", "at_risk": 41, "lost": 2})
    assert "41 of 320 writes" in said
    assert "W = 1" in said
    assert "2 of them are missing" in said
    assert "Reset for next class" in said


def test_a_violation_and_an_unknown_show_the_first_evidence() -> None:
    evidence = ["'tweet/1': a:1 was acknowledged with w=2, the read holds nothing", "more"]
    for status in ("violated", "unknown"):
        assert evidence[0] in meaning({**VERDICT, "status": status, "lost": 1, "evidence": evidence})
