"""How many operations a second a workload wants, as a function of time.

Here: rate functions, validated.
Must not live here: when the single operations fall due (arrivals.py), which shapes go together (control/presets.py),
their names on the command line (control/rate_parser.py), people.

Every rate is read as a staircase: `segment(at_s)` answers the rate that holds at that moment and until
when it holds. A constant is one endless step; a ramp is many short ones. So whoever integrates a rate
(arrivals.py) needs no knowledge of its shape.

Two kinds of time. A ramp, steps and a burst begin when somebody asks for them: they are made with times
from 0, and `anchored(now_s)` is the same shape beginning now, on the caller's clock. A day curve lives by a
simulated clock, shared by all workloads, which somebody may set while traffic runs; there is nothing to
anchor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Protocol

from traffic.clock import DAY_S, SimulatedClock

RATE_OPS_PER_S_MAX = 5000.0
RAMP_STEP_S = 0.02
DAY_STEP_S = 60.0  # simulated: a day curve is a staircase of minutes


class Rate(Protocol):
    """A rate of operations over time; times are seconds on whatever clock the caller keeps."""

    def segment(self, at_s: float) -> tuple[float, float]:
        """The rate in operations/s at `at_s` and the later time until which it stays the same."""
        ...

    def anchored(self, now_s: float) -> Rate:
        """The same shape with its beginning at `now_s`."""
        ...

    @property
    def peak_ops_per_s(self) -> float:
        """The highest that it will ever be."""
        ...

    def describe(self) -> dict[str, Any]:
        """For people and JSON: `shape` and its numbers; shapes.rate_of reads it back."""
        ...


def checked_rate(ops_per_s: float) -> float:
    """The rate itself, or ValueError when nobody could mean it (negative, not a number, above the bound)."""
    if not math.isfinite(ops_per_s) or not 0 <= ops_per_s <= RATE_OPS_PER_S_MAX:
        raise ValueError(f"rate must be between 0 and {RATE_OPS_PER_S_MAX:g} operations/s, got {ops_per_s}")
    return float(ops_per_s)


def _checked_span(what: str, seconds: float) -> float:
    if not math.isfinite(seconds) or seconds <= 0:
        raise ValueError(f"{what} must last longer than 0 s, got {seconds}")
    return seconds


@dataclass(frozen=True, slots=True)
class Constant:
    """The same rate for ever."""

    ops_per_s: float

    def __post_init__(self) -> None:
        checked_rate(self.ops_per_s)

    def segment(self, at_s: float) -> tuple[float, float]:
        return self.ops_per_s, math.inf

    def anchored(self, now_s: float) -> Constant:
        return self

    @property
    def peak_ops_per_s(self) -> float:
        return self.ops_per_s

    def describe(self) -> dict[str, Any]:
        return {"shape": "constant", "ops_per_s": self.ops_per_s}


@dataclass(frozen=True, slots=True)
class Ramp:
    """A straight line from one rate to another, flat before and after."""

    from_ops_per_s: float
    to_ops_per_s: float
    start_s: float = 0.0
    duration_s: float = 30.0

    def __post_init__(self) -> None:
        checked_rate(self.from_ops_per_s)
        checked_rate(self.to_ops_per_s)
        _checked_span("a ramp", self.duration_s)

    def segment(self, at_s: float) -> tuple[float, float]:
        end_s = self.start_s + self.duration_s
        if at_s < self.start_s:
            return self.from_ops_per_s, self.start_s
        if at_s >= end_s:
            return self.to_ops_per_s, math.inf
        # The steps lie on a grid: asked again in the middle of one, it must give the same answer.
        steps = math.ceil(self.duration_s / RAMP_STEP_S)
        index = min(int((at_s - self.start_s) / self.duration_s * steps), steps - 1)
        until_s = self.start_s + (index + 1) / steps * self.duration_s
        if until_s <= at_s:  # rounding: at the very end of a step
            index, until_s = index + 1, self.start_s + (index + 2) / steps * self.duration_s
        done = min((index + 0.5) / steps, 1.0)
        return self.from_ops_per_s + done * (self.to_ops_per_s - self.from_ops_per_s), until_s

    def anchored(self, now_s: float) -> Ramp:
        return replace(self, start_s=now_s)

    @property
    def peak_ops_per_s(self) -> float:
        return max(self.from_ops_per_s, self.to_ops_per_s)

    def describe(self) -> dict[str, Any]:
        return {
            "shape": "ramp",
            "from_ops_per_s": self.from_ops_per_s,
            "to_ops_per_s": self.to_ops_per_s,
            "duration_s": self.duration_s,
        }


@dataclass(frozen=True, slots=True)
class Step:
    """One level after the other, each for `each_s`; the last one stays. It finds where a cluster gives up."""

    levels_ops_per_s: tuple[float, ...]
    each_s: float = 10.0
    start_s: float = 0.0

    def __post_init__(self) -> None:
        if not self.levels_ops_per_s:
            raise ValueError("steps need at least one level")
        for level in self.levels_ops_per_s:
            checked_rate(level)
        _checked_span("a step", self.each_s)

    def segment(self, at_s: float) -> tuple[float, float]:
        levels = self.levels_ops_per_s
        for index, level in enumerate(levels[:-1]):
            until_s = self.start_s + (index + 1) * self.each_s
            if at_s < until_s:
                return level, until_s
        return levels[-1], math.inf

    def anchored(self, now_s: float) -> Step:
        return replace(self, start_s=now_s)

    @property
    def peak_ops_per_s(self) -> float:
        return max(self.levels_ops_per_s)

    def describe(self) -> dict[str, Any]:
        return {"shape": "step", "levels_ops_per_s": list(self.levels_ops_per_s), "each_s": self.each_s}


@dataclass(frozen=True, slots=True)
class Burst:
    """A quiet rate, and again and again a peak: `every_s` from one peak's beginning to the next, each
    `lasts_s` long. The first one comes when half of the quiet time has passed."""

    base_ops_per_s: float
    burst_ops_per_s: float
    every_s: float = 30.0
    lasts_s: float = 5.0
    start_s: float = 0.0

    def __post_init__(self) -> None:
        checked_rate(self.base_ops_per_s)
        checked_rate(self.burst_ops_per_s)
        _checked_span("a burst", self.lasts_s)
        if not math.isfinite(self.every_s) or self.every_s <= self.lasts_s:
            raise ValueError(f"a burst of {self.lasts_s:g} s cannot come every {self.every_s:g} s")

    def segment(self, at_s: float) -> tuple[float, float]:
        quiet_s = (self.every_s - self.lasts_s) / 2
        passed_s = at_s - self.start_s
        if passed_s < 0:
            return self.base_ops_per_s, self.start_s
        period = math.floor(passed_s / self.every_s)
        for index in (period, period + 1):
            peak_s = self.start_s + index * self.every_s + quiet_s
            for until_s, rate in (
                (peak_s, self.base_ops_per_s),
                (peak_s + self.lasts_s, self.burst_ops_per_s),
            ):
                if at_s < until_s:
                    return rate, until_s
        raise AssertionError(f"the next burst begins at most {self.every_s} s after {at_s}")

    def anchored(self, now_s: float) -> Burst:
        return replace(self, start_s=now_s)

    @property
    def peak_ops_per_s(self) -> float:
        return max(self.base_ops_per_s, self.burst_ops_per_s)

    def describe(self) -> dict[str, Any]:
        return {
            "shape": "burst",
            "base_ops_per_s": self.base_ops_per_s,
            "burst_ops_per_s": self.burst_ops_per_s,
            "every_s": self.every_s,
            "lasts_s": self.lasts_s,
        }


@dataclass(frozen=True, slots=True)
class DayCurve:
    """How busy a world is through the week, on a simulated clock.

    weekday, weekend: 24 weights each, the one at index h holds at h o'clock, straight lines between. 1 is the
    busiest that the world gets, which is `ops_per_s`.
    """

    ops_per_s: float
    weekday: tuple[float, ...]
    weekend: tuple[float, ...]
    clock: SimulatedClock
    name: str = "day"

    def __post_init__(self) -> None:
        checked_rate(self.ops_per_s)
        for weights in (self.weekday, self.weekend):
            if len(weights) != 24 or not all(0 <= weight <= 1 for weight in weights):
                raise ValueError(f"a day curve has 24 weights between 0 and 1, got {weights}")

    def segment(self, at_s: float) -> tuple[float, float]:
        week_s = self.clock.week_s(at_s)
        # One step of simulated time, but not less than a ramp's step of real time.
        step_s = max(DAY_STEP_S, self.clock.speed(at_s) * RAMP_STEP_S)
        index = math.floor(week_s / step_s)
        until_s = self.clock.reaches_s(at_s, week_s=(index + 1) * step_s)
        if until_s <= at_s + 1e-6:  # rounding: at the very end of a step
            index, until_s = index + 1, at_s + 1e-6
        return self.ops_per_s * self.weight((index + 0.5) * step_s), until_s

    def weight(self, week_s: float) -> float:
        """Between 0 and 1, at a time of the week."""
        hours = week_s / 3600
        hour, share = int(hours), hours % 1
        return self._at(hour) * (1 - share) + self._at(hour + 1) * share

    def _at(self, hour_of_week: int) -> float:
        day = hour_of_week * 3600 % (7 * DAY_S) // DAY_S
        return (self.weekend if day >= 5 else self.weekday)[hour_of_week % 24]

    def anchored(self, now_s: float) -> DayCurve:
        return self

    @property
    def peak_ops_per_s(self) -> float:
        return self.ops_per_s

    def describe(self) -> dict[str, Any]:
        return {"shape": "day", "curve": self.name, "ops_per_s": self.ops_per_s}


@dataclass(frozen=True, slots=True)
class Scaled:
    """Another rate, `factor` times as high."""

    rate: Rate
    factor: float

    def __post_init__(self) -> None:
        checked_rate(self.rate.peak_ops_per_s * self.factor)

    def segment(self, at_s: float) -> tuple[float, float]:
        ops_per_s, until_s = self.rate.segment(at_s)
        return ops_per_s * self.factor, until_s

    def anchored(self, now_s: float) -> Scaled:
        return Scaled(self.rate.anchored(now_s), self.factor)

    @property
    def peak_ops_per_s(self) -> float:
        return self.rate.peak_ops_per_s * self.factor

    def describe(self) -> dict[str, Any]:
        return {"shape": "scaled", "factor": self.factor, "rate": self.rate.describe()}


def rate_now(rate: Rate, at_s: float) -> float:
    """Operations/s at this moment."""
    return rate.segment(at_s)[0]
