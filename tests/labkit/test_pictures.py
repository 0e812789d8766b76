"""Figures as files: what is collected, what is refused, and that nothing starts where something is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ipywidgets  # type: ignore[import-untyped]
import numpy
import pytest

from labkit import drawing, pictures
from labkit.course.cards import Guess
from labkit.course.prediction import Prediction
from labkit.course.questions import Number
from labkit.errors import LabError
from labkit.figures.style import DARK_FOR_LIGHT, INK
from labkit.live.chart import LiveChart

FIGURE: dict[str, Any] = {
    "data": [{"type": "scatter", "x": numpy.array([0.0, 1.0, 2.0]), "y": numpy.array([1.0, numpy.nan, 3.0])}],
    "layout": {
        "title": {"text": "How many?", "font": {"color": INK}},
        "width": numpy.float64(3),
        "height": 200,
    },
    "summary": "Three, at last.",
}


def chart_of(figure: dict[str, Any], css_class: str = "lab-chart-rate") -> LiveChart:
    chart = LiveChart(figure)
    chart.add_class(css_class)
    return chart


def test_what_was_split_for_the_page_is_one_figure_again() -> None:
    figure = pictures.figure_of(chart_of(FIGURE))
    assert figure["data"][0]["y"] == [1.0, None, 3.0]
    assert figure["layout"]["width"] == 3.0
    json.dumps(figure, allow_nan=False)


def test_each_chart_is_collected_once_wherever_it_stands_and_predictions_are_skipped() -> None:
    one, other = chart_of(FIGURE), chart_of(FIGURE, "lab-ledger-card")
    guess = Guess(Prediction("00.x", "How many?", Number("s")))
    shown = pictures.Shown()
    shown.add(guess, ipywidgets.VBox([ipywidgets.HTML(), ipywidgets.HBox([one])]), "text", None)
    shown.add(one, ipywidgets.VBox([other]), LiveChart())
    named = shown.figures("00")
    assert [figure.name for figure in named] == ["00-01-rate", "00-02-ledger-card"]
    assert named[0].summary == "Three, at last."
    assert guess.prediction.state == "skipped"


def test_cells_run_as_in_a_notebook_and_a_failing_one_is_named_in_one_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    chart = chart_of(FIGURE)
    cells = [
        "from labkit.live.chart import LiveChart\nprint('not shown')",
        "chart = None",
        "def f():\n    return 3",
    ]
    shown = pictures.run_cells([*cells, "display(f())\nf()"], "00.ipynb")
    shown.add(chart)
    assert list(shown.charts.values()) == [chart]
    assert capsys.readouterr().out == ""
    with pytest.raises(LabError, match=r"Cell 2 of 00.ipynb failed.*no such thing"):
        pictures.run_cells(["1", "raise ValueError('no such\\n thing')"], "00.ipynb")


def test_a_dark_picture_has_the_dark_colours_and_a_paper_of_its_own() -> None:
    figure = pictures.figure_of(chart_of(FIGURE))
    dark, light = (drawing.themed(figure, theme)["layout"] for theme in ("dark", "light"))
    assert dark["title"]["font"]["color"] == DARK_FOR_LIGHT[INK]
    assert (dark["paper_bgcolor"], light["paper_bgcolor"]) == ("#111111", "#ffffff")
    assert figure["layout"]["title"]["font"]["color"] == INK


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--browser", "no-such-browser"], "A browser is missing"),
        (["--lesson", "77"], "There is no lesson '77'"),
    ],
)
def test_what_is_missing_is_said_in_one_line_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], says: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(pictures, "own_lab", lambda: pytest.fail("a cluster was started"))
    monkeypatch.setattr(drawing, "BROWSERS", ("sh",))
    assert pictures.main([str(tmp_path / "made"), *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"pictures: {says}") and error.count("\n") == 1


def test_a_folder_in_a_repository_and_one_that_cannot_be_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "project" / ".git").mkdir(parents=True)
    assert pictures.main([str(tmp_path / "project" / "pictures")]) == 1
    assert "lies in the git repository" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert pictures.main([str(tmp_path / "file" / "pictures")]) == 1
    assert "Nothing can be written to" in capsys.readouterr().err


@pytest.mark.parametrize("width", ["10", "wide", "99999"])
def test_a_width_that_makes_no_sense_is_refused(width: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        pictures.main(["x", "--width", width])
    assert ended.value.code == 2
    assert "expected pixels from 400 to 4000" in capsys.readouterr().err
