"""A cascade excites itself: it grows, it ends, and its size is what the branching process predicts."""

from __future__ import annotations

from random import Random

import pytest

from traffic.workloads.cascades import Cascades, poisson


def visits_s(seed: int, *, branching: float, first: int = 20) -> list[float]:
    """When people come to one viral tweet, looked at every tenth of a second until nobody is on the way."""
    cascades = Cascades(Random(seed), branching=branching)
    cascades.ignite("tweet/1", 0.0, first=first)
    found: list[float] = []
    now_s = 0.0
    while cascades.pending:
        now_s += 0.1
        while cascades.visit(now_s):
            found.append(now_s)
    return found


@pytest.mark.parametrize("branching", [0.0, 0.5, 0.85])
def test_the_size_is_the_first_people_over_one_minus_the_branching_ratio(branching: float) -> None:
    sizes = [len(visits_s(seed, branching=branching)) for seed in range(300)]
    assert sum(sizes) / len(sizes) == pytest.approx(20 / (1 - branching), rel=0.1)


def test_attention_comes_in_a_burst_and_fades() -> None:
    came_s = [moment for seed in range(50) for moment in visits_s(seed, branching=0.85)]
    early = sum(moment < 10 for moment in came_s)
    late = sum(40 <= moment < 50 for moment in came_s)
    assert early > 10 * late


def test_self_excitement_is_more_bursty_than_a_poisson_stream() -> None:
    """The variance of counts in windows over their mean (the Fano factor) is 1 for Poisson, more for Hawkes."""

    def fano(branching: float) -> float:
        counts = []
        for seed in range(300):
            came_s = visits_s(seed, branching=branching)
            counts.append(sum(2 <= moment < 4 for moment in came_s))
        mean = sum(counts) / len(counts)
        return sum((count - mean) ** 2 for count in counts) / len(counts) / mean

    assert fano(0.0) < 1.3
    assert fano(0.85) > 1.5


def test_an_unending_cascade_is_refused() -> None:
    with pytest.raises(AssertionError, match="may never end"):
        Cascades(Random(1), branching=1.0)


def test_poisson_numbers_have_the_mean_they_should() -> None:
    random = Random(5)
    drawn = [poisson(random, 0.85) for _ in range(20_000)]
    assert sum(drawn) / len(drawn) == pytest.approx(0.85, rel=0.03)
