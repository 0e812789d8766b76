"""Arrivals: the right number, the right spread, and no glitch when the rate changes."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from statistics import mean, pstdev

import pytest

from traffic.load.arrivals import WAIT_S_MAX, Arrivals, Pattern
from traffic.load.rates import Constant, Ramp


def arrivals_of(rate: float, pattern: Pattern = "poisson", seed: int = 1) -> Arrivals:
    return Arrivals(Constant(rate), random=Random(seed), start_s=100.0, pattern=pattern)


def test_poisson_arrivals_have_the_mean_and_the_spread_of_poisson() -> None:
    times = list(arrivals_of(200).due(200.0))
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert abs(len(times) - 20_000) < 4 * 20_000**0.5
    assert mean(gaps) == pytest.approx(1 / 200, rel=0.03)
    assert pstdev(gaps) == pytest.approx(1 / 200, rel=0.03)  # exponential: deviation equals mean
    per_second = [sum(1 for time in times if second <= time < second + 1) for second in range(100, 200)]
    assert 0.7 < pstdev(per_second) ** 2 / mean(per_second) < 1.4  # Poisson counts: variance equals mean


def test_even_arrivals_are_evenly_spaced() -> None:
    times = list(arrivals_of(50, "even").due(110.0))
    assert len(times) == 500
    assert {round(b - a, 9) for a, b in pairwise(times)} == {0.02}


def test_asking_often_or_once_gives_the_same_arrivals() -> None:
    once = list(arrivals_of(300).due(110.0))
    often, arrivals = [], arrivals_of(300)
    for step in range(1, 1001):
        often += list(arrivals.due(100 + step / 100))
    assert often == pytest.approx(once)


def test_changing_the_rate_keeps_the_gap_under_way() -> None:
    arrivals = arrivals_of(10, "even")
    list(arrivals.due(105.0))
    waiting_s = arrivals.wait_s(105.0) if arrivals.wait_s(105.0) < WAIT_S_MAX else None
    for step in range(100):  # a slider that is being dragged: the same rate set again and again
        arrivals.change(now_s=105.0 + step / 1000, rate=Constant(10))
    after = list(arrivals.due(106.0))
    assert len(after) == 10
    assert after[0] - 105.0 < 0.1 + 1e-9
    assert waiting_s is None or after[0] == pytest.approx(105.0 + waiting_s)


def test_a_new_rate_holds_at_once_and_loses_nothing() -> None:
    arrivals = arrivals_of(100)
    before = list(arrivals.due(120.0))
    arrivals.change(now_s=120.5, rate=Constant(400))
    pending = list(arrivals.due(120.5))
    after = list(arrivals.due(140.5))
    assert all(120.0 <= time <= 120.5 for time in pending)
    assert len(before) + len(pending) == pytest.approx(2050, abs=200)
    assert len(after) == pytest.approx(8000, abs=400)
    everything = before + pending + after
    assert everything == sorted(everything)


def test_rate_zero_pauses_and_resumes() -> None:
    arrivals = arrivals_of(100)
    list(arrivals.due(101.0))
    arrivals.change(now_s=101.0, rate=Constant(0))
    assert list(arrivals.due(150.0)) == []
    assert arrivals.wait_s(150.0) == WAIT_S_MAX
    arrivals.change(now_s=150.0, rate=Constant(100))
    assert len(list(arrivals.due(151.0))) == pytest.approx(100, abs=40)


def test_a_stopped_time_is_skipped() -> None:
    arrivals = arrivals_of(1000)
    arrivals.skip_to(500.0)
    assert len(list(arrivals.due(501.0))) == pytest.approx(1000, abs=150)


def test_a_ramp_integrates_to_its_area() -> None:
    ramp = Ramp(0, 200, start_s=100.0, duration_s=10.0)
    arrivals = Arrivals(ramp, random=Random(3), start_s=100.0, pattern="even")
    times = list(arrivals.due(110.0))
    assert len(times) == pytest.approx(1000, abs=2)
    assert sum(1 for time in times if time < 105.0) == pytest.approx(250, abs=2)


@pytest.mark.parametrize("rate", [-1, 5001, float("nan"), float("inf")])
def test_a_rate_that_nobody_can_mean_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate must be between 0 and 5000"):
        Constant(rate)
