"""What every figure of the kit has: a sentence with its newest numbers, and contrast in both themes.

Contrast as WCAG 2.2, 1.4.3 and 1.4.11, ask for it. A figure that is new needs an example here
(tests/house/test_figures.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from labkit import figures
from labkit.figures import enlarged
from labkit.figures.balance import balance
from labkit.figures.counted_likes import counted_likes
from labkit.figures.counter_states import counter_states
from labkit.figures.ledger_card import ledger_card
from labkit.figures.quorum_sets import quorum_sets
from labkit.figures.race import race
from labkit.figures.ring import RingNow, ring
from labkit.figures.round_trips import round_trips
from labkit.figures.space_time import space_time
from labkit.figures.staleness import staleness
from labkit.figures.style import (
    DARK_FOR_LIGHT,
    FAULT,
    GRID,
    INK,
    MUTED,
    NODE_COLOURS,
    PAPER,
    WORK_TINTS,
    Figure,
)
from labkit.figures.version_graph import version_graph
from labkit.samples import Mark, sample_from_stats

LINK = {"link": "node-1 – node-2", "set_ms": 100.0, "p50_ms": 101.0, "p95_ms": 140.0, "cut": False}
FRIENDS = [
    SimpleNamespace(
        who=f"friend {number}", verb=verb, value=value, sent_ms=sent_ms, answered_ms=sent_ms + 8.0 + number
    )
    for number in (1, 2)
    for verb, value, sent_ms in (("get", 0, 1.0), ("put", 1, 30.0))
]
OVER_TIME = ("rate", "latency", "load", "agreement", "lag", "hints")
EXAMPLES: dict[str, Callable[[Any], Figure]] = {
    "space_time": lambda recorded: space_time(*recorded["sides"].told),
    "space_time with delays": lambda recorded: space_time(*recorded["alice"].told),
    "version_graph": lambda recorded: version_graph(recorded["lunch"].versions),
    "staleness": lambda recorded: staleness([{"t_ms": 20, "reads": 9, "fresh": 6}], {20: 61.0}, {20: 90}),
    "quorum_sets": lambda recorded: quorum_sets(3, 2, 2),
    "ledger_card": lambda recorded: ledger_card({"status": "ok", "acknowledged": 12, "lost": 0}, {"lost": 3}),
    "ring": lambda recorded: ring(
        RingNow(
            nodes=("node-1", "node-2", "node-3", "node-4"),
            lists=(("node-1", "node-2", "node-3"),) * 8,
            taking={"node-4": frozenset({1, 2})},
            arrived={"node-4": frozenset({1})},
            keys={"node-1": 40, "node-2": 41, "node-3": 39, "node-4": None},
            rates={"node-1": 17.0},
            mine={"tweet:1": 3},
        )
    ),
    "balance": lambda _: balance({"data (slots)": {"node-1": 30, "node-2": 10}}),
    "race": lambda _: race(FRIENDS),
    "counter_states": lambda _: counter_states(
        {"node-1": {"a": (2, 0), "b": (1, 1)}, "node-2": {"a": (3, 1)}}
    ),
    "counted_likes": lambda _: counted_likes([("read, add one, write", 20, 1), ("increment", 20, 20)]),
    "round_trips": lambda recorded: round_trips([LINK]),
    "arrival_figure": lambda recorded: figures.arrival_figure(
        {"node-1": 0.3, "node-2": 4.2, "node-3": None}, acknowledged_by=["node-2"], coordinator="node-1"
    ),
}
CLEAR, VEIL = "rgba(0,0,0,0)", "rgba(127,137,150,0.25)"  # the same on a light and on a dark page
KNOWN = {*DARK_FOR_LIGHT, *NODE_COLOURS, CLEAR, VEIL}
PAGES = {"light": "#ffffff", "dark": "#111111"}


def colours(part: Any) -> set[str]:
    if isinstance(part, dict):
        return set().union(*(colours(value) for value in part.values())) if part else set()
    if isinstance(part, list | tuple):
        return set().union(*(colours(value) for value in part)) if part else set()
    return {part} if isinstance(part, str) and (part.startswith(("#", "rgb"))) else set()


@pytest.fixture
def drawn(recorded: Any, stats_at: Callable[..., dict[str, Any]]) -> Callable[[str], Figure]:
    """The example of that name."""

    def draw(name: str) -> Figure:
        if name in EXAMPLES:
            return EXAMPLES[name](recorded)
        samples = [
            sample_from_stats(stats_at(n / 4, dead="node-2" if n > 80 else None), n / 4)
            for n in range(1, 121)
        ]
        figure: Figure = getattr(figures, f"{name}_figure")(samples, [Mark(20.0, "node-2 killed")])
        return figure

    return draw


ALL = (*EXAMPLES, *OVER_TIME)


@pytest.mark.parametrize("name", ALL)
def test_it_says_its_newest_numbers_in_one_sentence(drawn: Callable[[str], Figure], name: str) -> None:
    summary = drawn(name)["summary"]
    assert summary.endswith(".")
    assert any(letter.isdigit() for letter in summary)
    assert "\n" not in summary
    assert "nan" not in summary


@pytest.mark.parametrize("name", OVER_TIME)
def test_one_that_changes_says_the_newest_and_what_was_done_last(
    drawn: Callable[[str], Figure], name: str
) -> None:
    figure = drawn(name)
    summary = figure["summary"]
    assert summary.startswith("Now ")
    assert summary.endswith("; 10 s ago: node-2 killed.")
    newest = [one for one in figure["data"] if one.get("showlegend", True) and len(one["x"]) > 2]
    if name in ("load", "lag", "latency"):
        assert all(str(one["name"]) in summary for one in newest)


def test_numbers_that_are_said_are_those_that_are_drawn(drawn: Callable[[str], Figure]) -> None:
    assert drawn("agreement")["summary"].startswith("Now 0 % of keys agree;")
    assert drawn("hints")["summary"].startswith("Now 30 writes wait as hints;")
    assert "node-2 not measured" in drawn("lag")["summary"]
    assert "of 50 asked for (reads " in drawn("rate")["summary"]


@pytest.mark.parametrize("name", OVER_TIME)
def test_before_anything_is_measured_it_says_so(name: str) -> None:
    assert getattr(figures, f"{name}_figure")([])["summary"] == "Nothing is measured yet."


@pytest.mark.parametrize("name", ALL)
def test_each_colour_is_known_so_that_the_dark_theme_has_one_for_it(
    drawn: Callable[[str], Figure], name: str
) -> None:
    assert colours(drawn(name)) - KNOWN == set()


@pytest.mark.parametrize("name", ALL)
def test_for_the_back_row_every_text_has_20_px_and_every_line_3(
    drawn: Callable[[str], Figure], name: str
) -> None:
    figure = drawn(name)
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


# --- contrast -----------------------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    """Relative luminance of "#rrggbb" (WCAG 2.2)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast of two colours, 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def used(part: Any, *, text: bool, owner: str = "") -> Iterator[str]:
    """The colours of all texts of a figure, or of all lines and symbols. An axis' `color` is that of its words."""
    if isinstance(part, list | tuple):
        for one in part:
            yield from used(one, text=text, owner=owner)
    if not isinstance(part, dict):
        return
    is_text = owner.endswith("font") or "axis" in owner
    for key, value in part.items():
        if key == "color" and text is is_text:
            yield from value if isinstance(value, list) else [value]
        else:
            yield from used(value, text=text, owner=key)


