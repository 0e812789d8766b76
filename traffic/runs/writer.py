"""Writes a run to a file while it happens: a listener to the drivers that costs the traffic little.

Here: the thread that writes.
Must not live here: what the lines mean, reading (recording.py).

How it works. The event loop only appends to a deque, which takes no lock. Twice a second a thread empties it, encodes,
compresses, and flushes, so that after kill -9 all but the last half second can be read. A disk that is full ends
the recording and not the traffic: `error` says so, and what comes later is dropped and counted.
"""

from __future__ import annotations

import gzip
import threading
from collections import deque
from pathlib import Path
from typing import IO, Any

import msgspec

from traffic.measure.events import Ended
from traffic.measure.series import Row
from traffic.runs.recording import Changed, Done, End, Fault, Header, Judged, Line, SeriesRow

FLUSH_EVERY_S = 0.5
WAITING_MAX = 500_000
COMPRESSION = 3  # on these lines a third of the time of 9, for a tenth more bytes
_encode = msgspec.json.Encoder(decimal_format="number").encode


class RecordingWriter:
    """One file, from its header to `close`. OSError: the file cannot be made.

    began_s: the moment, on the drivers' clock, from which all times in the file count."""

    def __init__(self, path: str | Path, header: Header, *, began_s: float) -> None:
        self.path = Path(path)
        self.began_s = began_s
        self.error: OSError | None = None
        self.dropped = 0
        self._waiting: deque[Line | Ended] = deque([header])
        self._stopping = threading.Event()
        compressed = self.path.suffix == ".gz"
        self._file: IO[bytes] | gzip.GzipFile = (  # closed by the thread
            gzip.GzipFile(self.path, "wb", COMPRESSION) if compressed else self.path.open("wb")
        )
        self._thread = threading.Thread(target=self._run, name="recording writer", daemon=True)
        self._thread.start()

    # --- what happens (on the event loop) -----------------------------------------------------------------

    def operation(self, ended: Ended) -> None:
        self._write(ended)

    def row(self, workload: str, row: Row) -> None:
        self._write(SeriesRow(workload=workload, row=row))

    def changed(self, now_s: float, workload: str, settings: dict[str, Any]) -> None:
        self._write(Changed(t_s=self._since(now_s), workload=workload, settings=settings))

    def fault(self, fault: Fault) -> None:
        """Something happened to the cluster: somebody did it, or it was seen from its answers."""
        self._write(fault)

    def verdict(self, judged: Judged) -> None:
        self._write(judged)

    def close(self, now_s: float, totals: dict[str, dict[str, Any]]) -> None:
        """The last line; waits until all is on disk."""
        self._write(End(t_s=self._since(now_s), totals=totals))
        self._stopping.set()
        self._thread.join()

    def _since(self, now_s: float) -> float:
        return round(now_s - self.began_s, 6)

    def _write(self, line: Line | Ended) -> None:
        if self.error is not None or len(self._waiting) >= WAITING_MAX:
            self.dropped += 1
        else:
            self._waiting.append(line)

    # --- the thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with self._file as file:
                while not self._stopping.wait(FLUSH_EVERY_S):
                    self._empty(file)
                self._empty(file)
        except OSError as error:
            self.error = error

    def _empty(self, file: IO[bytes] | gzip.GzipFile) -> None:
        lines: list[bytes] = []
        while self._waiting:
            line = self._waiting.popleft()
            lines.append(_encode(self._done(line) if isinstance(line, Ended) else line))
        if lines:
            file.write(b"\n".join(lines) + b"\n")
            file.flush()

    def _done(self, ended: Ended) -> Done:
        return Done(
            workload=ended.workload,
            due_s=self._since(ended.intended_s),
            sent_s=self._since(ended.sent_s),
            done_s=self._since(ended.done_s),
            operation=ended.operation,
            node=ended.node,
            outcome=ended.outcome,
        )
