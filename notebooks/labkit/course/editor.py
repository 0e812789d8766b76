"""The collaborative editor for some seconds: collisions, merges, and edits that were acknowledged and are gone.

Must not live here: the editor (traffic/workloads/collab.py) and its check.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from labkit.errors import LabError
from labkit.launch.service import TrafficService

WORLD = "collab"
KNOWN_MISTAKE = "lww"
CLAIM = "no acknowledged edit was lost"
ACKNOWLEDGED_MIN = 40


@dataclass(frozen=True)
class Edits:
    """What people did, and what is left of it. evidence: the paragraphs that lack edits, one a line."""

    seconds: float
    acknowledged: int
    lost: int
    collisions: int
    merged: int
    by_hand: int
    status: str
    evidence: tuple[str, ...]

    @property
    def lost_percent(self) -> float:
        """Of all acknowledged edits."""
        return 100.0 * self.lost / self.acknowledged if self.acknowledged else 0.0

    def __repr__(self) -> str:
        return (
            f"{self.acknowledged} edits acknowledged in {self.seconds:.0f} s, {self.lost} lost "
            f"({self.lost_percent:.0f} %); {self.collisions} collisions seen, {self.merged} merged by the editor, "
            f"{self.by_hand} by hand. The check says: {self.status}."
        )


class Lab(Protocol):
    """What is needed of the session."""

    traffic: TrafficService


def write_together(
    lab: Lab,
    *,
    seconds: float = 10.0,
    rate: float = 60.0,
    last_writer_wins: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Edits:
    """Let people write for that long, with siblings or with the known mistake; then read every paragraph back.

    say: is told how it goes, twice a second; never what is lost, which only the check can know.
    """
    traffic = lab.traffic
    traffic.stop(WORLD)
    traffic.reset()
    traffic.configure(world=WORLD, rate=rate, bug=KNOWN_MISTAKE if last_writer_wins else None)
    before = _counts(traffic)
    traffic.start(WORLD)
    began_s = time.monotonic()
    try:
        while (passed_s := time.monotonic() - began_s) < seconds:
            say(_so_far(passed_s, traffic))
            time.sleep(0.5)
    finally:
        traffic.stop(WORLD)
        verdicts = traffic.check()["verdicts"]
        counts = _counts(traffic)
        traffic.configure(world=WORLD, bug=None)
    verdict = next((one for one in verdicts if one["claim"] == CLAIM), None)
    if verdict is None or verdict["acknowledged"] < ACKNOWLEDGED_MIN:
        raise LabError("Too few edits were acknowledged to tell anything.", do="run this cell again")
    gained = {name: counts.get(name, 0) - before.get(name, 0) for name in counts}
    return Edits(
        seconds=time.monotonic() - began_s, acknowledged=int(verdict["acknowledged"]), lost=int(verdict["lost"]),
        collisions=gained["collisions"], merged=gained["automatic_merges"], by_hand=gained["resolved_by_hand"],
        status=str(verdict["status"]), evidence=tuple(verdict["evidence"]),
    )  # fmt: skip


def _so_far(passed_s: float, traffic: TrafficService) -> str:
    world = traffic.stats()["workloads"][WORLD]
    now, kinds = world["world"], world["counts"]
    return (
        f"{passed_s:.0f} s: people have opened {kinds['open']} paragraphs and saved {kinds['edit']} edits; "
        f"{now['collisions']} collisions found, {now['automatic_merges']} merged by the editor"
    )


def _counts(traffic: TrafficService) -> dict[str, Any]:
    found: dict[str, Any] = traffic.stats()["workloads"][WORLD]["world"]
    return found
