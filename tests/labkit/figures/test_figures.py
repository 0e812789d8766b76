"""Rows in, figures out: the numbers drawn are the numbers measured, and the visual language holds."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from random import Random
from typing import Any

import numpy
import plotly.graph_objects as plotly  # type: ignore[import-untyped]
import pytest

from labkit import figures
from labkit.figures.style import (
    DARK_FOR_LIGHT,
    NODE_COLOURS,
    NODE_DASHES,
    nice_ceiling,
)
from labkit.figures.timeline import ages, decades
from labkit.figures.traffic import WORK, rate_of
from labkit.live.chart import LiveChart
from labkit.samples import KINDS, Mark, sample_from_stats
from traffic.load.registry import WORKLOADS

TIME_FIGURES = [
    figures.rate_figure,
    figures.latency_figure,
    figures.load_figure,
    figures.agreement_figure,
    figures.lag_figure,
    figures.hints_figure,
]


def trace(figure: dict[str, Any], name: str) -> dict[str, Any]:
    """The trace of that name."""
    return next(one for one in figure["data"] if one.get("name") == name)


@pytest.fixture
def samples(stats_at) -> list[Any]:
    """Half a minute of measurements, node-2 dead at the end."""
    return [
        sample_from_stats(stats_at(n / 4, dead="node-2" if n > 80 else None), n / 4) for n in range(1, 121)
    ]


@pytest.mark.parametrize("figure", TIME_FIGURES)
def test_every_time_figure_is_valid_plotly_has_units_a_question_and_readable_text(figure, samples) -> None:
    drawn = figure(samples, [Mark(20.0, "node-2 killed")])
    plotly.Figure(drawn)  # raises on any unknown or misplaced attribute
    layout = drawn["layout"]
    assert layout["title"]["text"].endswith("?")
    assert layout["title"]["font"]["size"] >= 17
    for name in ("xaxis", "yaxis"):
        assert layout[name]["title"]["text"]
        assert layout[name]["tickfont"]["size"] >= 14


@pytest.mark.parametrize("figure", TIME_FIGURES)
def test_a_mark_stands_at_the_moment_of_the_fault(figure, samples) -> None:
    layout = figure(samples, [Mark(20.0, "node-2 killed"), Mark(-500.0, "long ago")])["layout"]
    assert [note["text"] for note in layout["annotations"]] == ["node-2 killed"]
    assert layout["shapes"][0]["x0"] == pytest.approx(20.0 - samples[-1].at_s)


@pytest.mark.parametrize("figure", TIME_FIGURES)
def test_without_samples_a_figure_is_empty_and_whole(figure) -> None:
    plotly.Figure(figure([]))


@pytest.mark.parametrize("figure", TIME_FIGURES)
def test_samples_without_measurements_draw_gaps(figure) -> None:
    plotly.Figure(figure([sample_from_stats({}, 1.0), sample_from_stats({}, 2.0)]))


def test_a_node_has_one_colour_and_dash_in_every_figure(samples) -> None:
    for figure in (figures.load_figure(samples), figures.lag_figure(samples)):
        line = trace(figure, "node-2")["line"]
        assert line["color"] == figures.node_colour("node-2") == "#C77F00"
        assert line["dash"] == figures.node_dash("node-2") == "dash"


def test_nine_nodes_have_nine_colours_and_nine_dashes_in_either_theme() -> None:
    assert len(set(NODE_COLOURS)) == 9
    assert len(set(NODE_DASHES)) == 9
    dark = [DARK_FOR_LIGHT.get(colour, colour).lower() for colour in NODE_COLOURS]
    assert len(set(dark)) == 9
    assert DARK_FOR_LIGHT["#0072B2"] == "#56B4E9"


def test_rates_are_the_growth_of_the_real_counters(stats_at) -> None:
    samples = [sample_from_stats(stats_at(n / 4), n / 4) for n in range(1, 41)]
    likes = rate_of(samples, ["like"])
    assert numpy.isnan(likes[0])
    assert likes[-1] == pytest.approx(0.3 * 50, abs=1.0)


def test_every_kind_of_operation_is_part_of_the_stack_once() -> None:
    stacked = [kind for kinds in WORK.values() for kind in kinds]
    kinds = [kind for world in WORKLOADS.values() for kind in world.make(Random(0), "test").kinds]
    assert sorted(stacked) == sorted(kinds)
    assert set(KINDS) <= set(stacked)


def test_a_counter_that_restarts_is_a_gap_and_no_negative_rate(stats_at) -> None:
    samples = [sample_from_stats(stats_at(100.0), 1.0), sample_from_stats(stats_at(1.0), 2.0)]
    assert numpy.isnan(rate_of(samples, ["view"])[-1])


def test_the_dead_node_is_drawn_at_zero_and_its_lag_as_a_gap(samples) -> None:
    assert trace(figures.load_figure(samples), "node-2")["y"][-1] == 0
    assert numpy.isnan(trace(figures.lag_figure(samples), "node-2")["y"][-1])


def test_an_axis_ends_by_what_is_in_sight(stats_at) -> None:
    old = [sample_from_stats(stats_at(n / 4, rate=900), n / 4) for n in range(1, 41)]
    new = [sample_from_stats(stats_at(100 + n / 4), 100 + n / 4) for n in range(1, 41)]
    drawn = figures.rate_figure([*old, *new])
    assert drawn["layout"]["yaxis"]["range"] == [0, 80]
    assert len(drawn["data"][0]["x"]) == 40


def test_agreement_is_drawn_in_percent(samples) -> None:
    y = trace(figures.agreement_figure(samples), "agreeing keys")["y"]
    assert y[0] == 100
    assert y[-1] == 0


def test_latency_has_a_logarithmic_axis_of_whole_decades(samples) -> None:
    axis = figures.latency_figure(samples)["layout"]["yaxis"]
    assert axis["type"] == "log"
    assert axis["range"] == [0, 2]
    assert axis["ticktext"] == ["1", "10", "100"]


def test_age_counts_back_from_the_newest_sample(samples) -> None:
    assert ages(samples)[-1] == 0
    assert ages(samples)[0] == pytest.approx(0.25 - 30.0)


@pytest.mark.parametrize(
    ("highest", "ceiling"), [(0, 10), (9, 10), (9.5, 20), (48, 80), (95, 200), (float("nan"), 10)]
)
def test_an_axis_ends_at_a_round_number(highest: float, ceiling: float) -> None:
    assert nice_ceiling(highest, least=10) == ceiling


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(2, 50, [0, 2]), (0.2, 50, [-1, 2]), (2, 1500, [0, 4]), (float("nan"), float("nan"), [0, 2])],
)
def test_decades_hold_all_values(low: float, high: float, expected: list[int]) -> None:
    assert decades(low, high, least=1, most=100) == expected


def test_arrivals_say_who_has_it_when_and_who_has_not() -> None:
    drawn = figures.arrival_figure(
        {"node-3": None, "node-1": 0.0, "node-2": 4.2},
        acknowledged_by=["node-1", "node-2"],
        coordinator="node-1",
    )
    plotly.Figure(drawn)
    bars = drawn["data"][0]
    assert list(bars["y"]) == ["node-1", "node-2", "node-3"]
    assert "coordinator" in bars["text"][0]
    assert "4.2 ms" in bars["text"][1]
    assert "not got it yet" in bars["text"][2]


def test_the_part_that_is_not_data_stays_the_same_while_time_passes(samples) -> None:
    marks = [Mark(20.0, "node-2 killed")]
    charts = [LiveChart(figures.load_figure(samples[:n], marks)) for n in (90, 101)]
    assert charts[0].skeleton == charts[1].skeleton
    assert charts[0].summary != charts[1].summary
    json.dumps(charts[0].skeleton)


@pytest.mark.parametrize("figure", TIME_FIGURES)
def test_where_nothing_was_measured_no_line_is_drawn(figure, stats_at) -> None:
    before = [sample_from_stats(stats_at(n / 4), n / 4) for n in range(1, 41)]
    after = [sample_from_stats(stats_at(30 + n / 4), 30 + n / 4) for n in range(1, 41)]
    for one in figure([*before, *after])["data"]:
        if len(one["x"]) > 2:  # the line at 99 % is no measurement
            within = [y for x, y in zip(one["x"], one["y"], strict=True) if -29.5 < x < -10.1]
            assert within, one["name"]
            assert numpy.isnan(within).all(), one["name"]
            assert one["connectgaps"] is False


def test_a_late_tick_is_no_gap(stats_at) -> None:
    samples = [sample_from_stats(stats_at(second), second) for second in (1.0, 1.25, 2.75, 3.0)]
    assert len(figures.rate_figure(samples)["data"][0]["x"]) == 4


def test_areas_of_work_lie_on_each_other_without_a_stack_that_would_fill_gaps(samples) -> None:
    *areas, asked = figures.rate_figure(samples)["data"]
    assert [area["name"] for area in areas] == ["texts", "counts", "reads"]
    assert asked["name"] == "asked for"
    for upper, lower in itertools.pairwise(areas):
        assert (upper["y"][1:] >= lower["y"][1:]).all()
        assert upper["y"][1:] - upper["customdata"][1:] == pytest.approx(lower["y"][1:])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_up_to_three_marks_at_a_time_have_names_below_each_other(samples, count: int) -> None:
    marks = [Mark(20.0 + n, f"node-{n} killed") for n in range(count)]
    notes = figures.rate_figure(samples, marks)["layout"]["annotations"]
    assert [note["text"] for note in notes] == [mark.text for mark in marks]
    assert len({note["y"] for note in notes}) == count


def test_more_than_three_marks_at_a_time_share_one_name_and_keep_their_lines(samples) -> None:
    marks = [Mark(20.0 + n / 10, f"node-{n} killed") for n in range(1, 6)]
    layout = figures.rate_figure(samples, marks)["layout"]
    assert [note["text"] for note in layout["annotations"]] == ["5 × killed"]
    assert layout["annotations"][0]["hovertext"].count("killed") == 5
    assert len(layout["shapes"]) == 5
    mixed = [*marks, Mark(21.0, "node-1 restarted")]
    notes = figures.rate_figure(samples, mixed)["layout"]["annotations"]
    assert [note["text"] for note in notes] == ["6 changes: killed, restarted"]


def test_one_name_for_many_marks_tells_of_the_newest(samples) -> None:
    """1. A scene cuts a node off and heals it; node-2 is killed and restarted; node-4 joins. 2. The name was
    "5 changes: cut off, healed, killed": nobody saw that a node had joined."""
    texts = ("node-1 cut off", "node-1 healed", "node-2 killed", "node-2 restarted", "node-4 joined")
    marks = [Mark(20.0 + place, text) for place, text in enumerate(texts)]
    notes = figures.rate_figure(samples, marks)["layout"]["annotations"]
    assert [note["text"] for note in notes] == ["5 changes: killed, restarted, joined"]


def test_names_that_would_touch_stand_at_different_heights(samples) -> None:
    """1. node-3 is paused and resumed. 2. Half a minute later node-2 is killed, and restarted. 3. The names of
    the first two stood on those of the others."""
    marks = [Mark(0.0, "a"), Mark(1.0, "b"), Mark(26.0, "c"), Mark(28.0, "d")]
    notes = figures.rate_figure(samples, marks)["layout"]["annotations"]
    places = [(float(note["x"]), note["y"]) for note in notes]
    for (x, y), (other_x, other_y) in itertools.combinations(places, 2):
        assert y != other_y or abs(x - other_x) > 0.4 * 60, places


def test_near_the_left_edge_a_mark_keeps_its_line_and_loses_its_name(samples) -> None:
    layout = figures.rate_figure(samples, [Mark(-20.0, "long ago"), Mark(20.0, "now")])["layout"]
    assert [note["text"] for note in layout["annotations"]] == ["now"]
    assert len(layout["shapes"]) == 2


def sizes(part: Any, owner: str = "") -> Iterator[tuple[str, float]]:
    """("text" or "line", px) of everything in a figure."""
    if isinstance(part, list):
        for one in part:
            yield from sizes(one, owner)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key == "size" and owner.endswith("font"):
                yield "text", value
            elif key == "width" and owner == "line" and value:
                yield "line", value
            else:
                yield from sizes(value, key)


@pytest.mark.parametrize("figure", TIME_FIGURES)
def test_a_large_figure_can_be_read_from_the_back_of_a_room(figure, samples) -> None:
    marks = [Mark(20.0, "node-2 killed")]
    large = figures.enlarged(figure(samples, marks))
    plotly.Figure(large)
    found = list(sizes(large))
    assert min(size for kind, size in found if kind == "text") >= 20
    assert min(size for kind, size in found if kind == "line") >= 3
    assert min(size for kind, size in sizes(figure(samples, marks)) if kind == "text") < 20
