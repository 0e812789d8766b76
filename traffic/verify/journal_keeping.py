"""Keeping a journal where one can be kept, and saying so where none can.

Here: a journal whose failure costs the journal and nothing else. Not here: the file (journal.py), when to write
(write_ledger.py).

The traffic needs no journal; its successor does. So a folder that cannot be written, or a disk that is full, is told
once on stderr and for as long as it lasts in the state (`describe`), and traffic goes on. A journal that ends in the
middle is marked as given up: half of one would accuse the database of what was never noted, and none at all would
look as if nobody had been killed.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from traffic.stores.base import PutReply
from traffic.verify.journal import Journal
from traffic.verify.totals import CounterTotals, Totals

MEANS = "after a kill -9 the next service cannot tell which counters are unanswered"


class JournalKeeping:
    """The journal of this process in `folder`; None: nobody asked for one. why_not: why none is kept; None: one is."""

    def __init__(self, folder: Path | None, name: str) -> None:
        self._folder = folder
        self._journal: Journal | None = None
        self.why_not: str | None = None
        if folder is None:
            self.why_not = "nobody asked for one"
            return
        try:
            self._journal = Journal(folder, name)
        except OSError as error:
            self._cannot(error)

    @property
    def kept(self) -> bool:
        return self.why_not is None

    def describe(self) -> dict[str, Any]:
        """For people and JSON."""
        return {"kept": self.kept, "why_not": self.why_not}

    # --- what happened, as a Journal takes it ---------------------------------------------------------------

    def sending(self, counter: CounterTotals) -> None:
        if self._journal is not None and self.kept:
            self._noted(self._journal.sending, counter)

    def acknowledged(self, counter: CounterTotals, totals: Totals, *, w: int, n: int) -> None:
        if self._journal is not None and self.kept:
            self._noted(self._journal.acknowledged, counter, totals, w=w, n=n)

    def put(self, reply: PutReply, *, w: int, n: int) -> None:
        if self._journal is not None and self.kept:
            self._noted(self._journal.put, reply, w=w, n=n)

    def belongs_to(self, cluster: str) -> None:
        if self._journal is not None:
            self._journal.belongs_to(cluster)

    def close(self, *, keep: bool = False) -> None:
        if self._journal is not None:
            with contextlib.suppress(OSError):  # a folder that cannot be written any more
                self._journal.close(keep=keep)

    # --- inside -------------------------------------------------------------------------------------------

    def _noted(self, note: Callable[..., object], *what: object, **more: object) -> None:
        try:
            note(*what, **more)
        except OSError as error:
            assert self._journal is not None
            self._journal.give_up()
            self._cannot(error)

    def _cannot(self, error: OSError) -> None:
        assert self._folder is not None
        self.why_not = f"{why_unusable(self._folder) or self._folder}: {error.strerror or error}"
        print(f"traffic: no journal is kept: {self.why_not}; {MEANS}", file=sys.stderr)


def why_unusable(folder: Path) -> str | None:
    """Why journals can neither be kept nor read in `folder`; None if they can."""
    try:
        if not folder.exists():
            return f"there is no folder {folder}"
        if not folder.is_dir():
            return f"{folder} is not a folder"
    except OSError:  # a parent that may not be entered
        return f"{folder} cannot be reached"
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return f"{folder} cannot be read and written"
    return None
