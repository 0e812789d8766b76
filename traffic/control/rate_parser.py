"""Rates as people and JSON write them: `500`, `ramp:100:500:30`, or the dictionary of `Rate.describe()`.

Here: words to rates.
Must not live here: what a rate does (load/rates.py), which rates go together (presets.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from traffic.clock import SimulatedClock
from traffic.control.presets import CURVES
from traffic.load.rates import Burst, Constant, DayCurve, Ramp, Rate, Scaled, Step, checked_rate

HELP = (
    "500 (operations/s), ramp:FROM:TO:SECONDS, step:LEVEL,LEVEL,…:SECONDS EACH, burst:BASE:PEAK:EVERY:LASTS "
    f"(seconds), or day:OPERATIONS/S AT THE BUSIEST HOUR[:{'|'.join(CURVES)}]"
)


def rate_of(spec: float | str | Mapping[str, Any], *, clock: SimulatedClock | None = None) -> Rate:
    """The rate that a number, a line of text or a description means. ValueError says what was expected.

    clock: by which a day curve lives; without one it cannot be asked for.
    """
    if isinstance(spec, Mapping):
        return _of_description(spec, clock)
    if isinstance(spec, str):
        return _of_text(spec, clock)
    return Constant(checked_rate(spec))


def _of_text(text: str, clock: SimulatedClock | None) -> Rate:
    shape, *words = text.strip().split(":")
    try:
        match shape, words:
            case "ramp", [first, last, seconds]:
                return Ramp(float(first), float(last), duration_s=float(seconds))
            case "step", [levels, seconds]:
                return Step(tuple(float(level) for level in levels.split(",")), each_s=float(seconds))
            case "burst", [base, peak, every, lasts]:
                return Burst(float(base), float(peak), every_s=float(every), lasts_s=float(lasts))
            case "day", [peak]:
                return _day(float(peak), "people", clock)
            case "day", [peak, curve]:
                return _day(float(peak), curve, clock)
            case number, []:
                return Constant(checked_rate(float(number)))
    except ValueError as error:
        if "convert string to float" not in str(error):
            raise
    raise ValueError(f"expected a rate such as {HELP}; got {text!r}")


def _of_description(spec: Mapping[str, Any], clock: SimulatedClock | None) -> Rate:
    try:
        match spec.get("shape"):
            case "constant":
                return Constant(float(spec["ops_per_s"]))
            case "ramp":
                return Ramp(
                    float(spec["from_ops_per_s"]),
                    float(spec["to_ops_per_s"]),
                    duration_s=float(spec["duration_s"]),
                )
            case "step":
                levels = tuple(float(level) for level in spec["levels_ops_per_s"])
                return Step(levels, each_s=float(spec["each_s"]))
            case "burst":
                return Burst(
                    float(spec["base_ops_per_s"]),
                    float(spec["burst_ops_per_s"]),
                    every_s=float(spec["every_s"]),
                    lasts_s=float(spec["lasts_s"]),
                )
            case "day":
                return _day(float(spec["ops_per_s"]), str(spec.get("curve", "people")), clock)
            case "scaled":
                return Scaled(_of_description(spec["rate"], clock), float(spec["factor"]))
    except KeyError as error:
        raise ValueError(f"a rate of shape {spec.get('shape')!r} needs {error.args[0]!r}") from None
    except TypeError:
        raise ValueError(f"a rate needs numbers, got {dict(spec)!r}") from None
    raise ValueError(
        f"the shape of a rate is constant, ramp, step, burst, day or scaled, got {spec.get('shape')!r}"
    )


def _day(ops_per_s: float, curve: str, clock: SimulatedClock | None) -> DayCurve:
    if clock is None:
        raise ValueError("a day curve needs a simulated clock")
    if curve not in CURVES:
        raise ValueError(f"a day curve is one of {', '.join(CURVES)}, got {curve!r}")
    weekday, weekend = CURVES[curve]
    return DayCurve(ops_per_s, weekday, weekend, clock, name=curve)
