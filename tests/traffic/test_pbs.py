"""The WARS model against what can be worked out by hand, and its delays out of traces."""

from __future__ import annotations

from math import exp
from random import Random

import pytest

from traffic.pbs import Delays, learn_read, learn_write, probability_fresh
from traffic.pbs_run import Measurement, Point
from traffic.stores.base import TraceEvent

MEAN_MS = 20.0


def exponential(*, mean_ms: float = MEAN_MS, seed: int = 1) -> Delays:
    """As on links with exponential delays; the own store takes no time."""
    random = Random(seed)
    pools = [[random.expovariate(1 / mean_ms) for _ in range(5_000)] for _ in range(4)]
    return Delays(*pools, write_here=[0.0])


def predicted(delays: Delays, t_ms: float, *, n: int = 3, r: int = 1, w: int = 1) -> float:
    return probability_fresh(delays, n=n, r=r, w=w, t_ms=[t_ms], random=Random(2), trials=10_000)


@pytest.mark.parametrize("t_ms", [0.0, 1.0, 5.0, 20.0, 50.0])
def test_one_and_one_is_fresh_once_the_write_has_arrived_at_the_reader(t_ms: float) -> None:
    """r = w = 1, through two replicas: the commit is at once, and the reader asks itself. P = 1 - e^(-t / mean)."""
    assert predicted(exponential(), t_ms) == pytest.approx(1 - exp(-t_ms / MEAN_MS), abs=0.02)


@pytest.mark.parametrize(("r", "w"), [(2, 2), (3, 1), (1, 3)])
def test_strict_quorums_are_always_fresh(r: int, w: int) -> None:
    assert predicted(exponential(), 0.0, r=r, w=w) == 1.0


def test_two_nodes_with_one_and_two_wait_for_the_write_to_be_everywhere() -> None:
    assert predicted(exponential(), 0.0, n=2, r=1, w=2) == 1.0


def test_asking_two_is_fresher_than_asking_one() -> None:
    one, two = (predicted(exponential(), 5.0, r=r) for r in (1, 2))
    assert one + 0.3 < two < 1.0


def test_slower_answers_help_because_the_write_arrives_meanwhile() -> None:
    slow = exponential()
    slow.read = [delay * 10 for delay in slow.read]
    assert predicted(slow, 0.0, r=2) > predicted(exponential(), 0.0, r=2) + 0.03


def test_with_other_delays_than_the_real_ones_the_prediction_is_off_by_more_than_five_points() -> None:
    """What the comparison with the measurement can find out."""
    for wrong_ms in (MEAN_MS / 2, MEAN_MS * 2):
        off = predicted(exponential(mean_ms=wrong_ms), 20.0) - predicted(exponential(), 20.0)
        assert abs(off) > 0.05


def test_quorums_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="n=1, r=1, w=1: expected n >= 2"):
        predicted(exponential(), 0.0, n=1)


def test_the_delays_of_a_write_come_out_of_its_trace() -> None:
    story = [
        TraceEvent("node-1", 100.0, "coordinates a put"),
        TraceEvent("node-1", 100.5, "sent the record to", "node-2"),
        TraceEvent("node-1", 100.6, "sent the record to", "node-3"),
        TraceEvent("node-1", 102.5, "stored"),
        TraceEvent("node-1", 102.6, "answered the client"),
        TraceEvent("node-2", 110.0, "received the record from", "node-1"),
        TraceEvent("node-2", 112.5, "stored"),
        TraceEvent("node-1", 120.5, "heard stored from", "node-2"),
        TraceEvent("node-3", 130.6, "stored"),
    ]
    delays = Delays()
    assert learn_write(story, delays, w=1) == 102.5
    assert delays.write == pytest.approx([12.0, 30.0])
    assert delays.acknowledgement == pytest.approx([8.0])
    assert delays.write_here == pytest.approx([2.0])
    assert learn_write(story, Delays(), w=2) == 120.5
    assert learn_write(story, Delays(), w=3) is None
    assert learn_write(story[:3], Delays(), w=1) is None


def test_the_delays_of_a_read_come_out_of_its_trace() -> None:
    story = [
        TraceEvent("node-2", 200.0, "coordinates a get"),
        TraceEvent("node-2", 200.5, "asked", "node-1"),
        TraceEvent("node-2", 200.6, "asked", "node-3"),
        TraceEvent("node-1", 210.5, "was asked by", "node-2"),
        TraceEvent("node-2", 225.5, "heard the record from", "node-1"),
    ]
    delays = Delays()
    assert learn_read(story, delays) == 200.5
    assert (delays.read, delays.response) == (pytest.approx([10.0]), pytest.approx([15.0]))
    assert learn_read([], Delays()) is None


def test_the_table_puts_predicted_beside_measured() -> None:
    point = Point(20.0, fresh=1, waited_ms=[20.5, 20.5], since_commit_ms=[21.0])
    measurement = Measurement(1, 1, 3, [point, Point(50.0)], exponential())
    measurement.predict(Random(1))
    assert point.difference == pytest.approx((1 - exp(-21.0 / MEAN_MS) - 0.5) * 100, abs=1.5)
    row = measurement.table()[2].split()
    assert row[:5] == ["20", "20.50", "21.00", "2", "0.500"]
