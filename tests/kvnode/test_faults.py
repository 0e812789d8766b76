"""Link rules: what they do to one message, and which make no sense."""

from __future__ import annotations

import random
from statistics import mean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.faults import DELAY_MS_MAX, NO_FAULT, Distribution, Line, LinkRule


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


def scattered(distribution: Distribution, delay_ms: float = 50.0, jitter_ms: float = 0.0) -> list[float]:
    rule = LinkRule(delay_ms=delay_ms, jitter_ms=jitter_ms, distribution=distribution)
    return sorted(delay for delay in delays(rule, 200_000) if delay is not None)


@pytest.mark.parametrize(
    ("distribution", "at_median", "at_99", "at_999"),
    [("fixed", 50.0, 50.0, 50.0), ("exponential", 34.7, 230.3, 345.4), ("long-tailed", 26.5, 359.1, 1666.7)],
)
def test_delays_have_the_mean_and_the_tail_of_their_distribution(
    distribution: Distribution, at_median: float, at_99: float, at_999: float
) -> None:
    found = scattered(distribution)
    assert mean(found) == pytest.approx(50.0, rel=0.05)
    assert median(found) == pytest.approx(at_median, rel=0.02)
    assert found[len(found) * 99 // 100] == pytest.approx(at_99, rel=0.05)
    assert found[len(found) * 999 // 1000] == pytest.approx(at_999, rel=0.1)


def test_the_long_tail_ends_at_the_bound_and_loses_what_the_docstring_says_of_its_mean() -> None:
    found = scattered("long-tailed", delay_ms=900.0)
    assert found[0] == pytest.approx(300.0, rel=0.01)
    assert found[-1] == DELAY_MS_MAX
    assert mean(found) == pytest.approx(900.0 * (1 - 2 / 3 * (300.0 / DELAY_MS_MAX) ** 0.5), rel=0.02)


@pytest.mark.parametrize("distribution", ["exponential", "long-tailed"])
def test_jitter_comes_on_top_of_any_distribution(distribution: Distribution) -> None:
    plain, jittered = scattered(distribution), scattered(distribution, jitter_ms=10.0)
    assert mean(jittered) == pytest.approx(mean(plain), rel=0.05)
    assert jittered[0] < plain[0] or jittered[0] == 0.0


def test_a_fixed_delay_draws_nothing_so_that_older_seeds_stay_what_they_were() -> None:
    chance = random.Random(7)
    before = chance.getstate()
    assert LinkRule(delay_ms=50.0).delay_of_next(chance) == 50.0
    assert chance.getstate() == before


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (LinkRule(delay_ms=-1.0), "delay_ms=-1.0: expected 0 to 10000"),
        (LinkRule(jitter_ms=1e6), "jitter_ms=1000000.0: expected 0 to 10000"),
        (LinkRule(loss=1.01), "loss=1.01: expected 0 to 1"),
        (LinkRule(delay_ms=float("nan")), "delay_ms=nan"),
        (LinkRule(bytes_per_s=-1.0), "bytes_per_s=-1.0: expected 0 .no limit., or 1 to 1000000000"),
        (LinkRule(bytes_per_s=0.5), "bytes_per_s=0.5"),
        (LinkRule(bytes_per_s=float("nan")), "bytes_per_s=nan"),
        (LinkRule(distribution="normal"), "distribution=normal: expected fixed, exponential, long-tailed"),  # type: ignore[arg-type]
    ],
)
def test_a_rule_out_of_bounds_says_which_figure(rule: LinkRule, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        rule.check()


def test_a_message_behind_others_passes_when_all_of_them_have() -> None:
    """n bytes behind m bytes take (m + n) / rate; after a pause the line is free, and nothing was saved up."""
    line = Line()
    line.free_s = line.passed_s(10.0, 3000, 1000.0)
    assert line.free_s == 13.0
    assert line.passed_s(10.0, 500, 1000.0) == 10.0 + (3000 + 500) / 1000.0
    assert line.passed_s(12.0, 500, 1000.0) == 13.5
    assert line.passed_s(20.0, 500, 1000.0) == 20.5


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 10_000)), max_size=30), st.floats(1.0, 1e6))
def test_no_span_carries_more_than_its_rate_and_none_overtakes(
    sends: list[tuple[float, int]], rate: float
) -> None:
    line, now_s, passed = Line(), 0.0, [0.0]
    for pause_s, size in sends:
        now_s += pause_s
        line.free_s = line.passed_s(now_s, size, rate)
        assert line.free_s >= max(now_s, passed[-1]) + size / rate * (1 - 1e-9)
        passed.append(line.free_s)
    assert line.free_s * rate >= sum(size for _, size in sends) * (1 - 1e-9)


def test_a_bandwidth_draws_nothing() -> None:
    chance = random.Random(7)
    before = chance.getstate()
    assert LinkRule(bytes_per_s=1000.0).delay_of_next(chance) == 0.0
    assert chance.getstate() == before
