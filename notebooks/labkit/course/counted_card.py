"""Two verdicts side by side: what the database's ledger says, and what the program's own check says.

Both speak of the same run. The card says which promise was whose, and counts again when it is asked to.
Must not live here: counting (counting.py), and what a verdict is (kvnode.checkers, behind the service).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from html import escape
from typing import Any, Protocol

import ipywidgets  # type: ignore[import-untyped]

from labkit.course.counting import Likes, count_now
from labkit.course.pictures import STATUS
from labkit.lab import Lab
from labkit.launch.service import TrafficService
from labkit.panels.buttons import CommandButton
from labkit.panels.style import card_parts

EVIDENCE_MAX = 2


class LabWithTraffic(Lab, Protocol):
    """What a card needs: a lab whose worker counts, and the service that it asks."""

    traffic: TrafficService


class CountedCard(ipywidgets.VBox):  # type: ignore[misc]
    """The ledger on the left, the likes on the right; `likes` is the newest count."""

    def __init__(self, lab: LabWithTraffic, likes: Likes) -> None:
        self.likes = likes
        self._lab = lab
        self._verdicts = ipywidgets.HTML()
        self.count_button = CommandButton(
            lab, "Count now", "counting every like", self.count, css_class="lab-count-now"
        )
        bar = ipywidgets.HBox([self.count_button])
        bar.add_class("lab-bar")
        super().__init__([*card_parts(), self._verdicts, bar])
        self.add_class("lab-panel")
        self.add_class("lab-card")
        self._show()

    def count(self) -> None:
        """Read everything back once more, as long as no newer run has begun: its likes are not this card's."""
        newest = count_now(
            self._lab.traffic, seconds=self.likes.seconds, read_add_write=self.likes.read_add_write
        )
        if newest.since == self.likes.since:
            self.likes = newest
            self._show(f"Counted again at {time.strftime('%H:%M:%S')}.")
        else:
            self._show("Another run has begun since: run this cell again to count anew.")

    def _show(self, note: str = "") -> None:
        likes = self.likes
        ledger, world = likes.ledger, likes.world
        self._verdicts.value = (
            '<div class="lab-two">'
            + _side(
                "The database: was a write lost?", ledger, "acknowledged writes", "lost", int(ledger["lost"])
            )
            + _side(
                "The program: is every like counted?", world, "acknowledged likes", "missing", likes.missing
            )
            + f'</div><div class="lab-said" role="status">{escape(note)}</div>'
        )


def _side(title: str, verdict: Mapping[str, Any], of: str, bad: str, count: int) -> str:
    """One verdict: its question, how it stands, two numbers, and the first lines of its evidence."""
    sign, css_class, words = STATUS[str(verdict["status"])]
    word = escape(words.partition(":")[0])
    lines = "".join(f"<li>{escape(str(line))}</li>" for line in verdict["evidence"][:EVIDENCE_MAX])
    return (
        f'<div class="lab-fact"><span>{escape(title)}</span><b class="{css_class}">{sign} {word}</b>'
        f'<div class="lab-said">{verdict["acknowledged"]} {of}, <b class="lab-inline">{count} {bad}</b></div>'
        f'<div class="lab-judgement">{f"<ul>{lines}</ul>" if lines else ""}</div></div>'
    )
