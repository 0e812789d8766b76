"""The space-time diagram: everything that was noted is drawn, where it happened, and nothing points backwards."""

from __future__ import annotations

import itertools
import math
import time
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.figures.captions import delays
from labkit.figures.messages import messages_of, notes_of
from labkit.figures.space_time import space_time, space_time_rows

SCENES = ("alice", "lunch", "breath", "watch", "sides")


def trace_of(figure: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [trace for trace in figure["data"] if trace.get("name") == name]


def test_every_note_of_every_node_is_a_mark(recorded: Any) -> None:
    for name in SCENES:
        scene = recorded[name]
        figure = space_time(*scene.told)
        noted = sum(len(events) for events in scene.traces.values())
        marks = [trace for trace in figure["data"] if trace["mode"] == "markers"]
        assert noted and sum(len(trace["x"]) for trace in marks) == noted, name
        assert len(space_time_rows(*scene.told)) >= noted


def test_no_arrow_points_backwards_by_more_than_a_millisecond(recorded: Any) -> None:
    for name in SCENES:
        scene = recorded[name]
        notes = notes_of(scene.operations, scene.traces, scene.wall_ms_at_zero)
        for message in messages_of(notes, scene.operations):
            assert message.arrived_ms is None or message.arrived_ms >= message.sent_ms - 1.0, (name, message)


def test_the_slow_write_is_a_long_arrow_with_its_time_on_it_and_bob_saw_old_under_it(recorded: Any) -> None:
    figure = space_time(*recorded["alice"].told)
    words = [one["text"] for one in figure["layout"]["annotations"]]
    assert {"writes new", "sees new", "sees old"} <= set(words)
    assert [word for word in words if word.endswith(" ms")] == ["701 ms", "701 ms"]
    heights = dict(
        zip(figure["layout"]["yaxis"]["ticktext"], figure["layout"]["yaxis"]["tickvals"], strict=True)
    )
    assert list(heights) == ["Writer", "Alice", "Bob", "node-1", "node-2", "node-3"]
    assert sorted(heights.values(), reverse=True) == list(heights.values())
    assert "Bob, 122 ms, through node-2: sees old" in figure["summary"]
    assert "the slowest took 701 ms" in figure["summary"]


def test_what_nodes_told_twice_is_drawn_once(recorded: Any) -> None:
    scene = recorded["breath"]
    twice = {trace_id: [*events, *events] for trace_id, events in scene.traces.items()}
    once = space_time(*scene.told)
    assert space_time(scene.operations, twice, scene.nodes, scene.wall_ms_at_zero, scene.cuts) == once


def test_a_node_whose_clock_is_five_seconds_behind_is_drawn_when_it_happened(recorded: Any) -> None:
    """1. node-2's clock is set back by 5 s. 2. Its notes of a write lie 5 s before the write. 3. The picture would be
    5 s wide, with every arrow to node-2 pointing backwards."""
    scene = recorded["watch"]
    raw = [event["wall_ms"] - scene.wall_ms_at_zero for trace in scene.traces.values() for event in trace]
    assert min(raw) < -4900.0
    begin, end = space_time(*scene.told)["layout"]["xaxis"]["range"]
    assert 0.0 <= begin < end < 40.0
    notes = notes_of(scene.operations, scene.traces, scene.wall_ms_at_zero)
    order = [note.event for note in notes if note.trace_id == scene.operations[2].trace_id]
    assert order[0] == "coordinates a put"
    assert order.index("sent the record to") < order.index("received the record from")


def test_a_write_that_failed_shows_what_is_unknown_and_which_messages_were_cut_off(recorded: Any) -> None:
    figure = space_time(*recorded["sides"].told)
    words = [one["text"] for one in figure["layout"]["annotations"]]
    assert "writes bread, milk: 503, unknown" in words
    assert "writes bread, tea: 503, refused" in words
    assert trace_of(figure, "outcome unknown")[0]["line"]["dash"] != "solid"
    assert trace_of(figure, "not seen to arrive")
    assert trace_of(figure, "keeps a hint")
    assert "not seen to arrive" in figure["summary"]


def test_a_partition_is_hatched_between_its_two_sides_and_nowhere_else(recorded: Any) -> None:
    scene = recorded["sides"]
    figure = space_time(*scene.told)
    heights = dict(
        zip(figure["layout"]["yaxis"]["ticktext"], figure["layout"]["yaxis"]["tickvals"], strict=True)
    )
    (band,) = trace_of(figure, "link cut")
    assert heights["node-2"] < min(band["y"]) < max(band["y"]) < heights["node-1"]
    assert band["fillpattern"]["shape"]
    assert max(band["x"]) == pytest.approx(scene.cuts[0]["to_ms"], abs=1.0)


def test_a_single_cut_over_a_node_that_is_reached_hugs_the_two_that_are_cut() -> None:
    cuts = [{"nodes": ("node-1", "node-3"), "from_ms": 0.0, "to_ms": None}]
    figure = space_time([], {}, ["node-1", "node-2", "node-3"], 0.0, cuts)
    bands = trace_of(figure, "link cut")
    assert len(bands) == 2
    assert [band["showlegend"] for band in bands] == [True, False]


def test_nothing_yet_is_an_empty_picture_with_its_people_and_no_error() -> None:
    figure = space_time([], {}, ["node-2", "node-1", "node-10"], 0.0)
    assert figure["layout"]["yaxis"]["ticktext"] == ["node-1", "node-2", "node-10"]
    assert figure["summary"] == "Nothing has happened yet."


def test_an_operation_without_an_answer_and_without_a_trace_runs_to_the_edge_as_unknown() -> None:
    silent = SimpleNamespace(
        who="Alice", verb="put", key="x", node="node-1", sent_ms=0.0, answered_ms=None, outcome="unknown",
        status=None, trace_id=None, value="new",
    )  # fmt: skip
    figure = space_time([silent], {}, ["node-1"], 0.0)
    (bar,) = trace_of(figure, "outcome unknown")
    assert bar["x"][1] == figure["layout"]["xaxis"]["range"][1]
    assert "never answered" in figure["summary"]


@pytest.mark.parametrize("name", SCENES)
def test_words_of_one_person_do_not_lie_on_each_other(recorded: Any, name: str) -> None:
    figure = space_time(*recorded[name].told)
    begin, end = figure["layout"]["xaxis"]["range"]
    reach: dict[tuple[float, str], float] = {}
    for one in figure["layout"]["annotations"]:
        if "yshift" not in one:
            continue
        wide = len(one["text"]) * 8.3 / 1070  # bold 14 px at a page of 1280 px
        share = (one["x"] - begin) / (end - begin)
        left = share if one["xanchor"] == "left" else share - wide
        place = one["y"], one["yanchor"]
        assert left >= reach.get(place, -math.inf) - 0.01, one["text"]
        reach[place] = left + wide
        assert left + wide <= 1.02


def test_two_hundred_events_take_less_than_300_ms(recorded: Any) -> None:
    scene = recorded["lunch"]
    operations, traces = [], {}
    for copy in range(4):
        for one in scene.operations:
            operations.append(SimpleNamespace(**{**vars(one), "trace_id": f"{one.trace_id}-{copy}"}))
            traces[f"{one.trace_id}-{copy}"] = scene.traces[one.trace_id]
    assert sum(len(events) for events in traces.values()) >= 200
    began_s = time.perf_counter()
    space_time(operations, traces, scene.nodes, scene.wall_ms_at_zero)
    assert time.perf_counter() - began_s < 0.3


def test_how_long_messages_took_is_never_written_on_each_other() -> None:
    rows = {"node-1": 2.0, "node-2": 1.0, "node-3": 0.0}
    slow = [
        SimpleNamespace(sender=sender, receiver=receiver, sent_ms=sent_ms, arrived_ms=sent_ms + 700, what="the record")
        for sender, receiver, sent_ms in (
            ("node-1", "node-2", 40), ("node-1", "node-3", 40), ("node-2", "node-1", 60), ("node-3", "node-2", 60),
        )
    ]  # fmt: skip
    words = delays(slow, rows, 1400.0)  # type: ignore[arg-type]
    assert len(words) >= 3
    for one, other in itertools.combinations(words, 2):
        assert abs(one["x"] - other["x"]) >= 0.07 * 1400 or abs(one["y"] - other["y"]) >= 0.45
