"""What each lesson needs of the lab when it opens: a whole cluster, no faults, its traffic.

Invariant: after `prepare` the lab is the same whatever the lesson before left behind.
Must not live here: what a lesson shows (its notebook) and asks (ex02.py, ex04.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from kvnode.cluster import ClusterError, LocalCluster
from labkit.errors import LabError, Timeout
from labkit.service import TrafficService
from labkit.waiting import wait_until

NODES_MIN = 3
WELL_S_MAX = 10.0
WORLDS = ("twitter", "collab", "inventory")


@dataclass(frozen=True)
class Lesson:
    """One notebook. rates: the worlds that run from the start, with operations/s."""

    number: str
    title: str
    minutes: int
    rates: Mapping[str, float] = field(default_factory=dict)


LESSONS = {
    lesson.number: lesson
    for lesson in (
        Lesson("00", "Start here", 30, {"twitter": 50}),
        Lesson("02", "Quorums and staleness", 45),
        Lesson("04", "Conflicts and causality", 45),
    )
}


class Lab(Protocol):
    """What is prepared."""

    cluster: LocalCluster
    traffic: TrafficService


def lesson_of(number: str) -> Lesson:
    """The lesson of this number; LabError names those that there are."""
    if number not in LESSONS:
        known = ", ".join(f"{one.number} ({one.title})" for one in LESSONS.values())
        raise LabError(f"There is no lesson {number!r}.", why=f"there are {known}")
    return LESSONS[number]


def prepare(lab: Lab, lesson: Lesson) -> None:
    """Every node running and seen by the others, no fault, no known mistake, the lesson's traffic alone."""
    nodes = lab.cluster.nodes
    if len(nodes) < NODES_MIN or lab.cluster.replicas < NODES_MIN:
        raise LabError(
            f"Lesson {lesson.number} needs {NODES_MIN} nodes with as many copies of each key.",
            why=f"the cluster {lab.cluster.name} has {len(nodes)} nodes and {lab.cluster.replicas} copies",
            do="stop that cluster, or set QUORUM_LAB_CLUSTER to another name; then run this cell again",
        )
    lab.traffic.stop()
    try:
        lab.cluster.reset()
        lab.cluster.wait_ready(WELL_S_MAX)
    except ClusterError as error:
        raise LabError("The cluster could not be reset.", why=str(error), do="run this cell again") from error
    _wait_until_well(lab)
    for world in WORLDS:
        settings: dict[str, Any] = {"r": 2, "w": 2, "loop": "open"}
        if world in lesson.rates:
            settings["rate"] = lesson.rates[world]
        if world != "inventory":
            settings["bug"] = None
        lab.traffic.configure(world=world, **settings)
    lab.traffic.reset()
    for world in lesson.rates:
        lab.traffic.start(world)


def _wait_until_well(lab: Lab) -> None:
    """A node that was dead or cut off is only of use once the others believe it alive again."""
    client = lab.cluster.client()
    names = [info.name for info in lab.cluster.nodes]

    def all_see_all_alive() -> bool:
        return all(state == "alive" for name in names for state in client.health(name)["members"].values())

    try:
        wait_until(all_see_all_alive, what="all nodes to see each other alive", timeout_s=WELL_S_MAX)
    except Timeout as error:
        raise LabError(
            "The nodes do not see each other.",
            why=str(error),
            do="run this cell again; else restart the cluster",
        ) from error
