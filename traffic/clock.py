"""Two clocks: the one by which the generator measures, and the one by which its people live.

Here: monotonic time, and a time of day that can run faster than life and be set to any hour.
Must not live here: how busy people are at an hour (load/rates.py), waiting.

Why not the loop's own time: uvloop's `loop.time()` counts whole milliseconds and stands still while
callbacks run; latencies need better. Tests in virtual time pass the loop's clock instead.

How the simulated clock changes without a glitch. It is a chain of straight pieces, each with the measured
moment from which it holds, the time of the week at that moment, and a speed. Setting the hour or the speed
adds a piece; what lay before keeps its piece. So whoever integrates a rate over the last few milliseconds,
after somebody has pressed a button in the middle of them, still gets the old hours before the press and the
new ones after it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

Clock = Callable[[], float]
"""Seconds since some fixed moment."""

monotonic: Clock = time.monotonic


@dataclass(frozen=True)
class Runtime:
    """Randomness and time as a driver is given them. clock: what it measures by. wall: what its people go by."""

    random: Random
    clock: Clock = monotonic
    wall: Clock = time.time


DAY_S = 86_400.0
WEEK_S = 7 * DAY_S
SPEED_MAX = 10_000.0
PIECES_MAX = 64
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY_IN_TWO_MINUTES = DAY_S / 120


class _Piece(NamedTuple):
    """From `from_s` on the time of the week is `week_s + speed * (now - from_s)`."""

    from_s: float
    week_s: float
    speed: float


class SimulatedClock:
    """The time of the week for the people in the traffic. Seconds on `clock` go in.

    speed: simulated seconds for each real one: 1 is life, 720 a day in two minutes, 0 stands still.
    """

    def __init__(
        self, *, hour: float = 9.0, weekday: str = "monday", speed: float = 1.0, clock: Clock = monotonic
    ) -> None:
        self._clock = clock
        # Invariant: sorted by from_s; the first one holds for all time before it, too.
        self._pieces = [_Piece(clock(), _week_s(hour, weekday), _checked_speed(speed))]

    # --- reading ------------------------------------------------------------------------------------------

    def week_s(self, at_s: float | None = None) -> float:
        """Simulated seconds since Monday 0:00, at a moment of the measuring clock (default: now)."""
        at_s = self._clock() if at_s is None else at_s
        piece = self._piece(at_s)
        return (piece.week_s + piece.speed * (at_s - piece.from_s)) % WEEK_S

    def hour(self, at_s: float | None = None) -> float:
        """Hour of the day, 0 ≤ hour < 24."""
        return self.week_s(at_s) % DAY_S / 3600

    def weekday(self, at_s: float | None = None) -> str:
        return WEEKDAYS[int(self.week_s(at_s) // DAY_S)]

    def is_weekend(self, at_s: float | None = None) -> bool:
        return self.week_s(at_s) >= 5 * DAY_S

    def is_business_hours(self, at_s: float | None = None) -> bool:
        """Monday to Friday, 9 to 17."""
        return not self.is_weekend(at_s) and 9 <= self.hour(at_s) < 17

    def is_night(self, at_s: float | None = None) -> bool:
        """When maintenance runs: 0 to 6."""
        return self.hour(at_s) < 6

    def speed(self, at_s: float | None = None) -> float:
        return self._piece(self._clock() if at_s is None else at_s).speed

    def reaches_s(self, at_s: float, *, week_s: float) -> float:
        """The measured moment, not before `at_s`, at which the clock shows `week_s` if nobody touches it;
        or the moment at which somebody has touched it, if that comes first. inf: never."""
        speed = self.speed(at_s)
        ahead_s = (week_s - self.week_s(at_s)) % WEEK_S
        reached_s = at_s + ahead_s / speed if speed > 0 else math.inf
        touched_s = next((piece.from_s for piece in self._pieces if piece.from_s > at_s), math.inf)
        return min(reached_s, touched_s)

    def describe(self) -> dict[str, Any]:
        """For people and JSON: what the clock shows now, and how fast it runs."""
        now_s = self._clock()
        minutes = int(self.hour(now_s) * 60)
        return {
            "time": f"{minutes // 60:02}:{minutes % 60:02}",
            "hour": round(self.hour(now_s), 3),
            "weekday": self.weekday(now_s),
            "speed": self.speed(now_s),
        }

    # --- setting ------------------------------------------------------------------------------------------

    def set(
        self, *, hour: float | None = None, weekday: str | None = None, speed: float | None = None
    ) -> None:
        """From now on another time, day or speed; what is not given goes on. ValueError says what is wrong."""
        now_s = self._clock()
        week_s = _week_s(
            self.hour(now_s) if hour is None else hour, self.weekday(now_s) if weekday is None else weekday
        )
        piece = _Piece(now_s, week_s, self.speed(now_s) if speed is None else _checked_speed(speed))
        if self._pieces[-1].from_s >= now_s:  # twice at one moment: the second word counts
            self._pieces[-1] = piece
        else:
            self._pieces = [*self._pieces[-(PIECES_MAX - 1) :], piece]

    def _piece(self, at_s: float) -> _Piece:
        for piece in reversed(self._pieces):
            if piece.from_s <= at_s:
                return piece
        return self._pieces[0]


def _week_s(hour: float, weekday: str) -> float:
    if not 0 <= hour < 24:
        raise ValueError(f"hour must be at least 0 and less than 24, got {hour}")
    if weekday not in WEEKDAYS:
        raise ValueError(f"weekday must be one of {', '.join(WEEKDAYS)}, got {weekday!r}")
    return WEEKDAYS.index(weekday) * DAY_S + hour * 3600


def _checked_speed(speed: float) -> float:
    if not 0 <= speed <= SPEED_MAX:
        raise ValueError(f"speed must be between 0 and {SPEED_MAX:g} times life, got {speed}")
    return float(speed)
