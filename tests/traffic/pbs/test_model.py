"""The WARS model against what can be worked out by hand, and its delays out of traces."""

from __future__ import annotations

from math import exp
from random import Random

import pytest

from traffic.pbs.measure import Measurement, Point
from traffic.pbs.model import OfRead, OfWrite, probability_fresh, read_of, write_of
from traffic.stores.base import TraceEvent

MEAN_MS = 20.0


Delays = tuple[list[OfWrite], list[OfRead]]


def exponential(*, mean_ms: float = MEAN_MS, others: int = 2, read_times: float = 1.0) -> Delays:
    """As on links with exponential delays; the own store takes no time. read_times: how much slower reads travel."""
    random = Random(1)

    def pairs(times: float = 1.0) -> tuple[tuple[float, float], ...]:
        draw = random.expovariate
        return tuple((draw(1 / mean_ms) * times, draw(1 / mean_ms)) for _ in range(others))

    return [OfWrite(0.0, pairs()) for _ in range(5_000)], [OfRead(pairs(read_times)) for _ in range(5_000)]


def predicted(delays: Delays, t_ms: float, *, r: int = 1, w: int = 1) -> float:
    writes, reads = delays
    return probability_fresh(
        dict(enumerate(writes)),
        {number: (t_ms, read) for number, read in enumerate(reads)},
        r=r,
        w=w,
        random=Random(2),
        trials=10_000,
    )


@pytest.mark.parametrize("t_ms", [0.0, 1.0, 5.0, 20.0, 50.0])
def test_one_and_one_is_fresh_once_the_write_has_arrived_at_the_reader(t_ms: float) -> None:
    """r = w = 1, through two replicas: the commit is at once, and the reader asks itself. P = 1 - e^(-t / mean)."""
    assert predicted(exponential(), t_ms) == pytest.approx(1 - exp(-t_ms / MEAN_MS), abs=0.02)


@pytest.mark.parametrize(("r", "w"), [(2, 2), (3, 1), (1, 3)])
def test_strict_quorums_are_always_fresh(r: int, w: int) -> None:
    assert predicted(exponential(), 0.0, r=r, w=w) == 1.0


def test_two_nodes_with_one_and_two_wait_for_the_write_to_be_everywhere() -> None:
    assert predicted(exponential(others=1), 0.0, r=1, w=2) == 1.0


def test_asking_two_is_fresher_than_asking_one() -> None:
    one, two = (predicted(exponential(), 5.0, r=r) for r in (1, 2))
    assert one + 0.3 < two < 1.0


def test_slower_questions_help_because_the_write_arrives_meanwhile() -> None:
    slow = predicted(exponential(read_times=10.0), 0.0, r=3)
    assert slow == 1.0
    assert predicted(exponential(read_times=10.0), 0.0, r=2) > 0.5


def test_a_commit_that_is_slow_because_everything_is_does_not_give_messages_more_time() -> None:
    """Half of the writes meet a disk that takes 100 ms everywhere, the other half one that takes none. Drawn apart, a
    slow commit would meet a quick message in a quarter of the throws."""
    writes = [OfWrite(0.0, ((20.0, 0.0),)), OfWrite(100.0, ((120.0, 0.0),))]
    delays = writes, [OfRead(((0.0, 0.0),))]
    assert predicted(delays, 10.0) == 0.0
    assert predicted(delays, 30.0) == 1.0


def test_with_other_delays_than_the_real_ones_the_prediction_is_off_by_more_than_five_points() -> None:
    """What the comparison with the measurement can find out."""
    for wrong_ms in (MEAN_MS / 2, MEAN_MS * 2):
        off = predicted(exponential(mean_ms=wrong_ms), 20.0) - predicted(exponential(), 20.0)
        assert abs(off) > 0.05


def test_the_ways_to_the_client_and_back_give_the_write_more_time() -> None:
    write, read = OfWrite(0.0, ((20.0, 0.0),), to_client=6.0), OfRead(((0.0, 0.0),), from_client=5.0)
    assert predicted(([write], [read]), 8.0) == 0.0
    assert predicted(([write], [read]), 10.0) == 1.0


