"""As whom the traffic acts: kinds of people and a seeded population of them, at home all over the world.

Here: names, habits and home regions.
All names are made up, and fit for a classroom.
Must not live here: what a habit turns into (workloads/), when it happens (load/arrivals.py).

Casual users are many and seldom come, but then do several things in a row; power users come often; bots
come in turns, as steady as a clock; influencers write what goes viral. In the collaborative editor authors
add sentences, editors rewrite them, commenters add remarks, and fixers drop by to change a word.
"""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random
from typing import Any

POPULATION_COUNT = 200
BUSY_MAX = 1000.0
REGIONS = ("Washington DC", "London", "Tokyo", "Sydney", "Sao Paulo")
"""Where people live. The same names as in the topologies of a cluster, so that its nodes can be near them."""

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
    actions: Mapping[str, float]  # relative weights; a missing action is never done
    appeal: float = 1  # how much more their tweets attract than a casual user's
    burst: float = 1  # how many actions they take in a row when they come, on average
    steady: bool = False  # they act in turns, at even distances, instead of at random
    _names: tuple[str, ...] = field(init=False, repr=False)
    _cumulative: tuple[float, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_names", tuple(self.actions))
        object.__setattr__(self, "_cumulative", tuple(accumulate(self.actions.values())))

    def pick_action(self, random: Random) -> str:
        """What somebody of this kind does next."""
        return self._names[bisect(self._cumulative, random.random() * self._cumulative[-1])]


KINDS: tuple[PersonaKind, ...] = (
    PersonaKind(
        "casual",
        share=0.70,
        activity=1,
        actions={"view": 52, "like": 35, "retweet": 6, "comment": 4, "tweet": 3},
        burst=5,
    ),
    PersonaKind(
        "power",
        share=0.20,
        activity=5,
        actions={"view": 36, "like": 38, "retweet": 12, "comment": 9, "tweet": 5},
        appeal=2,
    ),
    PersonaKind(
        "bot",
        share=0.05,
        activity=6,
        actions={"view": 22, "like": 50, "retweet": 26, "tweet": 2},
        appeal=0.5,
        steady=True,
    ),
    PersonaKind(
        "influencer",
        share=0.05,
        activity=2,
        actions={"view": 44, "like": 22, "retweet": 6, "comment": 14, "tweet": 14},
        appeal=3,
    ),
)
WRITERS: tuple[PersonaKind, ...] = (
    PersonaKind("author", share=0.4, activity=3, actions={"append": 6, "rewrite": 1}),
    PersonaKind("editor", share=0.2, activity=3, actions={"rewrite": 5, "append": 1, "fix": 2}),
    PersonaKind("commenter", share=0.25, activity=2, actions={"comment": 1}),
    PersonaKind("fixer", share=0.15, activity=2, actions={"fix": 1}),
)


@dataclass(frozen=True, slots=True)
class Persona:
    """One made-up person (or bot) with a handle, a habit and a home."""

    handle: str
    kind: PersonaKind
    region: str = REGIONS[0]


class Population:
    """A fixed crowd; `pick` draws who comes next: busy people more often, steady ones in turns.

    Somebody who takes several actions in a row comes the more seldom, so that `activity` is actions, not visits.
    """

    def __init__(
        self, random: Random, count: int = POPULATION_COUNT, *, kinds: Sequence[PersonaKind] = KINDS
    ) -> None:
        self._random = random
        self.personas = tuple(_crowd(random, count, kinds))
        self.busy = {kind.name: 1.0 for kind in kinds}  # how busy each kind is, times its usual activity
        self.acted = dict.fromkeys(self.busy, 0)  # how often each kind of people has done something
        self._moody = [persona for persona in self.personas if not persona.kind.steady]
        self._steady = [persona for persona in self.personas if persona.kind.steady]
        self._steady_debt = 0.0  # grows by the share with each pick; at 1 it is a steady one's turn
        self._turn = 0
        self._weigh()

    def make_busy(self, busy: Mapping[str, float]) -> None:
        """Make kinds of people so many times as busy as usual. ValueError: no such kind, not a number from 0 to
        BUSY_MAX, or nobody would be left."""
        for name, times in busy.items():
            if name not in self.busy:
                raise ValueError(f"there are no personas {name!r}; there are: {', '.join(self.busy)}")
            if times and not 1 / BUSY_MAX <= times <= BUSY_MAX:
                raise ValueError(f"personas may be 0 to {BUSY_MAX:g} times as busy as usual, got {times:g}")
        wanted = {**self.busy, **busy}
        if not any(wanted.values()):
            raise ValueError("somebody must be busy: not all personas can be 0")
        self.busy = wanted
        self._weigh()

    def people(self) -> list[dict[str, Any]]:
        """Of each kind: how many there are, how busy (times what is usual), what they have done so far."""
        count = Counter(persona.kind.name for persona in self.personas)
        return [
            {"kind": name, "people": count[name], "busy": busy, "actions": self.acted[name]}
            for name, busy in self.busy.items()
        ]

    def homes(self) -> dict[str, int]:
        """How many live where."""
        return dict(sorted(Counter(persona.region for persona in self.personas).items()))

    def _weigh(self) -> None:
        self._cumulative = list(
            accumulate(one.kind.activity * self.busy[one.kind.name] / one.kind.burst for one in self._moody)
        )
        moody = self._cumulative[-1] if self._cumulative else 0.0
        steady = sum(one.kind.activity * self.busy[one.kind.name] for one in self._steady)
        self._steady_share = steady / (steady + moody)

    def pick(self) -> Persona:
        self._steady_debt += self._steady_share
        if self._steady_debt >= 1:
            self._steady_debt -= 1
            self._turn += 1
            return self._steady[self._turn % len(self._steady)]
        return self._moody[bisect(self._cumulative, self._random.random() * self._cumulative[-1])]


def _crowd(random: Random, count: int, kinds: Sequence[PersonaKind]) -> list[Persona]:
    """`count` people with different handles; each kind gets its share, and at least one."""
    handles: list[str] = []
    names = [f"{first}_{second}" for first in _FIRST for second in _SECOND]
    random.shuffle(names)
    for index in range(count):
        handle = names[index % len(names)]
        handles.append(handle if index < len(names) else f"{handle}_{index // len(names) + 1}")
    crowd: list[Persona] = []
    for kind in kinds[1:]:
        wanted = max(1, round(kind.share * count))
        suffix = "_bot" if kind.name == "bot" else ""
        for _ in range(min(wanted, len(handles))):
            crowd.append(Persona(handles.pop() + suffix, kind, random.choice(REGIONS)))
    crowd += [Persona(handle, kinds[0], random.choice(REGIONS)) for handle in handles]
    return crowd
