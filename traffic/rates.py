"""How many operations a second a workload wants, as a function of time.

Here: rate functions, validated. Not here: when the single operations fall due (arrivals.py), clocks,
people.

Every rate is read as a staircase: `segment(at_s)` answers the rate that holds at that moment and until
when it holds. A constant is one endless step; a ramp is many short ones. So whoever integrates a rate
(arrivals.py) needs no knowledge of its shape, and new shapes (bursts, a day curve) fit in without
touching anything else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

RATE_OPS_PER_S_MAX = 5000.0
RAMP_STEP_S = 0.02


class Rate(Protocol):
    """A rate of operations over time; times are seconds on whatever clock the caller keeps."""

    def segment(self, at_s: float) -> tuple[float, float]:
        """The rate in operations/s at `at_s` and the later time until which it stays the same."""
        ...


def checked_rate(ops_per_s: float) -> float:
    """The rate itself, or ValueError when nobody could mean it (negative, not a number, above the bound)."""
    if not math.isfinite(ops_per_s) or not 0 <= ops_per_s <= RATE_OPS_PER_S_MAX:
        raise ValueError(f"rate must be between 0 and {RATE_OPS_PER_S_MAX:g} operations/s, got {ops_per_s}")
    return float(ops_per_s)


@dataclass(frozen=True, slots=True)
class Constant:
    """The same rate for ever."""

    ops_per_s: float

    def __post_init__(self) -> None:
        checked_rate(self.ops_per_s)

    def segment(self, at_s: float) -> tuple[float, float]:
        return self.ops_per_s, math.inf


@dataclass(frozen=True, slots=True)
class Ramp:
    """A straight line from one rate to another, flat before and after."""

    from_ops_per_s: float
    to_ops_per_s: float
    start_s: float
    duration_s: float

    def __post_init__(self) -> None:
        checked_rate(self.from_ops_per_s)
        checked_rate(self.to_ops_per_s)
        if self.duration_s <= 0:
            raise ValueError(f"a ramp must last longer than 0 s, got {self.duration_s}")

    def segment(self, at_s: float) -> tuple[float, float]:
        end_s = self.start_s + self.duration_s
        if at_s < self.start_s:
            return self.from_ops_per_s, self.start_s
        if at_s >= end_s:
            return self.to_ops_per_s, math.inf
        until_s = min(at_s + RAMP_STEP_S, end_s)
        done = ((at_s + until_s) / 2 - self.start_s) / self.duration_s
        return self.from_ops_per_s + done * (self.to_ops_per_s - self.from_ops_per_s), until_s
