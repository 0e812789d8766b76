"""When people do what in a warehouse, and what they want: the mix of activities by hour and season.

Here: weights.
Must not live here: how often anything is done at all (load/rates.py), or what it consists of (scenarios.py).

Weights are of scenarios begun. An order takes four operations or more (look, order, shipment, sold), a transfer two, a
restocking two, a stock-take and a look one. In business hours most of what goes over the wire belongs to orders; in
the evening people look more than they buy; at night stock is taken, and the database is maintained.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from random import Random
from typing import Literal, get_args

Season = Literal["normal", "black-friday"]
SEASONS: tuple[Season, ...] = get_args(Season)

Activity = Literal["browse", "order", "restock", "transfer", "stock_take"]

OPENS_H, CLOSES_H, MORNING_H, NIGHT_H = 9, 17, 6, 22
MAINTENANCE_EVERY_S = 10.0

_WEIGHTS: dict[str, dict[Activity, float]] = {
    "night": {"browse": 40, "order": 8, "restock": 4, "transfer": 4, "stock_take": 24},
    "morning": {"browse": 30, "order": 15, "restock": 12, "transfer": 8, "stock_take": 4},
    "business": {"browse": 20, "order": 60, "restock": 12, "transfer": 6, "stock_take": 2},
    "evening": {"browse": 50, "order": 25, "restock": 4, "transfer": 4, "stock_take": 8},
}
BLACK_FRIDAY_ORDERS = 4.0
"""On Black Friday so many times the orders are begun; suppliers come as often as on any day."""

POPULARITY_EXPONENT: dict[Season, float] = {"normal": 0.8, "black-friday": 2.2}
"""The weight of the product in place k is k to the power of minus this (Zipf). On Black Friday the first product takes
two thirds of the demand."""

UNITS_PER_ORDER: dict[Season, Sequence[int]] = {"normal": (1, 1, 1, 2, 3), "black-friday": (1, 2, 2, 3, 4)}


def period(hour: float) -> str:
    """The name of a time of day; hour: 0 to 24."""
    hour %= 24
    if hour < MORNING_H or hour >= NIGHT_H:
        return "night"
    if hour < OPENS_H:
        return "morning"
    return "business" if hour < CLOSES_H else "evening"


def is_night(hour: float) -> bool:
    return period(hour) == "night"


def next_activity(random: Random, hour: float, season: Season) -> Activity:
    """What is begun next: a draw from the mix of the hour and the season."""
    activities, cumulative = _mix(period(hour), season)
    return activities[bisect(cumulative, random.random() * cumulative[-1])]


@cache
def _mix(period: str, season: Season) -> tuple[Sequence[Activity], Sequence[float]]:
    """Activities and their weights, summed up."""
    weights = dict(_WEIGHTS[period])
    if season == "black-friday":
        weights["order"] *= BLACK_FRIDAY_ORDERS
    return list(weights), list(accumulate(weights.values()))


def demand(season: Season, places: int) -> list[float]:
    """The weights of products by place, the most wanted first."""
    return [place ** -POPULARITY_EXPONENT[season] for place in range(1, places + 1)]