def too_faint(figure: Figure, *, text: bool, least: float, dark: bool) -> set[str]:
    """Colours of a figure with less contrast than that on the page. The grid is no information."""
    page = PAGES["dark" if dark else "light"]
    found = {colour for part in ("data", "layout") for colour in used(figure[part], text=text, owner=part)}
    shown = {DARK_FOR_LIGHT.get(one, one) if dark else one for one in found - {GRID, PAPER}}
    return {one for one in shown if one.startswith("#") and contrast(one, page) < least}


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_texts_stand_out_4_5_to_1_and_lines_3_to_1(
    drawn: Callable[[str], Figure], name: str, dark: bool
) -> None:
    figure = drawn(name)
    assert list(used(figure["layout"], text=True, owner="layout"))  # the search finds them at all
    assert too_faint(figure, text=True, least=4.5, dark=dark) == set()
    assert too_faint(figure, text=False, least=3.0, dark=dark) == set()


def test_the_search_for_faint_colours_can_fail() -> None:
    grey = {
        "data": [{"line": {"color": "#cccccc"}}],
        "layout": {"annotations": [{"font": {"color": "#888888"}}]},
    }
    assert too_faint(grey, text=True, least=4.5, dark=False) == {"#888888"}
    assert too_faint(grey, text=False, least=3.0, dark=False) == {"#cccccc"}


@pytest.mark.parametrize("colour", [*NODE_COLOURS, *WORK_TINTS, INK, MUTED, FAULT])
def test_everything_drawn_stands_out_from_the_page_in_either_theme(colour: str) -> None:
    assert contrast(colour, "#ffffff") >= 3
    assert contrast(DARK_FOR_LIGHT.get(colour, colour), "#111111") >= 3
