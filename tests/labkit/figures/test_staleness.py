"""Measured freshness with its intervals, the model and a guess; the sets that quorums are; the ledger's card."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.figures.ledger_card import ledger_card, ledger_card_rows
from labkit.figures.quorum_sets import quorum_sets, quorum_sets_rows
from labkit.figures.staleness import interval, staleness, staleness_rows

POINTS = [
    {"t_ms": 0.0, "reads": 600, "fresh": 12, "waited_ms": 0.6},
    {"t_ms": 50.0, "reads": 600, "fresh": 378, "waited_ms": 50.8},
]


@pytest.mark.parametrize(
    ("fresh", "reads", "low", "high"),
    # Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998), table I
    [(81, 263, 25.53, 36.62), (15, 148, 6.24, 16.05), (0, 20, 0.0, 16.11), (1, 29, 0.61, 17.18)],
)
def test_the_interval_is_wilsons(fresh: int, reads: int, low: float, high: float) -> None:
    assert interval(fresh, reads) == pytest.approx((low, high), abs=0.01)


def test_no_reads_know_nothing() -> None:
    assert interval(0, 0) == (0.0, 100.0)
    assert staleness([])["summary"] == "Nothing was measured yet."
    assert staleness([{"t_ms": 0, "reads": 0, "fresh": 0}])["data"][-1]["x"] == []


def test_a_point_stands_at_the_time_that_was_achieved_and_not_at_the_one_that_was_wished() -> None:
    figure = staleness(POINTS, {0: 2.5, 50: 61.0}, {0: 90, 50: 99})
    assert figure["data"][-1]["x"] == [0.6, 50.8]
    assert figure["data"][-1]["y"] == [2.0, 63.0]
    assert [trace["line"]["dash"] for trace in figure["data"][:2]] == ["dash", "dot"]
    assert figure["summary"] == (
        "Of 1200 reads fresh: 2 % at 0 ms, 63 % at 50 ms; the model is off by at most 2.0 points; "
        "your guess at 0 ms was 90 %."
    )


def test_a_point_of_reads_that_came_late_is_still_in_the_picture() -> None:
    """1. A busy computer reads 12 ms later than at 100 ms. 2. The axis ended at 106 ms, and the last point was gone."""
    figure = staleness([{"t_ms": 100.0, "reads": 600, "fresh": 600, "waited_ms": 112.0}])
    assert figure["layout"]["xaxis"]["range"][1] >= 112.0 * 1.05
    assert figure["data"][-1]["textposition"] == [
        "bottom center"
    ]  # beside it, the line at 100 % would cross it out


def test_the_table_holds_measured_model_and_guess_of_every_time() -> None:
    rows = staleness_rows(POINTS, {50: 61.0}, {100: 99})
    assert [row["t_ms"] for row in rows] == [0.0, 50.0, 100.0]
    assert rows[1]["model_percent"] == 61.0
    assert (rows[2]["measured_percent"], rows[2]["guess_percent"]) == (None, 99.0)
    assert rows[1]["low_percent"] < 63.0 < rows[1]["high_percent"]


# --- quorum sets --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_every_read_meets_every_write_exactly_when_r_plus_w_is_more_than_n(n: int) -> None:
    for r in range(1, n + 1):
        for w in range(1, n + 1):
            missed = [row for row in quorum_sets_rows(n, r, w) if row["both"] == "none"]
            assert bool(missed) == (r + w <= n)
            assert quorum_sets(n, r, w)["layout"]["annotations"][0]["text"].startswith("✗" if missed else "✓")


def test_the_sentence_counts_the_cases() -> None:
    assert (
        quorum_sets(3, 1, 1)["summary"]
        == "R+W = 2 ≤ N = 3: in 6 of 9 cases a read asks none that has the write."
    )
    assert quorum_sets(3, 2, 2)["summary"].startswith("R+W = 4 > N = 3: in each of 9 cases")


@pytest.mark.parametrize(("n", "r", "w"), [(0, 1, 1), (3, 0, 1), (3, 1, 4), (10, 1, 1)])
def test_numbers_that_make_no_sense_are_refused(n: int, r: int, w: int) -> None:
    with pytest.raises(ValueError, match="expected n from 1 to 9"):
        quorum_sets(n, r, w)


# --- the ledger's card -----------------------------------------------------------------------------------------------


def words(figure: dict[str, Any]) -> list[str]:
    return [one["text"] for one in figure["layout"]["annotations"]]


def test_the_card_shows_what_was_lost_beside_what_was_guessed() -> None:
    verdict = {"status": "ok", "acknowledged": 1234, "lost": 0, "longest_gap_s": 0.82, "summary": "…"}
    figure = ledger_card(verdict, {"lost": 10, "longest_gap_s": 0.82})
    assert {"1 234", "0", "0.82", "your guess: 10", "as you guessed"} <= set(words(figure))
    assert figure["layout"]["title"]["text"].startswith("✓ ok")
    assert figure["summary"] == (
        "Verdict ok: 1 234 acknowledged writes, 0 lost, 0.82 longest gap, s; guessed were 10 lost."
    )


def test_a_violated_verdict_says_so_in_words_and_an_unknown_one_has_no_numbers() -> None:
    assert ledger_card({"status": "violated", "lost": 3})["layout"]["title"]["text"].startswith("✗ violated")
    empty = ledger_card({})
    assert empty["summary"] == "Verdict unknown: no numbers."
    assert words(empty) == []
    assert ledger_card_rows({"facts": {"lost": 2}})[0]["measured"] == 2.0
