"""Rate functions: what they answer at each moment, and that arrivals follow their area whatever changes."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traffic.clock import SimulatedClock
from traffic.control.presets import CURVES, PEOPLE_WEEKDAY, PEOPLE_WEEKEND
from traffic.load.arrivals import Arrivals
from traffic.load.rates import Burst, Constant, DayCurve, Ramp, Rate, Scaled, Step, rate_now


class Hand:
    """A measuring clock that is moved by hand."""

    def __init__(self, now_s: float = 0.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def area(rate: Rate, from_s: float, to_s: float) -> float:
    """The integral of a rate, by its own staircase."""
    total, at_s = 0.0, from_s
    while at_s < to_s:
        ops_per_s, until_s = rate.segment(at_s)
        assert until_s > at_s
        end_s = min(until_s, to_s)
        total += ops_per_s * (end_s - at_s)
        at_s = end_s
    return total


def day(clock: SimulatedClock, peak: float = 100.0) -> DayCurve:
    return DayCurve(peak, PEOPLE_WEEKDAY, PEOPLE_WEEKEND, clock)


rates_of_any_shape = st.one_of(
    st.builds(Constant, st.floats(0, 400)),
    st.builds(Ramp, st.floats(0, 400), st.floats(0, 400), duration_s=st.floats(0.1, 5)),
    st.builds(
        lambda levels, each: Step(tuple(levels), each_s=each),
        st.lists(st.floats(0, 400), min_size=1, max_size=5),
        st.floats(0.05, 2),
    ),
    st.builds(
        lambda base, peak, lasts, quiet: Burst(base, peak, every_s=lasts + quiet, lasts_s=lasts),
        st.floats(0, 100),
        st.floats(0, 400),
        st.floats(0.05, 1),
        st.floats(0.05, 2),
    ),
)


@settings(deadline=None)  # virtual time: how long the computer takes says nothing
@given(
    changes=st.lists(st.tuples(st.floats(0.01, 3), rates_of_any_shape), min_size=1, max_size=6),
    asks=st.integers(1, 50),
)
def test_even_arrivals_are_as_many_as_the_area_under_the_rate_through_any_changes(
    changes: list[tuple[float, Rate]], asks: int
) -> None:
    """No arrival is lost or doubled at a change: k changes would show as up to k arrivals too many or too
    few. One arrival of difference is the gap under way."""
    now_s, wanted = 100.0, 0.0
    arrivals = Arrivals(Constant(0), random=Random(1), start_s=now_s, pattern="even")
    first_gap_left = arrivals._work
    came: list[float] = []
    for lasts_s, shape in changes:
        rate = shape.anchored(now_s)
        arrivals.change(now_s=now_s, rate=rate)
        wanted += area(rate, now_s, now_s + lasts_s)
        for ask in range(1, asks + 1):
            came += arrivals.due(now_s + lasts_s * ask / asks)
        now_s += lasts_s
    assert came == sorted(came)
    assert len(came) == pytest.approx(math.floor(wanted - first_gap_left) + 1, abs=1)


@pytest.mark.parametrize(
    "shape",
    [
        Ramp(50, 400, duration_s=40),
        Step((50, 400, 100), each_s=15),
        Burst(40, 500, every_s=10, lasts_s=2),
    ],
)
def test_poisson_arrivals_of_a_changing_rate_are_a_unit_rate_process_on_its_integral(shape: Rate) -> None:
    """The time-rescaling theorem (Brown et al., "The Time-Rescaling Theorem and Its Application to Neural
    Spike Train Data Analysis", Neural Computation 14, 2002): on the clock Λ(t) = ∫λ the gaps are independent
    and exponential with mean 1. Judged as there, by Kolmogorov and Smirnov, at about one error in 1,000."""
    rate = shape.anchored(100.0)
    times = list(Arrivals(rate, random=Random(7), start_s=100.0).due(140.0))
    gaps = sorted(area(rate, earlier, later) for earlier, later in pairwise(times))
    count = len(gaps)
    distance = max(
        max(abs(1 - math.exp(-gap) - index / count), abs(1 - math.exp(-gap) - (index + 1) / count))
        for index, gap in enumerate(gaps)
    )
    assert count > 2000
    assert distance < 1.95 / math.sqrt(count)


def test_a_wrong_rate_does_not_pass_as_a_unit_rate_process() -> None:
    """The check above can fail: the same arrivals, judged by a constant of the same mean."""
    rate = Burst(40, 500, every_s=10, lasts_s=2).anchored(100.0)
    times = list(Arrivals(rate, random=Random(7), start_s=100.0).due(140.0))
    constant = Constant(len(times) / 40)
    gaps = sorted(area(constant, earlier, later) for earlier, later in pairwise(times))
    distance = max(abs(1 - math.exp(-gap) - index / len(gaps)) for index, gap in enumerate(gaps))
    assert distance > 1.95 / math.sqrt(len(gaps))


def test_steps_hold_their_levels_and_the_last_one_stays() -> None:
    steps = Step((10, 20, 5), each_s=3).anchored(50.0)
    assert [rate_now(steps, at) for at in (50, 52.9, 53, 55.9, 56, 500)] == [10, 10, 20, 20, 5, 5]


def test_a_burst_comes_again_and_again() -> None:
    burst = Burst(10, 90, every_s=30, lasts_s=10).anchored(100.0)
    assert [rate_now(burst, 100 + s) for s in (0, 9.9, 10, 19.9, 20, 39.9, 40, 49, 51, 70)] == [
        10, 10, 90, 90, 10, 10, 90, 90, 10, 90,
    ]  # fmt: skip
    assert area(burst, 100, 400) == pytest.approx(10 * (20 * 10 + 10 * 90))


def test_a_scaled_rate_has_a_scaled_area() -> None:
    burst = Burst(10, 90, every_s=30, lasts_s=10)
    assert area(Scaled(burst, 2.5), 0, 95) == pytest.approx(2.5 * area(burst, 0, 95))
    with pytest.raises(ValueError, match="rate must be between 0 and 5000"):
        Scaled(burst, 100)


def test_a_day_curve_is_low_at_night_and_high_in_the_evening() -> None:
    clock = SimulatedClock(hour=0, weekday="tuesday", speed=1, clock=Hand())
    curve = day(clock)
    at = {hour: rate_now(curve, hour * 3600.0) for hour in range(24)}
    assert at[4] == pytest.approx(10, abs=1)
    assert at[21] == pytest.approx(100, abs=1)
    assert all(at[hour] > 95 for hour in (20, 21, 22))
    assert at[21] > 5 * at[3]


def test_the_weekend_has_a_curve_of_its_own() -> None:
    clock = SimulatedClock(hour=0, weekday="friday", speed=1, clock=Hand())
    curve = day(clock)
    assert rate_now(curve, 1 * 3600.0) == pytest.approx(100 * PEOPLE_WEEKDAY[1], abs=1)
    assert rate_now(curve, 25 * 3600.0) == pytest.approx(100 * PEOPLE_WEEKEND[1], abs=1)
    assert rate_now(curve, (3 * 24 + 1) * 3600.0) == pytest.approx(100 * PEOPLE_WEEKDAY[1], abs=1)  # Monday


@pytest.mark.parametrize("name", CURVES)
def test_every_curve_has_24_weights_a_day_and_reaches_its_peak(name: str) -> None:
    weekday, weekend = CURVES[name]
    assert max(weekday) == 1
    DayCurve(1, weekday, weekend, SimulatedClock(clock=Hand()))


@settings(deadline=None)  # virtual time: how long the computer takes says nothing
@given(
    touches=st.lists(
        st.tuples(
            st.floats(0.05, 4),
            st.one_of(st.none(), st.floats(0, 23.99)),
            st.one_of(st.none(), st.sampled_from([0.0, 1.0, 720.0, 8640.0])),
        ),
        max_size=6,
    ),
    asks=st.integers(1, 8),
)
def test_setting_the_clock_while_traffic_runs_loses_no_arrival(
    touches: list[tuple[float, float | None, float | None]], asks: int
) -> None:
    """Nobody tells the arrivals that the clock was touched, and they ask at moments of their own."""
    hand = Hand(100.0)
    clock = SimulatedClock(hour=6, speed=720, clock=hand)
    curve = day(clock, peak=300)
    arrivals = Arrivals(curve, random=Random(1), start_s=100.0, pattern="even")
    first_gap_left = arrivals._work
    came: list[float] = []
    for lasts_s, hour, speed in touches:
        began_s = hand.now_s
        for ask in range(1, asks + 1):
            hand.now_s = began_s + lasts_s * ask / (asks + 0.5)  # the last ask is before the touch
            came += arrivals.due(hand.now_s)
        hand.now_s = began_s + lasts_s
        clock.set(hour=hour, speed=speed)
    hand.now_s += 1.0
    came += arrivals.due(hand.now_s)
    wanted = area(curve, 100.0, hand.now_s)  # of the whole history, afterwards
    assert len(came) == pytest.approx(math.floor(wanted - first_gap_left) + 1, abs=1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ramp(1, 2, duration_s=0), "a ramp must last longer than 0 s, got 0"),
        (lambda: Ramp(1, 9000, duration_s=1), "rate must be between 0 and 5000"),
        (lambda: Step(()), "steps need at least one level"),
        (lambda: Step((1, float("nan"))), "rate must be between"),
        (lambda: Burst(1, 2, every_s=5, lasts_s=5), "a burst of 5 s cannot come every 5 s"),
        (lambda: DayCurve(1, (1.0,), (1.0,), SimulatedClock(clock=Hand())), "24 weights between 0 and 1"),
    ],
)
def test_a_shape_that_nobody_can_mean_is_refused(make: Callable[[], Rate], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
