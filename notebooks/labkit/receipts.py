"""Many receipts as one table.

    python -m labkit.receipts FOLDER [--csv FILE]

One row a receipt and question or exercise. A receipt whose seal does not fit is listed as changed.
Must not live here: writing receipts (labkit/course/receipt.py).
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from labkit.course import receipt
from labkit.errors import LabError

COLUMNS = (
    "file",
    "whole",
    "who",
    "lesson",
    "made_at",
    "kind",
    "name",
    "state",
    "answer",
    "measured",
    "tries",
    "misconceptions",
)


def rows_of(path: Path, content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of one receipt."""
    base = {
        "file": path.name, "whole": "yes" if receipt.is_whole(content) else "CHANGED", "who": content.get("who", ""),
        "lesson": content.get("lesson", ""), "made_at": content.get("made_at", ""),
    }  # fmt: skip
    for one in content.get("predictions", ()):
        measured = (one.get("measured") or {}).get("value", "")
        yield {
            **base, "kind": "prediction", "name": one.get("name"), "state": one.get("state"),
            "answer": one.get("guess"), "measured": measured,
        }  # fmt: skip
    for one in content.get("exercises", ()):
        tries = one.get("tries", [])
        named = sorted({each["misconception"] for each in tries if each.get("misconception")})
        yield {
            **base, "kind": "exercise", "name": one.get("name"), "tries": len(tries),
            "state": tries[-1]["status"] if tries else "not tried",
            "answer": tries[-1]["answer"] if tries else "", "misconceptions": " ".join(named),
        }  # fmt: skip


def all_rows(folder: Path, problems: TextIO) -> Iterator[dict[str, Any]]:
    """The rows of all receipts below a folder; files that are not receipts are named."""
    for path in sorted(folder.rglob("*.json")):
        try:
            yield from rows_of(path, receipt.read(path))
        except LabError as error:
            print(f"receipts: {error}", file=problems)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; exit status 1 if a receipt was changed, 2 if there is none."""
    parser = argparse.ArgumentParser(
        prog="python -m labkit.receipts", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("folder", type=Path, help="where the receipts lie")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write here instead of printing")
    options = parser.parse_args(arguments)
    rows = list(all_rows(options.folder, sys.stderr))
    if not rows:
        print(f"receipts: no receipt in {options.folder}", file=sys.stderr)
        return 2
    if options.csv is None:
        _write(sys.stdout, rows)
    else:
        with options.csv.open("w", encoding="utf-8", newline="") as file:
            _write(file, rows)
        print(f"{len(rows)} rows in {options.csv}")
    changed = sorted({row["file"] for row in rows if row["whole"] != "yes"})
    for name in changed:
        print(f"receipts: {name} was changed after it was sealed", file=sys.stderr)
    return 1 if changed else 0


def _write(file: TextIO, rows: Sequence[Mapping[str, Any]]) -> None:
    writer = csv.DictWriter(file, COLUMNS, restval="", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
