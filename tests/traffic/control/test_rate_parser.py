"""Rates in words: what people type and what JSON carries."""

from __future__ import annotations

from typing import Any

import pytest

from traffic.clock import SimulatedClock
from traffic.control.rate_parser import rate_of
from traffic.load.rates import Burst, Constant, Ramp, Rate, Scaled, Step


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("500", Constant(500)),
        ("12.5", Constant(12.5)),
        ("ramp:100:500:30", Ramp(100, 500, duration_s=30)),
        ("step:100,200,400:10", Step((100, 200, 400), each_s=10)),
        ("burst:50:400:20:5", Burst(50, 400, every_s=20, lasts_s=5)),
    ],
)
def test_what_people_type(text: str, rate: Rate) -> None:
    assert rate_of(text) == rate


@pytest.mark.parametrize("text", ["", "fast", "ramp", "ramp:1:2", "ramp:1:2:x", "step::", "spike:3", "500:"])
def test_what_makes_no_sense_is_answered_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="expected a rate such as 500"):
        rate_of(text)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("9000", "rate must be between 0 and 5000 operations/s, got 9000"),
        ("ramp:1:2:0", "a ramp must last longer than 0 s"),
        ("day:100", "a day curve needs a simulated clock"),
        ({"shape": "ramp", "from_ops_per_s": 1}, "a rate of shape 'ramp' needs 'to_ops_per_s'"),
        ({"shape": "constant", "ops_per_s": None}, "a rate needs numbers"),
        ({"shape": "wave"}, "the shape of a rate is constant, ramp"),
        ({}, "the shape of a rate is constant, ramp"),
    ],
)
def test_one_clear_line_says_what_was_wrong(wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rate_of(wrong)


def test_a_description_makes_the_same_rate_again() -> None:
    clock = SimulatedClock()
    for rate in (
        Constant(5),
        Ramp(1, 2, duration_s=3),
        Step((1, 2), each_s=3),
        Burst(1, 2, every_s=9, lasts_s=3),
        rate_of("day:100:office", clock=clock),
        Scaled(Burst(1, 2), 3),
    ):
        assert rate_of(rate.describe(), clock=clock) == rate


def test_an_unknown_curve_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="a day curve is one of people, office, trade, got 'moon'"):
        rate_of("day:100:moon", clock=SimulatedClock())
