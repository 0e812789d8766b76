"""The simulated clock: what time it is for people who live faster than we do."""

from __future__ import annotations

import pytest

from traffic.clock import DAY_IN_TWO_MINUTES, SimulatedClock


class Hand:
    """A measuring clock that is moved by hand."""

    now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def hand() -> Hand:
    return Hand()


def test_a_day_passes_in_two_minutes(hand: Hand) -> None:
    clock = SimulatedClock(hour=6, weekday="sunday", speed=DAY_IN_TWO_MINUTES, clock=hand)
    assert (clock.hour(), clock.weekday()) == (6, "sunday")
    assert clock.hour(50 + 60) == pytest.approx(18)
    assert clock.hour(50 + 120) == pytest.approx(6)
    assert clock.weekday(50 + 120) == "monday"


def test_setting_the_hour_keeps_the_day_and_the_speed(hand: Hand) -> None:
    clock = SimulatedClock(hour=6, weekday="friday", speed=720, clock=hand)
    hand.now_s += 5
    clock.set(hour=21)
    hand.now_s += 5
    assert clock.hour() == pytest.approx(22)
    assert clock.weekday() == "friday"
    assert clock.speed() == 720


def test_a_new_speed_begins_at_the_time_that_it_is(hand: Hand) -> None:
    clock = SimulatedClock(hour=6, speed=3600, clock=hand)
    hand.now_s += 2
    clock.set(speed=0)
    hand.now_s += 100
    assert clock.hour() == pytest.approx(8)


def test_what_was_before_a_change_stays_what_it_was(hand: Hand) -> None:
    clock = SimulatedClock(hour=6, speed=3600, clock=hand)
    hand.now_s += 2
    clock.set(hour=20)
    assert clock.hour(51) == pytest.approx(7)
    assert clock.hour(52) == pytest.approx(20)
    assert clock.reaches_s(50.5, week_s=12 * 3600) == 52  # touched before it got there


@pytest.mark.parametrize(
    ("hour", "weekday", "business", "weekend", "night"),
    [
        (9, "monday", True, False, False),
        (16.99, "friday", True, False, False),
        (17, "friday", False, False, False),
        (12, "saturday", False, True, False),
        (3, "tuesday", False, False, True),
    ],
)
def test_business_hours_weekends_and_nights(
    hand: Hand, hour: float, weekday: str, business: bool, weekend: bool, night: bool
) -> None:
    clock = SimulatedClock(hour=hour, weekday=weekday, clock=hand)
    assert (clock.is_business_hours(), clock.is_weekend(), clock.is_night()) == (business, weekend, night)


def test_many_changes_are_remembered_only_for_a_while(hand: Hand) -> None:
    clock = SimulatedClock(clock=hand)
    for step in range(1000):
        hand.now_s += 0.01
        clock.set(hour=step % 24)
    assert clock.hour() == pytest.approx(999 % 24, abs=0.01)
    assert len(clock._pieces) <= 64


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hour": 24}, "hour must be at least 0 and less than 24, got 24"),
        ({"hour": float("nan")}, "hour must be"),
        ({"weekday": "someday"}, "weekday must be one of monday"),
        ({"speed": -1}, "speed must be between 0 and 10000 times life, got -1"),
    ],
)
def test_a_time_that_does_not_exist_changes_nothing(
    hand: Hand, wrong: dict[str, object], message: str
) -> None:
    clock = SimulatedClock(hour=6, speed=60, clock=hand)
    with pytest.raises(ValueError, match=message):
        clock.set(**wrong)  # type: ignore[arg-type]
    assert clock.describe() == {"time": "06:00", "hour": 6.0, "weekday": "monday", "speed": 60.0}
