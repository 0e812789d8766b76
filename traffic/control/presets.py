"""Named traffic for the three worlds: what "evening peak" or "Black Friday" means in operations a second.

Here: the curves of a day, and presets as data.
Must not live here: the shapes themselves (load/rates.py), the worlds (workloads/).

The curves are made up in the likeness of published ones: request rates of large services swing by about
two to one through a day with an evening peak (Atikoglu et al., "Workload Analysis of a Large-Scale
Key-Value Store", SIGMETRICS 2012, section 4.1), while work systems are busy from nine to five and dip at noon. They
are teaching shapes, not data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from traffic.clock import DAY_IN_TWO_MINUTES, SimulatedClock
from traffic.load.rates import Burst, Constant, DayCurve, Ramp, Rate, Scaled

if TYPE_CHECKING:
    from traffic.control.generator import Generator

Weights = tuple[float, ...]

# fmt: off
PEOPLE_WEEKDAY: Weights = (  # a network of friends: some at noon, most between 20 and 23 o'clock
    .30, .18, .12, .10, .10, .14, .25, .40, .48, .45, .45, .50,
    .60, .52, .48, .48, .52, .60, .70, .82, 1.0, 1.0, 1.0, .70,
)
PEOPLE_WEEKEND: Weights = (  # later up, busier all day
    .45, .32, .20, .14, .10, .10, .14, .22, .36, .52, .64, .70,
    .74, .74, .72, .72, .74, .78, .82, .88, .95, 1.0, .95, .70,
)
OFFICE_WEEKDAY: Weights = (  # writing together: nine to five, with a lunch
    .02, .01, .01, .01, .01, .02, .05, .20, .50, .90, 1.0, 1.0,
    .60, .80, 1.0, 1.0, .90, .60, .25, .15, .12, .10, .06, .03,
)
OFFICE_WEEKEND: Weights = (
    .02, .01, .01, .01, .01, .01, .02, .04, .06, .10, .12, .12,
    .10, .10, .12, .12, .10, .08, .08, .10, .12, .10, .06, .03,
)
TRADE_WEEKDAY: Weights = (  # orders by day, a second wave after work, stock-takes at night
    .10, .08, .08, .08, .08, .10, .15, .35, .70, 1.0, 1.0, .95,
    .85, .90, 1.0, 1.0, .95, .70, .60, .60, .60, .50, .30, .15,
)
TRADE_WEEKEND: Weights = (
    .12, .08, .08, .08, .08, .08, .10, .15, .30, .50, .65, .70,
    .65, .60, .60, .60, .60, .55, .50, .55, .60, .50, .30, .15,
)
# fmt: on

CURVES: Mapping[str, tuple[Weights, Weights]] = MappingProxyType(
    {
        "people": (PEOPLE_WEEKDAY, PEOPLE_WEEKEND),
        "office": (OFFICE_WEEKDAY, OFFICE_WEEKEND),
        "trade": (TRADE_WEEKDAY, TRADE_WEEKEND),
    }
)
CURVE_OF_WORLD = MappingProxyType({"twitter": "people", "collab": "office", "inventory": "trade"})
PEAK_OF_WORLD = MappingProxyType({"twitter": 200.0, "collab": 40.0, "inventory": 60.0})

WorldRate = Callable[[str, SimulatedClock], Rate]
"""(world, clock) -> how busy that world is."""


def day_curve(world: str, clock: SimulatedClock) -> DayCurve:
    """The usual week of a world."""
    curve = CURVE_OF_WORLD[world]
    return DayCurve(PEAK_OF_WORLD[world], *CURVES[curve], clock, name=curve)


@dataclass(frozen=True)
class Preset:
    """A situation: the hour, how fast time passes, and each world's rate (default: its day curve). season: what a
    world that has seasons is told."""

    name: str
    says: str
    hour: float
    weekday: str = "wednesday"
    speed: float = 1.0
    season: str = "normal"
    special: Mapping[str, WorldRate] = field(default_factory=dict)

    def rate(self, world: str, clock: SimulatedClock) -> Rate:
        return self.special.get(world, day_curve)(world, clock)


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            Preset("business-hours", "ten in the morning: orders and documents", hour=10),
            Preset("evening-peak", "half past eight: everybody is online", hour=20.5),
            Preset("night-maintenance", "three at night: few people, repair and stock-takes", hour=3),
            Preset("weekend", "Saturday afternoon", hour=15, weekday="saturday"),
            Preset(
                "day-in-two-minutes", "a whole day, from six o'clock on", hour=6, speed=DAY_IN_TWO_MINUTES
            ),
            Preset(
                "viral",
                "every 40 s ten seconds of a crowd around one thing",
                hour=19,
                special={"twitter": lambda world, clock: Burst(100, 600, every_s=40, lasts_s=10)},
            ),
            Preset(
                "black-friday",
                "the shop opens: orders go to ten times in 30 s and stay",
                hour=9,
                weekday="friday",
                season="black-friday",
                special={"inventory": lambda world, clock: Ramp(40, 400, duration_s=30)},
            ),
            Preset(
                "classroom",
                "slow enough to follow single operations",
                hour=11,
                special={
                    "twitter": lambda world, clock: Constant(20),
                    "collab": lambda world, clock: Constant(8),
                    "inventory": lambda world, clock: Constant(8),
                },
            ),
        )
    }
)


def preset(name: str) -> Preset:
    """ValueError names the presets that there are."""
    try:
        return PRESETS[name]
    except KeyError:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {name!r}") from None


def apply_preset(generator: Generator, name: str, *, scale: float = 1.0, start: bool = True) -> None:
    """Set the clock and every world's rate, while traffic runs or before it; `start` also starts the worlds
    that stand still. `scale` multiplies all rates. ValueError: no such preset, or too high a rate; then
    nothing has changed."""
    chosen = preset(name)
    clock = generator.clock
    rates: dict[str, Rate] = {}
    for world in generator.drivers:
        rate = chosen.rate(world, clock)
        rates[world] = rate if scale == 1 else Scaled(rate, scale)
    clock.set(hour=chosen.hour, weekday=chosen.weekday, speed=chosen.speed)
    for world, rate in rates.items():
        generator.drivers[world].change(rate=rate)
        workload = generator.drivers[world].workload
        if hasattr(workload, "season"):
            workload.season = chosen.season
    generator.preset = chosen.name
    if start:
        generator.start()
