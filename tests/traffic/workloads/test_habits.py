"""Habits that are changed while people go about: who comes, and how much of it is looking."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from traffic.workloads.personas import Population
from traffic.workloads.twitter import TWEETS_AT_START, Twitter


def visitors(population: Population, count: int = 4000) -> Counter[str]:
    return Counter(population.pick().kind.name for _ in range(count))


def test_people_who_are_made_busy_come_more_often() -> None:
    population = Population(Random(1))
    usual = visitors(population)
    population.make_busy({"influencer": 10})
    assert visitors(population)["influencer"] > 3 * usual["influencer"]
    assert sum(population.busy.values()) == 13


@pytest.mark.parametrize(
    ("stay_at_home", "left"),
    [({"bot"}, {"casual", "power", "influencer"}), ({"casual", "power", "influencer"}, {"bot"})],
)
def test_people_who_stay_at_home_do_not_come(stay_at_home: set[str], left: set[str]) -> None:
    population = Population(Random(1))
    population.make_busy(dict.fromkeys(stay_at_home, 0.0))
    assert set(visitors(population)) == left


@pytest.mark.parametrize("read_share", [0.0, 0.3, 1.0])
def test_people_look_as_often_as_the_read_share_says(read_share: float) -> None:
    twitter = Twitter(Random(1), tag="t")
    twitter.change_habits(read_share=read_share)
    kinds: Counter[str] = Counter()
    for number in range(3000):
        operation = twitter.next_operation(1000.0 + number)
        if (
            number < TWEETS_AT_START
        ):  # nothing is answered after the first tweets: no follow-ups, no viral crowd
            twitter.timeline.add(twitter._unanswered[operation.key], 1000.0)
            continue
        kinds[operation.kind] += 1
    assert kinds["read"] / kinds.total() == pytest.approx(read_share, abs=0.04)
