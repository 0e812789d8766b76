"""Failure detection among many members: deaths become known in time, the healthy stay alive."""

from math import log2

import pytest

from kvnode.sim.loop import run
from kvnode.sim.membership import death, peace


@pytest.mark.parametrize("count", [3, 9, 32])
def test_a_death_is_known_to_all_within_four_log_n_periods(count: int) -> None:
    assert run(death(count, seed=1)) <= 4 * log2(max(count, 8))


def test_nobody_healthy_dies_in_a_minute() -> None:
    assert run(peace(16, seed=1, seconds=60.0)) == 0


def test_lost_messages_kill_nobody() -> None:
    """A tenth of all messages is lost: indirect probes and refutation must make up for it."""
    assert run(peace(9, seed=2, seconds=60.0, loss=0.1)) == 0
