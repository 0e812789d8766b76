"""The figures of 03: who had read what when they wrote, what the replicas know of a counter, what is counted."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.figures import enlarged
from labkit.figures.counted_likes import counted_likes, counted_likes_rows
from labkit.figures.counter_states import counter_states, counter_states_rows, merged_of, value_of
from labkit.figures.race import race, race_rows
from labkit.figures.style import DARK_FOR_LIGHT, NODE_COLOURS


def friend(number: int, verb: str, value: Any, sent_ms: float, answered_ms: float | None) -> Any:
    return SimpleNamespace(
        who=f"friend {number}", verb=verb, value=value, sent_ms=sent_ms, answered_ms=answered_ms
    )


FRIENDS = [friend(number, "get", 0, number, 10.0 + number) for number in range(1, 12)]
FRIENDS += [friend(number, "put", 1, 30.0 + number, 50.0 + number) for number in range(1, 12)]
STATES = {"node-1": {"alice": (7, 0)}, "node-2": {"alice": (3, 0), "bob": (9, 4)}}
WAYS = [("read, add, write", 20, 1), ("a counter", 20, 20)]
FIGURES = {
    "race": lambda: race(FRIENDS),
    "counter_states": lambda: counter_states(STATES),
    "counter_states, not merged": lambda: counter_states(STATES, False),
    "counted_likes": lambda: counted_likes(WAYS),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_sentence_with_numbers_known_colours_and_a_large_form(name: str) -> None:
    figure = FIGURES[name]()
    assert figure["summary"].endswith(".") and re.search(r"\d", figure["summary"])
    colours = set(re.findall(r"#[0-9a-fA-F]{6}", repr(figure)))
    assert colours <= {*DARK_FOR_LIGHT, *NODE_COLOURS}
    sizes = re.findall(r"'(?:text)?font': \{'size': (\d+)", repr(enlarged(figure)))
    assert sizes and all(int(size) >= 20 for size in sizes)


@pytest.mark.parametrize("empty", [lambda: race([]), lambda: counter_states({}), lambda: counted_likes([])])
def test_nothing_measured_yet_is_a_figure_too(empty: Any) -> None:
    assert empty()["summary"].startswith("0 ")


def test_a_row_a_friend_in_the_order_of_their_numbers_and_the_barrier_at_the_last_read() -> None:
    rows = race_rows(FRIENDS)
    assert [row["who"] for row in rows] == [f"friend {number}" for number in range(1, 12)]
    assert {(row["read"], row["wrote"]) for row in rows} == {(0, 1)}
    figure = race(FRIENDS)
    assert figure["layout"]["shapes"][0]["x0"] == 21.0
    assert "the first write was sent at 31 ms; written were 1." in figure["summary"]


def test_who_was_never_answered_has_no_row() -> None:
    silent = [friend(12, "get", None, 1.0, None), friend(12, "put", 1, 30.0, None)]
    assert len(race_rows([*FRIENDS, *silent])) == 11


def test_the_merge_takes_the_larger_of_each_number_and_frames_it() -> None:
    assert ([value_of(state) for state in STATES.values()], merged_of(STATES)) == ([7, 8], 12)
    figure = counter_states(STATES)
    frames = figure["data"][0]
    assert sorted(zip(frames["x"], frames["y"], strict=True)) == [(0, 0.0), (1, -3.0), (1, -2.0)]
    assert [row["merged"] for row in counter_states_rows(STATES)] == [7, 0, 9, 4, 12]
    assert "node-1 says 7, node-2 says 8" in figure["summary"] and "12" in figure["summary"]


def test_what_a_student_is_to_find_out_stands_nowhere_in_the_picture() -> None:
    figure = counter_states(STATES, False)
    assert "12" not in figure["summary"] and "<b>12</b>" not in figure["data"][1]["text"]
    assert figure["data"][0]["x"] == []
    assert all("merged" not in row for row in counter_states_rows(STATES, False))


def test_what_is_missing_is_said_in_words() -> None:
    figure = counted_likes(WAYS)
    wrong, counter = (note["text"] for note in figure["layout"]["annotations"])
    assert "20 acknowledged, 1 counted" in wrong and "✗ 19 missing" in wrong
    assert "✓ none missing" in counter
    assert [bar["x"] for bar in figure["data"]] == [[1, 20], [19, None]]  # none: not even an edge of red
    assert [row["missing"] for row in counted_likes_rows(WAYS)] == [19, 0]
