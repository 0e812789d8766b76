"""Link rules: what they do to one message, and which make no sense."""

from __future__ import annotations

import random

import pytest

from kvnode.faults import NO_FAULT, LinkRule


def delays(rule: LinkRule, count: int = 2000) -> list[float | None]:
    chance = random.Random(7)
    return [rule.delay_of_next(chance) for _ in range(count)]


def test_no_fault_delays_and_loses_nothing() -> None:
    assert set(delays(NO_FAULT)) == {0.0}


def test_a_cut_link_loses_everything() -> None:
    assert set(delays(LinkRule(cut=True, delay_ms=5.0))) == {None}


def test_loss_is_the_share_of_messages_that_are_lost() -> None:
    lost = delays(LinkRule(loss=0.3)).count(None)
    assert 500 < lost < 700
    assert set(delays(LinkRule(loss=1.0))) == {None}


def test_jitter_is_on_both_sides_of_the_delay_and_never_below_zero() -> None:
    found = [delay for delay in delays(LinkRule(delay_ms=50.0, jitter_ms=10.0)) if delay is not None]
    assert 40.0 <= min(found) < 42.0 < 58.0 < max(found) <= 60.0
    assert min(delay for delay in delays(LinkRule(delay_ms=1.0, jitter_ms=10.0)) if delay is not None) == 0.0


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (LinkRule(delay_ms=-1.0), "delay_ms=-1.0: expected 0 to 10000"),
        (LinkRule(jitter_ms=1e6), "jitter_ms=1000000.0: expected 0 to 10000"),
        (LinkRule(loss=1.01), "loss=1.01: expected 0 to 1"),
        (LinkRule(delay_ms=float("nan")), "delay_ms=nan"),
    ],
)
def test_a_rule_out_of_bounds_says_which_figure(rule: LinkRule, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        rule.check()