def test_a_write_meets_reads_of_its_own_time_and_never_its_own() -> None:
    """A slow time follows a quick one: in each, the link takes half as long as a read is late."""
    slow = [number >= 100 for number in range(200)]
    writes = [OfWrite(0.0, ((100.0 if late else 10.0, 0.0),)) for late in slow]
    reads = [OfRead(((0.0, 0.0),), from_client=200.0 if late else 20.0) for late in slow]
    assert predicted((writes, reads), 0.0) > 0.97
    alone = {7: (0.0, OfRead(((0.0, 0.0),), from_client=50.0)), 8: (0.0, OfRead(((0.0, 0.0),)))}
    write = {7: OfWrite(0.0, ((10.0, 0.0),))}
    assert probability_fresh(write, alone, r=1, w=1, random=Random(1), trials=100) == 0.0


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="n=3, r=4, w=1: expected n >= 2"):
        predicted(exponential(), 0.0, r=4)
    with pytest.raises(ValueError, match="no delays to draw from"):
        predicted(([], []), 0.0)


WRITE = [
    TraceEvent("node-1", 100.0, "coordinates a put"),
    TraceEvent("node-1", 100.5, "sent the record to", "node-2"),
    TraceEvent("node-1", 100.6, "sent the record to", "node-3"),
    TraceEvent("node-1", 102.5, "stored"),
    TraceEvent("node-1", 102.6, "answered the client"),
    TraceEvent("node-2", 110.0, "received the record from", "node-1"),
    TraceEvent("node-2", 112.5, "stored"),
    TraceEvent("node-1", 120.5, "heard stored from", "node-2"),
    TraceEvent("node-3", 130.5, "stored"),
    TraceEvent("node-1", 140.5, "heard stored from", "node-3"),
]


def test_the_delays_of_a_write_come_out_of_its_trace() -> None:
    told = write_of(WRITE)
    assert told == (OfWrite(2.0, ((12.0, 8.0), (30.0, 10.0))), 100.5)
    assert [told[0].committed(w) for w in (1, 2, 3)] == [2.0, 20.0, 40.0]


@pytest.mark.parametrize("missing", [3, 6, 9])
def test_a_story_that_is_not_whole_is_left_out(missing: int) -> None:
    assert write_of(WRITE[:missing] + WRITE[missing + 1 :]) is None


def test_the_delays_of_a_read_come_out_of_its_trace() -> None:
    story = [
        TraceEvent("node-2", 200.0, "coordinates a get"),
        TraceEvent("node-2", 200.5, "asked", "node-1"),
        TraceEvent("node-2", 200.6, "asked", "node-3"),
        TraceEvent("node-1", 210.5, "was asked by", "node-2"),
        TraceEvent("node-3", 220.5, "was asked by", "node-2"),
        TraceEvent("node-2", 225.5, "heard the record from", "node-1"),
        TraceEvent("node-2", 225.5, "heard the record from", "node-3"),
    ]
    assert read_of(story) == (OfRead(((10.0, 15.0), (20.0, 5.0))), 200.5)
    assert read_of(story[:-1]) is None
    assert read_of([]) is None


def test_the_table_puts_predicted_beside_measured() -> None:
    writes, reads = exponential()
    point = Point(
        20.0,
        fresh=1,
        waited_ms=[20.5, 20.5],
        traced={number: (20.5, read) for number, read in enumerate(reads)},
    )
    measurement = Measurement(1, 1, [point, Point(50.0)], dict(enumerate(writes)))
    measurement.predict(Random(1))
    assert point.difference == pytest.approx((1 - exp(-20.5 / MEAN_MS) - 0.5) * 100, abs=1.5)
    assert measurement.table()[1].split()[:4] == ["20", "20.50", "2", "0.500"]
    assert "W 20." in measurement.delays
