"""Habits: what the hour and the season change."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from traffic.workloads.inventory.habits import Season, demand, is_night, next_activity, period


@pytest.mark.parametrize(
    ("hour", "name"),
    [
        (0, "night"),
        (5.9, "night"),
        (6, "morning"),
        (9, "business"),
        (16.9, "business"),
        (17, "evening"),
        (22, "night"),
    ],
)
def test_a_day_has_four_parts(hour: float, name: str) -> None:
    assert period(hour) == period(hour + 24) == name
    assert is_night(hour) == (name == "night")


def drawn(hour: float, season: Season = "normal") -> Counter[str]:
    random = Random(1)
    return Counter(next_activity(random, hour, season) for _ in range(10_000))


def test_people_buy_by_day_and_look_in_the_evening() -> None:
    day, evening, night = drawn(11), drawn(20), drawn(3)
    assert day["order"] > 5_000 > evening["order"] > night["order"] > 0
    assert evening["browse"] > 2 * day["browse"]
    assert night["stock_take"] > 10 * day["stock_take"]


def test_black_friday_multiplies_orders_and_concentrates_demand() -> None:
    assert drawn(20, "black-friday")["order"] > 2 * drawn(20)["order"]
    usual, black = demand("normal", 12), demand("black-friday", 12)
    assert usual == sorted(usual, reverse=True)
    assert usual[0] / sum(usual) < 0.3
    assert 0.6 < black[0] / sum(black) < 0.75
