"""A fault schedule for a running cluster: which, when, where and for how long, from one seed.

Pure values: the same seed gives the same plan. What the plan keeps to is what the promise of the database allows
(kvnode/sim/nemesis.py does the same in virtual time): nodes may crash, all of them too, stand still, and be cut off or
slow at the same time; a "lost disk" comes only while nothing else is wrong. In a plan of any order disks are lost in
the middle of all that, and members come and go; who carries it out sees to it that no two stores are lost at a time.
Must not live here: doing it (run.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from msgspec import structs

from kvnode.cluster.contract import (
    Bandwidth,
    Command,
    Cut,
    Delay,
    Kill,
    Partition,
    Pause,
    Reconnect,
    Restart,
    Resume,
    Wipe,
)
from kvnode.faults import DISTRIBUTIONS

Kind = Literal[
    "kill",
    "pause",
    "partition",
    "one-way cut",
    "delay",
    "bandwidth",
    "lost disk",
    "lost disk in a storm",
    "join",
    "leave",
    "all disks lost",
]

WEIGHTS: dict[Kind, int] = {
    "kill": 4,
    "pause": 3,
    "partition": 3,
    "one-way cut": 2,
    "delay": 3,
    "bandwidth": 2,
    "lost disk": 1,
}
ANY_ORDER: dict[Kind, int] = {
    "kill": 3,
    "pause": 3,
    "partition": 3,
    "one-way cut": 4,
    "delay": 2,
    "bandwidth": 1,
    "lost disk in a storm": 4,
    "join": 3,
    "leave": 3,
}
"""Weights of a plan in which disks are lost and members come and go in any order that the promise allows."""
LASTS_S = (0.5, 5.5)
DELAYS_MS = (5.0, 20.0, 80.0)
RATES_BYTES_PER_S = (50_000.0, 200_000.0, 1_000_000.0)
NO_DELAY = Delay(0.0)
_AREAS: dict[Kind, str] = {
    "partition": "cuts",
    "one-way cut": "cuts",
    "delay": "delays",
    "bandwidth": "rates",
}


@dataclass(frozen=True)
class ScheduledFault:
    """One fault. at_s: from the beginning. lasts_s: until it is undone.

    nodes: the victim; for a partition one side of it; for a one-way cut sender and receiver; for a delay or a bandwidth
    nobody (all links) or a pair; for a join nobody.
    """

    at_s: float
    kind: Kind
    nodes: tuple[str, ...]
    lasts_s: float = 0.0
    slow: Delay | Bandwidth = NO_DELAY

    def commands(self) -> list[Command]:
        """What is done."""
        return BEGINS[self.kind](self)

    def undoing(self) -> Command:
        """What ends it; a delay may go on beside a cut that is healed."""
        return ENDS[self.kind](self)

    def __str__(self) -> str:
        links, slow = " <-> ".join(self.nodes) or "all links", self.slow
        where = {
            "partition": f"partition {', '.join(self.nodes)} / the others",
            "one-way cut": f"cut {' --> '.join(self.nodes)}",
            "join": "join",
        }.get(self.kind, f"{self.kind}: {', '.join(self.nodes)}")
        if self.kind == "bandwidth" and isinstance(slow, Bandwidth):
            where = f"{links}: {slow.bytes_per_s:g} bytes/s"
        if self.kind == "delay" and isinstance(slow, Delay):
            where = f"delay {links} by {slow.ms:g} ms ({slow.distribution})"
        return f"{where} for {self.lasts_s:.1f} s" if self.lasts_s else where


BEGINS: dict[Kind, Callable[[ScheduledFault], list[Command]]] = {
    "kill": lambda it: [Kill(it.nodes)],
    "pause": lambda it: [Pause(it.nodes)],
    "partition": lambda it: [Partition([it.nodes])],
    "one-way cut": lambda it: [Cut(it.nodes[0], it.nodes[1], both_ways=False)],
    **dict.fromkeys(("delay", "bandwidth"), lambda it: [structs.replace(it.slow, nodes=it.nodes or None)]),
    "lost disk in a storm": lambda it: [Wipe(it.nodes)],
    "all disks lost": lambda it: [Wipe(it.nodes), Restart(it.nodes)],
}
ENDS: dict[Kind, Callable[[ScheduledFault], Command]] = {
    **dict.fromkeys(("kill", "lost disk in a storm"), lambda it: Restart(it.nodes)),
    "pause": lambda it: Resume(it.nodes),
    **dict.fromkeys(("partition", "one-way cut"), lambda it: Reconnect()),
    "delay": lambda it: Delay(0.0),
    "bandwidth": lambda it: Bandwidth(0.0),
}


def make_schedule(
    seed: int, nodes: Sequence[str], *, seconds: float, every_s: float, weights: dict[Kind, int] = WEIGHTS
) -> list[ScheduledFault]:
    """One fault each `every_s`, the first after one such pause, for `seconds`.

    Invariant: no node has two faults at once, there is one cut and one delay at a time, and after a lost disk nothing
    of what came before is still wrong.
    """
    chance = Random(f"chaos/{seed}")
    busy_until_s: dict[str, float] = {}
    schedule: list[ScheduledFault] = []
    at_s = every_s
    while at_s < seconds:
        whole = [node for node in nodes if busy_until_s.get(node, 0.0) <= at_s]
        possible = [kind for kind in weights if _is_possible(kind, whole, busy_until_s, at_s)]
        if possible:
            kind = chance.choices(possible, [weights[kind] for kind in possible])[0]
            fault = _draw(kind, at_s, nodes, whole, chance)
            schedule.append(fault)
            if kind == "lost disk":
                busy_until_s.clear()
            else:
                areas = [_AREAS[kind]] if kind in _AREAS else fault.nodes
                busy_until_s.update(dict.fromkeys(areas, at_s + fault.lasts_s))
        at_s += every_s
    return schedule


def _is_possible(kind: Kind, whole: Sequence[str], busy_until_s: dict[str, float], at_s: float) -> bool:
    if kind in _AREAS:
        return busy_until_s.get(_AREAS[kind], 0.0) <= at_s
    return kind in ("lost disk", "join") or bool(whole)


def _draw(
    kind: Kind, at_s: float, nodes: Sequence[str], whole: Sequence[str], chance: Random
) -> ScheduledFault:
    lasts_s = round(chance.uniform(*LASTS_S), 1)
    if kind == "lost disk":
        return ScheduledFault(at_s, kind, (chance.choice(list(nodes)),))
    if kind == "partition":
        side = chance.sample(list(nodes), chance.randrange(1, len(nodes)))
        return ScheduledFault(at_s, kind, tuple(sorted(side)), lasts_s)
    if kind == "one-way cut":
        return ScheduledFault(at_s, kind, tuple(chance.sample(list(nodes), 2)), lasts_s)
    if kind in ("delay", "bandwidth"):
        slow: Delay | Bandwidth = Bandwidth(chance.choice(RATES_BYTES_PER_S))
        if kind == "delay":
            slow = Delay(chance.choice(DELAYS_MS), distribution=chance.choice(DISTRIBUTIONS))
        pair = tuple(chance.sample(list(nodes), 2)) if chance.random() < 0.5 else ()
        return ScheduledFault(at_s, kind, pair, lasts_s, slow)
    if kind == "join":
        return ScheduledFault(at_s, kind, ())
    if kind == "leave":
        return ScheduledFault(at_s, kind, (chance.choice(list(whole)),))
    return ScheduledFault(at_s, kind, (chance.choice(list(whole)),), lasts_s)
