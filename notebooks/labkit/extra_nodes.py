"""Which nodes a lesson has let join, so that the next lesson begins with the three that it knows.

A file beside the cluster's own: whoever let them join may be gone. A cluster that was started with more than three
nodes on purpose keeps them.
Must not live here: joining and leaving.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

FILE = "joined-in-a-lesson.json"


def names(folder: Path) -> list[str]:
    """Those that were let in and have not been forgotten."""
    try:
        known = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [str(name) for name in known] if isinstance(known, list) else []


def note(folder: Path, name: str) -> None:
    """This one was let in by a lesson."""
    _write(folder, dict.fromkeys([*names(folder), name]))


def forget(folder: Path, gone: Iterable[str]) -> None:
    """These have left."""
    left = set(gone)
    _write(folder, [name for name in names(folder) if name not in left])


def _write(folder: Path, known: Iterable[str]) -> None:
    path = folder / FILE
    new = path.with_suffix(".new")
    new.write_text(json.dumps(list(known)), encoding="utf-8")
    new.replace(path)
