"""Keeping a journal where one can be kept, and saying so where none can.

Here: what goes into the journal, whose failure costs the journal and nothing else.
Must not live here: the file (journal.py).

The traffic needs no journal; its successor does. So a folder that cannot be written, or a disk that is full, is told
once on stderr and for as long as it lasts in the state (`describe`), and traffic goes on. A journal that ends in the
middle is marked as given up: half of one would accuse the database of what was never noted, and none at all would
look as if nobody had been killed.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

from traffic.measure.events import Acknowledged, AttemptStarted, Events
from traffic.operations import Put
from traffic.stores.base import PutReply
from traffic.verify.journal import Journal

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

    def listen(self, events: Events) -> None:
        if self._journal is not None:
            events.subscribe(AttemptStarted, self._started)
            events.subscribe(Acknowledged, self._acknowledged)

    def belongs_to(self, cluster: str) -> None:
        if self._journal is not None:
            self._journal.belongs_to(cluster)

    def close(self, *, keep: bool = False) -> None:
        if self._journal is not None:
            with contextlib.suppress(OSError):  # a folder that cannot be written any more
                self._journal.close(keep=keep)

    # --- inside -------------------------------------------------------------------------------------------

    def _started(self, event: AttemptStarted) -> None:
        """Before it is sent, so that the journal knows no less than the replicas do."""
        counter = event.request.counter
        if counter is not None and self._journal is not None and self.why_not is None:
            try:
                self._journal.sending(counter)
            except OSError as error:
                self._cannot(error)

    def _acknowledged(self, event: Acknowledged) -> None:
        request, reply = event.request, event.reply
        if self._journal is None or self.why_not is not None:
            return
        try:
            if request.counter is not None:
                self._journal.acknowledged(request.counter, request.totals, w=request.w, n=request.n)
            elif (
                isinstance(request.operation, Put)
                and isinstance(reply, PutReply)
                and request.operation.mode != "lww"
            ):
                self._journal.put(reply, w=request.w, n=request.n)
        except OSError as error:
            self._cannot(error)

    def _cannot(self, error: OSError) -> None:
        assert self._folder is not None
        if self._journal is not None:
            self._journal.give_up()
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
