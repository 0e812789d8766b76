"""The ticker goes on, keeps the first error, and stops when told."""

from __future__ import annotations

import threading

from labkit.live import Ticker


def test_ticks_until_stopped() -> None:
    ticked = threading.Semaphore(0)
    ticker = Ticker(ticked.release, interval_s=0.001).start()
    for _ in range(3):
        assert ticked.acquire(timeout=5)
    ticker.stop()
    assert not ticker.alive
    assert ticker.error is None


def test_a_failing_tick_is_kept_and_the_next_ones_still_come() -> None:
    ticked = threading.Semaphore(0)

    def tick() -> None:
        ticked.release()
        raise ValueError(f"tick {ticker.ticks}")

    ticker = Ticker(tick, interval_s=0.001)
    ticker.start()
    for _ in range(3):
        assert ticked.acquire(timeout=5)
    ticker.stop()
    assert str(ticker.error) == "tick 0"


def test_stop_from_within_a_tick_does_not_wait_for_itself() -> None:
    ticker = Ticker(lambda: ticker.stop(), interval_s=0.001)
    ticker.start()
    ticker._thread.join(5)
    assert not ticker.alive


def test_a_ticker_that_is_woken_ticks_at_once_and_keeps_its_rhythm_afterwards() -> None:
    ticked = threading.Semaphore(0)
    ticker = Ticker(ticked.release, interval_s=30).start()
    assert ticked.acquire(timeout=5)
    for _ in range(20):
        ticker.wake()
        assert ticked.acquire(timeout=5)
    ticker.stop()
    assert not ticker.alive

    ticker = Ticker(ticked.release, interval_s=0.05).start()
    for _ in range(20):
        ticker.wake()
    woken = ticker.ticks
    for _ in range(woken + 3):
        assert ticked.acquire(timeout=2), "waking must not push the next ticks into the future"
    ticker.stop()
