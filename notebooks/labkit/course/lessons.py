"""What each lesson needs of the lab when it opens: a whole cluster, no added node, no faults, its traffic.

Invariant: after `prepare` the lab is the same whatever the lesson before left behind.
Must not live here: what a lesson shows (its notebook) and asks (ex00.py, ex01.py, …).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from kvnode.cluster import ClusterError, LocalCluster
from labkit import extra_nodes
from labkit.errors import LabError, Timeout
from labkit.launch.service import TrafficService
from labkit.waiting import wait_until

NODES_MIN = 3
WELL_S_MAX = 10.0
CHANGE_S_MAX = 60.0
RATES = {
    "twitter": 50.0,
    "collab": 20.0,
    "inventory": 30.0,
}  # of each world, unless the lesson says otherwise
USUAL = "business-hours"


@dataclass(frozen=True)
class Lesson:
    """One notebook. rates: the worlds that run from the start, with operations/s. first_nodes: it begins with node-1 to
    node-3 and no other."""

    number: str
    title: str
    minutes: int
    rates: Mapping[str, float] = field(default_factory=dict)
    first_nodes: bool = False


LESSONS = {
    lesson.number: lesson
    for lesson in (
        Lesson("00", "Start here", 30, {"twitter": 50}),
        Lesson("01", "The ring", 35, {"twitter": 50}, first_nodes=True),
        Lesson("02", "Quorums and staleness", 45),
        Lesson("03", "Counting likes", 35),
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
    _let_leave(lab, lesson)
    lab.traffic.set_clock(speed=1.0)
    for world, rate in RATES.items():
        settings: dict[str, Any] = {"r": 2, "w": 2, "loop": "open", "bug": None}
        settings |= {
            "preset": USUAL,
            "rate": lesson.rates.get(world, rate),
        }  # the season of one, the rate of the other
        busy = {str(one["kind"]): 1.0 for one in lab.traffic.people(world) if one["busy"] != 1}
        lab.traffic.configure(world=world, **settings, **({"personas": busy} if busy else {}))
    lab.traffic.reset()
    for world in lesson.rates:
        lab.traffic.start(world)


def _let_leave(lab: Lab, lesson: Lesson) -> None:
    """Nodes that a lesson has let join and that are still there, because it was broken off."""
    cluster = lab.cluster
    try:
        _wait_for_change(cluster)
        extra = set(extra_nodes.names(cluster.folder))
        for name in reversed([info.name for info in cluster.nodes]):
            if (lesson.first_nodes or name in extra) and len(cluster.nodes) > NODES_MIN:
                cluster.leave(name, timeout_s=CHANGE_S_MAX)
        extra_nodes.forget(cluster.folder, extra - {info.name for info in cluster.nodes})
    except ClusterError as error:
        raise LabError(
            "A node that an earlier lesson has added does not leave.",
            why=str(error),
            do="run this cell again",
        ) from error
    wanted, found = [f"node-{n}" for n in range(1, NODES_MIN + 1)], [info.name for info in cluster.nodes]
    if lesson.first_nodes and found != wanted:
        raise LabError(
            f"Lesson {lesson.number} begins with {', '.join(wanted)}.",
            why=f"the cluster {cluster.name} has {', '.join(found)}",
            do="set QUORUM_LAB_CLUSTER to another name; then restart the kernel and run this cell again",
        )


def _wait_for_change(cluster: LocalCluster) -> None:
    """A join or leave that was begun goes on, whoever began it."""
    wait_until(
        lambda: cluster.is_settled,
        what="the end of the join or leave that is under way", timeout_s=CHANGE_S_MAX,
    )  # fmt: skip


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
