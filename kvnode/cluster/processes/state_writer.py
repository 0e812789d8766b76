"""Keeps state.json equal to the state of a running cluster, as far as the disk allows.

Must not live here: what is in it (processes/manager.py), and how a file is replaced (state.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from kvnode.cluster.contract import ClusterState
from kvnode.cluster.state import write_json

RETRY_S = 1.0


class StateWriter:
    """trouble: why the file is older than the state; empty if it is not.

    A full disk must not end a supervisor, nor keep it from killing and starting nodes: commands are answered with the
    state itself. Only who reads the file sees an old one, until there is room again.
    """

    def __init__(self, path: Path, state: Callable[[], ClusterState], log: Callable[[str], None]) -> None:
        self._path = path
        self._state = state
        self._log = log
        self._retry: asyncio.TimerHandle | None = None
        self._stopped = False
        self.trouble = ""

    def write(self) -> None:
        """Replace the file; if that cannot be now, again in a while."""
        before, self.trouble = self.trouble, ""
        try:
            write_json(self._path, self._state())
        except OSError as error:
            self.trouble = f"{self._path} cannot be written: {error.strerror}"
            if self.trouble != before:
                self._log(self.trouble)
            if self._retry is None and not self._stopped:
                self._retry = asyncio.get_running_loop().call_later(RETRY_S, self._write_again)

    def stop(self) -> None:
        """The cluster ends: no more tries."""
        self._stopped = True
        if self._retry is not None:
            self._retry.cancel()

    def _write_again(self) -> None:
        self._retry = None
        self.write()
