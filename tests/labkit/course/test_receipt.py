"""A receipt notices one changed digit, and thirty of them are a table in less than a second."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

import pytest

from labkit import receipts
from labkit.course import receipt
from labkit.errors import LabError

CONTENT: dict[str, Any] = {
    "lesson": "02",
    "who": "Alice, group 3",
    "made_at": "2025-01-01T10:00:00+00:00",
    "predictions": [
        {"name": "02.bob", "state": "locked", "guess": "new", "measured": {"value": "old", "spread": ""}},
        {"name": "02.fresh", "state": "skipped", "guess": None, "measured": None},
    ],
    "exercises": [
        {"name": "02.1", "tries": [{"answer": "R 1, W 1", "status": "not yet", "misconception": "M3"},
                                   {"answer": "R 2, W 2", "status": "right", "misconception": ""}]},
        {"name": "02.2", "tries": []},
    ],
}  # fmt: skip


def test_one_changed_digit_is_noticed(tmp_path: Path) -> None:
    path = receipt.write(CONTENT, folder=tmp_path)
    assert receipt.is_whole(receipt.read(path))
    text = path.read_text()
    path.write_text(text.replace("R 1, W 1", "R 1, W 2"))
    assert not receipt.is_whole(receipt.read(path))


def test_two_receipts_of_one_second_do_not_overwrite_each_other(tmp_path: Path) -> None:
    assert len({receipt.write(CONTENT, folder=tmp_path) for _ in range(5)}) == 5


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"lesson": "02"}', "no json"])
def test_what_is_no_receipt_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(LabError, match="is not a receipt"):
        receipt.read(path)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(LabError, match="could not be written"):
        receipt.write(CONTENT, folder=tmp_path / "taken")


def test_thirty_receipts_are_one_table_in_less_than_a_second(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(30):
        receipt.write({**CONTENT, "who": f"student {number}"}, folder=tmp_path / str(number))
    (tmp_path / "broken.json").write_text("not a receipt")
    began = time.monotonic()
    assert receipts.main([str(tmp_path), "--csv", str(tmp_path / "all.csv")]) == 0
    assert time.monotonic() - began < 1.0
    with (tmp_path / "all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 120
    tried = next(row for row in rows if row["name"] == "02.1")
    assert (tried["tries"], tried["state"], tried["misconceptions"]) == ("2", "right", "M3")
    assert "broken.json is not a receipt" in capsys.readouterr().err


def test_a_changed_receipt_is_named_and_ends_with_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = receipt.write(CONTENT, folder=tmp_path)
    changed = json.loads(path.read_text())
    changed["predictions"][0]["guess"] = "old"
    path.write_text(json.dumps(changed))
    assert receipts.main([str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "CHANGED" in said.out and "was changed after it was sealed" in said.err


def test_an_empty_folder_is_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert receipts.main([str(tmp_path)]) == 2
    assert "no receipt in" in capsys.readouterr().err
