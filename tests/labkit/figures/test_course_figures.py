"""What all figures of the course have in common: a sentence with numbers, known colours, and a large form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labkit.figures import enlarged
from labkit.figures.ledger_card import ledger_card
from labkit.figures.quorum_sets import quorum_sets
from labkit.figures.round_trips import round_trips
from labkit.figures.space_time import space_time
from labkit.figures.staleness import staleness
from labkit.figures.style import DARK_FOR_LIGHT, NODE_COLOURS
from labkit.figures.version_graph import version_graph

Recorded = dict[str, Any]
LINK = {"link": "node-1 – node-2", "set_ms": 100.0, "p50_ms": 101.0, "p95_ms": 140.0, "cut": False}

FIGURES: dict[str, Callable[[Recorded], dict[str, Any]]] = {
    "space_time": lambda recorded: space_time(*recorded["sides"].told),
    "version_graph": lambda recorded: version_graph(recorded["lunch"].versions),
    "staleness": lambda recorded: staleness([{"t_ms": 20, "reads": 9, "fresh": 6}], {20: 61.0}, {20: 90}),
    "quorum_sets": lambda recorded: quorum_sets(3, 2, 2),
    "ledger_card": lambda recorded: ledger_card({"status": "ok", "acknowledged": 12, "lost": 0}),
    "round_trips": lambda recorded: round_trips([LINK]),
}
CLEAR = "rgba(0,0,0,0)"
KNOWN = {*DARK_FOR_LIGHT, *NODE_COLOURS, CLEAR}


def colours(part: Any) -> set[str]:
    if isinstance(part, dict):
        return set().union(*(colours(value) for value in part.values())) if part else set()
    if isinstance(part, list | tuple):
        return set().union(*(colours(value) for value in part)) if part else set()
    return {part} if isinstance(part, str) and (part.startswith(("#", "rgb"))) else set()


@pytest.mark.parametrize("name", FIGURES)
def test_it_tells_its_newest_numbers_in_one_sentence(recorded: Recorded, name: str) -> None:
    summary = FIGURES[name](recorded)["summary"]
    assert summary.endswith(".")
    assert any(letter.isdigit() for letter in summary)
    assert "\n" not in summary


@pytest.mark.parametrize("name", FIGURES)
def test_each_colour_is_known_so_that_the_dark_theme_has_one_for_it(recorded: Recorded, name: str) -> None:
    assert colours(FIGURES[name](recorded)) - KNOWN == set()


@pytest.mark.parametrize("name", FIGURES)
def test_for_the_back_row_every_text_has_20_px_and_every_line_3(recorded: Recorded, name: str) -> None:
    figure = FIGURES[name](recorded)
    large = enlarged(figure)
    assert large["summary"] == figure["summary"]

    def look(part: Any, owner: str = "") -> None:
        if isinstance(part, dict):
            for key, value in part.items():
                if key == "size" and owner.endswith("font"):
                    assert value >= 20
                if key == "width" and owner == "line":
                    assert all(
                        one == 0 or one >= 3 for one in (value if isinstance(value, list) else [value])
                    )
                look(value, key)
        elif isinstance(part, list):
            for one in part:
                look(one, owner)

    look(large["data"])
    look(large["layout"])
