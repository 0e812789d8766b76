"""Replicas that differ after the bound are a violation; before it, or if one is away, nobody can tell."""

from __future__ import annotations

import pytest

from kvnode.checkers import UNREACHABLE, check_convergence

AGREEING = {"node-1": "aa", "node-2": "aa", "node-3": "aa"}
DIFFERING = {"node-1": "aa", "node-2": "bb", "node-3": None}


def test_replicas_that_hold_the_same_are_ok() -> None:
    verdict = check_convergence({"k": AGREEING, "gone": dict.fromkeys(AGREEING)}, waited_s=1.0, bound_s=10.0)
    assert str(verdict) == "keys 2, differing 0, waited s 1: ok"


def test_replicas_that_differ_after_the_bound_are_a_violation_and_the_evidence_has_their_digests() -> None:
    verdict = check_convergence({"k": AGREEING, "x": DIFFERING}, waited_s=10.0, bound_s=10.0)
    assert (verdict.status, verdict.facts["differing"]) == ("violated", 1)
    assert verdict.evidence == ("'x': node-1 aa, node-2 bb, node-3 nothing",)


@pytest.mark.parametrize("bound_s", [10.0, None])
def test_replicas_that_differ_before_the_bound_may_still_agree(bound_s: float | None) -> None:
    assert check_convergence({"x": DIFFERING}, waited_s=3.0, bound_s=bound_s).status == "unknown"


def test_a_replica_that_is_away_leaves_it_unknown_unless_the_others_differ() -> None:
    away = {"node-1": "aa", "node-2": "aa", "node-3": UNREACHABLE}
    verdict = check_convergence({"k": away}, waited_s=10.0, bound_s=10.0)
    assert (verdict.status, verdict.evidence) == ("unknown", ("'k': not every replica answered",))
    away["node-2"] = "bb"
    assert check_convergence({"k": away}, waited_s=10.0, bound_s=10.0).status == "violated"


def test_no_key_or_one_that_could_not_be_looked_at_is_unknown() -> None:
    assert check_convergence({}, waited_s=10.0, bound_s=10.0).status == "unknown"
    assert check_convergence({"k": None}, waited_s=10.0, bound_s=10.0).status == "unknown"
