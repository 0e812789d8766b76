"""As whom the traffic acts: four kinds of people and a seeded population of them.

Here: names and habits. Not here: what a habit turns into (workloads/), when it happens (arrivals.py).
All names are made up, and fit for a classroom.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from types import MappingProxyType

POPULATION_COUNT = 200

_FIRST = (
    "ada", "alan", "barbara", "blaise", "carl", "chien", "dorothy", "edsger", "emmy", "evelyn", "frida",
    "grace",
    "hedy", "ida", "john", "joan", "katherine", "konrad", "leslie", "lynn", "mae", "margaret", "nancy",
    "noor",
    "olga", "radia", "rosa", "sofia", "tim", "yuki",
)  # fmt: skip
_SECOND = (
    "bakes", "codes", "counts", "cycles", "dances", "debugs", "draws", "gardens", "hikes", "juggles", "knits",
    "naps", "paints", "plays", "reads", "runs", "sails", "sings", "skates", "swims", "teaches", "tinkers",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PersonaKind:
    """A habit: how many people have it, how busy each of them is, and what they do when they act."""

    name: str
    share: float  # of the population
    activity: float  # actions for each action of a casual user
    appeal: float  # how much more their tweets attract than a casual user's
    actions: Mapping[str, float]  # relative weights; a missing action is never done
    _names: tuple[str, ...]
    _cumulative: tuple[float, ...]

    def pick_action(self, random: Random) -> str:
        """What somebody of this kind does next."""
        return self._names[bisect(self._cumulative, random.random() * self._cumulative[-1])]


def _kind(name: str, *, share: float, activity: float, appeal: float, **actions: float) -> PersonaKind:
    cumulative = tuple(accumulate(actions.values()))
    return PersonaKind(name, share, activity, appeal, MappingProxyType(actions), tuple(actions), cumulative)


KINDS: tuple[PersonaKind, ...] = (
    _kind("casual", share=0.70, activity=1, appeal=1, view=52, like=35, retweet=6, comment=4, tweet=3),
    _kind("power", share=0.20, activity=5, appeal=2, view=36, like=38, retweet=12, comment=9, tweet=5),
    _kind("bot", share=0.05, activity=6, appeal=0.5, view=22, like=50, retweet=26, tweet=2),
    _kind("influencer", share=0.05, activity=2, appeal=3, view=44, like=22, retweet=6, comment=14, tweet=14),
)


@dataclass(frozen=True, slots=True)
class Persona:
    """One made-up person (or bot) with a handle and a habit."""

    handle: str
    kind: PersonaKind


class Population:
    """A fixed crowd; `pick` draws the next one to act, busy ones more often."""

    def __init__(self, random: Random, count: int = POPULATION_COUNT) -> None:
        self._random = random
        self.personas = tuple(_crowd(random, count))
        self._cumulative = list(accumulate(persona.kind.activity for persona in self.personas))

    def pick(self) -> Persona:
        return self.personas[bisect(self._cumulative, self._random.random() * self._cumulative[-1])]


def _crowd(random: Random, count: int) -> list[Persona]:
    """`count` people with different handles; each kind gets its share, and at least one."""
    handles: list[str] = []
    names = [f"{first}_{second}" for first in _FIRST for second in _SECOND]
    random.shuffle(names)
    for index in range(count):
        handle = names[index % len(names)]
        handles.append(handle if index < len(names) else f"{handle}_{index // len(names) + 1}")
    crowd: list[Persona] = []
    for kind in KINDS[1:]:
        wanted = max(1, round(kind.share * count))
        suffix = "_bot" if kind.name == "bot" else ""
        crowd += [Persona(handles.pop() + suffix, kind) for _ in range(min(wanted, len(handles)))]
    crowd += [Persona(handle, KINDS[0]) for handle in handles]
    return crowd
