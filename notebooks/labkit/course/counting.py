"""People like posts for some seconds, in the right way or the wrong one; then every like is looked for in the count.

The wrong way is the known mistake of the twitter world: read the number, add one, write it. The database keeps what it
is told to keep, so its ledger is in order; that likes are missing is the finding of the world's own check.
Must not live here: how likes are made and checked (traffic/workloads/likes.py), and how it looks (counted_card.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from labkit.course.operations import Operation
from labkit.course.scene import Scene
from labkit.errors import LabError
from labkit.launch.service import TrafficService

WORLD = "twitter"
PRESET = "viral"
KNOWN_MISTAKE = "rmw-likes"
USUAL_RATE = 50.0
CLAIM = "every acknowledged like is counted"
ACKNOWLEDGED_MIN = 40
STEP_S = 0.5


@dataclass(frozen=True)
class Likes:
    """What people did, and what is left of it. ledger, world: the verdicts of the database and of the world.

    since: when the ledger began that they speak of, as the service names it.
    """

    seconds: float
    read_add_write: bool
    ledger: Mapping[str, Any]
    world: Mapping[str, Any]
    since: float = 0.0

    @property
    def acknowledged(self) -> int:
        """Likes that the database had acknowledged."""
        return int(self.world["acknowledged"])

    @property
    def missing(self) -> int:
        """Of these, how many the counts lack."""
        return int(self.world["lost"])

    @property
    def counted(self) -> int:
        """Of these, how many are in the counts."""
        return self.acknowledged - self.missing

    @property
    def missing_percent(self) -> float:
        """Of all acknowledged likes."""
        return 100.0 * self.missing / self.acknowledged if self.acknowledged else 0.0

    def __repr__(self) -> str:
        way = "read, add one, write" if self.read_add_write else "a counter"
        return (
            f"{way}: {self.acknowledged} likes acknowledged in {self.seconds:.0f} s, {self.counted} counted, "
            f"{self.missing} missing ({self.missing_percent:.0f} %). The ledger says: {self.ledger['status']}; "
            f"the check of the likes says: {self.world['status']}."
        )


class Lab(Protocol):
    """What is needed of the session."""

    traffic: TrafficService


def like_together(
    lab: Lab,
    *,
    seconds: float = 20.0,
    read_add_write: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Likes:
    """Let a crowd like posts for that long, in a rush as around a post that goes viral; then count.

    read_add_write: with the known mistake. say: is told how it goes, twice a second; never what is missing, which only
    the check can know.
    """
    traffic = lab.traffic
    traffic.stop(WORLD)
    traffic.reset()
    traffic.configure(world=WORLD, preset=PRESET, bug=KNOWN_MISTAKE if read_add_write else None)
    traffic.start(WORLD)
    began_s = time.monotonic()
    try:
        while (passed_s := time.monotonic() - began_s) < seconds:
            say(_so_far(passed_s, traffic))
            time.sleep(STEP_S)
    finally:
        traffic.stop(WORLD)
        traffic.configure(world=WORLD, rate=USUAL_RATE, bug=None)
    likes = count_now(traffic, seconds=time.monotonic() - began_s, read_add_write=read_add_write)
    if likes.acknowledged < ACKNOWLEDGED_MIN:
        raise LabError("Too few likes were acknowledged to tell anything.", do="run this cell again")
    say(
        f"{likes.seconds:.0f} s: {likes.acknowledged} likes acknowledged, those included that were still on their way"
    )
    return likes


def count_now(traffic: TrafficService, *, seconds: float, read_add_write: bool) -> Likes:
    """Read every like and every acknowledged write back, at this moment."""
    since = float(traffic.stats()["counting_since"])
    verdicts = traffic.check()["verdicts"]
    world = next((one for one in verdicts if one["claim"] == CLAIM), None)
    if world is None:
        raise LabError(
            "Nobody has liked anything since the last reset.", do="run the cell before this one again"
        )
    return Likes(seconds=seconds, read_add_write=read_add_write, ledger=verdicts[0], world=world, since=since)


def way(name: str, found: Scene | Likes) -> tuple[str, int, int]:
    """What the way of counting is called, how many likes were acknowledged, and what the count says in the end."""
    if isinstance(found, Likes):
        return name, found.acknowledged, found.counted
    given = [one for one in found.operations if one.verb in ("put", "increment") and one.ok]
    return name, len(given), found.of("Alice")[-1].number


def replica_states(scene: Scene) -> dict[str, dict[str, tuple[int, int]]]:
    """What single replicas answered of a counter in a scene: {node: {actor: (given, taken back)}}."""
    return {one.node: one.totals for one in scene.operations if one.verb == "count" and _is_of_one(one)}


def merged_value(scene: Scene) -> int:
    """What a read of all replicas found in the end."""
    return [one for one in scene.operations if one.verb == "count" and not _is_of_one(one)][-1].number


def _is_of_one(operation: Operation) -> bool:
    return operation.ok and (operation.answer or {}).get("r") == 1


def _so_far(passed_s: float, traffic: TrafficService) -> str:
    world = traffic.stats()["workloads"][WORLD]
    return (
        f"{passed_s:.0f} s: {world['counts']['like']} likes acknowledged, "
        f"{world['achieved_rate']:.0f} operations a second; posts gone viral: {world['world']['viral_tweets']}"
    )
