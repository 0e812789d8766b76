"""python -m labkit.pictures from a notebook to files, with the real browser; a drawn figure needs no cluster."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from labkit import pictures

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

CELL = """from labkit.course.pictures import drawn
drawn("quorum_sets", 3, 2, 2)"""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is missing")
def test_a_figure_becomes_four_files_and_a_page_that_shows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook = {"cells": [{"cell_type": "code", "source": CELL}]}
    (tmp_path / "02-small.ipynb").write_text(json.dumps(notebook))
    monkeypatch.setattr(pictures, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(pictures, "SETTLES_S", 0.0)
    folder = tmp_path / "pictures"
    assert pictures.main([str(folder), "--width", "800"]) == 0
    files = sorted(path.name for path in folder.iterdir())
    stem = "02-01-quorum-sets"
    assert files == [f"{stem}-{theme}.{kind}" for theme in ("dark", "light") for kind in ("png", "svg")] + [
        "index.html"
    ]
    assert (folder / f"{stem}-dark.png").read_bytes().startswith(b"\x89PNG")
    svg = (folder / f"{stem}-light.svg").read_text()
    assert svg.startswith("<svg") and 'width="800"' in svg and "3" in svg
    assert "quorum-sets" in (folder / "index.html").read_text()
    assert "4 files in" in capsys.readouterr().out
