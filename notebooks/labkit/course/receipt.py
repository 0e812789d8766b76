"""A receipt of a lesson: what was predicted, measured and judged, with a seal over it.

The seal (SHA-256 over the canonical JSON) makes a changed digit noticeable. It does not prove who worked: anybody
who can write a receipt can seal it.
Must not live here: collecting many of them (labkit/receipts.py).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labkit.errors import LabError

SEAL = "sha256"
FOLDER = "receipts"


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content with its seal."""
    plain = {name: value for name, value in content.items() if name != SEAL}
    return {**plain, SEAL: _digest(plain)}


def is_whole(receipt: Mapping[str, Any]) -> bool:
    """Whether nothing was changed since it was sealed."""
    return receipt.get(SEAL) == _digest({name: value for name, value in receipt.items() if name != SEAL})


def write(content: Mapping[str, Any], *, folder: Path | str = FOLDER) -> Path:
    """Write a sealed receipt into the folder; its name tells the lesson and the time."""
    lesson = re.sub(r"[^A-Za-z0-9-]+", "-", str(content.get("lesson", "lesson"))).strip("-") or "lesson"
    path = Path(folder) / f"{lesson}-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(sealed(content), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise LabError(
            "The receipt could not be written.", why=str(error), do="name a folder of your own"
        ) from error
    return path


def read(path: Path | str) -> dict[str, Any]:
    """A receipt as it stands; LabError if it is none."""
    try:
        receipt = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LabError(f"{path} is not a receipt.", why=str(error)) from error
    if not isinstance(receipt, dict) or SEAL not in receipt:
        raise LabError(f"{path} is not a receipt.", why="it has no seal")
    return receipt


def _digest(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
