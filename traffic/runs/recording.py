"""A recorded run in one file: what its lines are, and reading it again.

Here: the format, `load`, and tables for pandas.
Must not live here: writing while traffic runs (writer.py), playing it again (replay.py), charts (report.py).

    from traffic.runs import recording
    run = recording.load("run.jsonl.gz")        # no cluster needed
    run.frames()["series"]                      # one row a second and workload, as the live one

The format is JSON Lines, compressed if the name ends in .gz: one object a line, its kind under "type". First a
header with all that is needed to understand and to repeat the run (seed, settings, environment); then operations
in the order in which they ended, with their three times in seconds from the beginning of the run; rows of the
live series, changes of settings, faults, verdicts; last of all an end with the final counts. A file whose end is
missing, because the process that wrote it was killed, is read up to there and says so; the operations that were
out at that moment are not in it. Any other damage is an error.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Struct, field

from traffic.measure.events import Ended, Outcome
from traffic.measure.recorder import SERIES_EVERY_S, Recorder
from traffic.measure.series import Row, labelled
from traffic.operations import Operation

if TYPE_CHECKING:
    import pandas as pd

FORMAT: Literal["quorum-lab-recording"] = "quorum-lab-recording"
VERSION = 1
LINE_BYTES_MAX = 8 * 1024 * 1024
CHUNK_BYTES = 1 << 16
GZIP = b"\x1f\x8b"


class BadRecording(Exception):
    """The file cannot be read as a recording; the text says what was expected, and where it was not so."""


class Header(Struct, frozen=True, kw_only=True, tag="header"):
    """The first line. settings: of each workload, as Settings.describe answers them."""

    started_at: str  # ISO 8601, with the zone
    seed: int | None
    settings: dict[str, dict[str, Any]]
    nodes: list[str]
    replicas: int
    environment: dict[str, Any] = {}
    asked_for: dict[str, Any] = {}  # preset, duration, command line: for people
    format: str = FORMAT
    version: int = VERSION


class Done(Struct, frozen=True, kw_only=True, tag="operation", omit_defaults=True):
    """One operation that has ended. due_s, sent_s, done_s: seconds from the beginning of the run."""

    workload: str
    due_s: float
    sent_s: float
    done_s: float
    operation: Operation
    node: str | None = None
    outcome: Outcome = "ok"

    def ended(self) -> Ended:
        """As it was told of live, but for the reply."""
        return Ended(
            workload=self.workload,
            operation=self.operation,
            node=self.node,
            outcome=self.outcome,
            reply=None,
            intended_s=self.due_s,
            sent_s=self.sent_s,
            done_s=self.done_s,
        )


class SeriesRow(Struct, frozen=True, kw_only=True, tag="row"):
    """A second of one workload, as the live series has it."""

    workload: str
    row: Row


class Changed(Struct, frozen=True, kw_only=True, tag="change"):
    """Somebody changed a setting while traffic ran."""

    t_s: float
    workload: str
    settings: dict[str, Any]


class Fault(Struct, frozen=True, kw_only=True, tag="fault"):
    """Something happened to the cluster. seen: from outside, by its answers; done: somebody did it (faults.py).
    figures: how much, as of a delay."""

    t_s: float
    what: str
    nodes: list[str] = []
    source: Literal["seen", "done"] = "done"
    figures: dict[str, float | str] = {}


class Judged(Struct, frozen=True, kw_only=True, tag="verdict"):
    """A verdict at the end of the run."""

    claim: str
    status: str
    summary: str
    evidence: list[str] = []
    facts: dict[str, Any] = {}


class End(Struct, frozen=True, kw_only=True, tag="end"):
    """The last line. totals: of each workload; unanswered: operations of which nobody knows how they ended."""

    t_s: float
    totals: dict[str, dict[str, Any]]


Line = Header | Done | SeriesRow | Changed | Fault | Judged | End

_decode = msgspec.json.Decoder(Line).decode


class Recording(Struct, kw_only=True):
    """A run, read again. Operations stand in the order in which they were due, which is the order in which an
    open loop sends them. missing: what is not there, in words; "" if all is."""

    path: str
    header: Header
    operations: list[Done] = field(default_factory=list)
    rows: list[SeriesRow] = field(default_factory=list)
    changes: list[Changed] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    verdicts: list[Judged] = field(default_factory=list)
    end: End | None = None
    missing: str = ""

    @property
    def workloads(self) -> list[str]:
        return sorted({done.workload for done in self.operations} | set(self.header.settings))

    @property
    def duration_s(self) -> float:
        return max((done.done_s for done in self.operations), default=0.0)

    def of(self, workload: str) -> list[Done]:
        return [done for done in self.operations if done.workload == workload]

    def recorder(self, workload: str) -> Recorder:
        """The record of one workload as it was kept live, made again from the single operations. What is no
        operation (target rate, shed, queued, resent) is taken from the recorded rows."""
        operations = sorted(self.of(workload), key=lambda done: done.done_s)
        recorder = Recorder(_kinds(operations), self.header.nodes, 0.0)
        live = {math.floor(one.row["t_s"]): one.row for one in self.rows if one.workload == workload}
        next_row_s = SERIES_EVERY_S

        def write_row(at_s: float) -> None:
            row = live.get(math.floor(at_s), {})
            for name in ("shed", "queued", "resent"):
                setattr(recorder, name, getattr(recorder, name) + int(row.get(name, 0)))
            recorder.write_row(
                at_s, target_rate=row.get("target_rate", math.nan), in_flight=row.get("in_flight", 0)
            )

        for done in operations:
            while done.done_s >= next_row_s:
                write_row(next_row_s)
                next_row_s += SERIES_EVERY_S
            recorder.operation(done.ended())
        if operations:
            write_row(max(operations[-1].done_s, next_row_s - SERIES_EVERY_S + 1e-3))
        return recorder

    def tables(self) -> dict[str, list[Row]]:
        """operations, series, nodes, cells, faults, verdicts: rows for anybody."""
        recorders = {name: self.recorder(name) for name in self.workloads}
        return {
            "operations": [_row_of(done) for done in self.operations],
            "series": _of_all({name: one.series for name, one in recorders.items()}),
            "nodes": _of_all({name: one.node_series for name, one in recorders.items()}),
            "cells": _of_all({name: one.frame() for name, one in recorders.items()}),
            "faults": [msgspec.structs.asdict(fault) for fault in self.faults],
            "verdicts": [msgspec.structs.asdict(verdict) for verdict in self.verdicts],
        }

    def frames(self) -> dict[str, pd.DataFrame]:
        """The tables as pandas DataFrames."""
        import pandas as pd

        return {name: pd.DataFrame(rows) for name, rows in self.tables().items()}


def load(path: str | Path) -> Recording:
    """Read a recording. BadRecording: it is none, or it is damaged elsewhere than at its end."""
    path = Path(path)
    recording: Recording | None = None
    ends = _Ends()
    for number, text in enumerate(_lines(path, ends), start=1):
        try:
            line = _decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BadRecording(f"{path}, line {number}: {_why(number, text, error)}") from None
        if recording is None:
            if not isinstance(line, Header):
                raise BadRecording(f"{path}: the first line of a recording is its header, got {text[:60]!r}")
            if line.format != FORMAT or line.version != VERSION:
                raise BadRecording(
                    f"{path}: expected a {FORMAT} of version {VERSION}, got {line.format} {line.version}"
                )
            recording = Recording(path=str(path), header=line)
        else:
            _take(recording, line)
    if recording is None:
        raise BadRecording(f"{path}: expected a recording, got {'a file cut off' if ends.cut else 'nothing'}")
    recording.operations.sort(key=lambda done: done.due_s)
    if recording.end is None:
        read_s = max((done.done_s for done in recording.operations), default=0.0)
        recording.missing = (
            f"the end is missing (whoever wrote it was killed): read up to {read_s:.1f} s, "
            f"{len(recording.operations)} operations"
        )
    return recording


class _Ends:
    """How a file ended: whether in the middle of something."""

    cut = False


def _lines(path: Path, ends: _Ends) -> Iterator[bytes]:
    """Whole lines; an unfinished last one is left out."""
    rest = b""
    try:
        with path.open("rb") as file:
            for chunk in _unpacked(file.read, path, ends):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from whole
                if len(rest) > LINE_BYTES_MAX:
                    raise BadRecording(f"{path}: a line has more than {LINE_BYTES_MAX} bytes")
    except OSError as error:
        raise BadRecording(f"{path} cannot be read: {error.strerror or error}") from None
    ends.cut = ends.cut or bool(rest)


def _unpacked(read: Any, path: Path, ends: _Ends) -> Iterator[bytes]:
    chunk = read(CHUNK_BYTES)
    if not chunk.startswith(GZIP):
        while chunk:
            yield chunk
            chunk = read(CHUNK_BYTES)
        return
    gunzip = zlib.decompressobj(wbits=31)
    try:
        while chunk:
            yield gunzip.decompress(chunk)
            chunk = gunzip.unused_data or read(CHUNK_BYTES)
            if gunzip.eof and chunk:  # another member: files that were put one behind the other
                gunzip = zlib.decompressobj(wbits=31)
    except zlib.error as error:
        raise BadRecording(f"{path} is damaged: {error}") from None
    ends.cut = not gunzip.eof


def _why(number: int, text: bytes, error: Exception) -> str:
    if number == 1:
        return f"expected the header of a recording, got {text[:60]!r}"
    return f"damaged: {error}; got {text[:60]!r}"


def _take(recording: Recording, line: Line) -> None:
    match line:
        case Done():
            recording.operations.append(line)
        case SeriesRow():
            recording.rows.append(line)
        case Changed():
            recording.changes.append(line)
        case Fault():
            recording.faults.append(line)
        case Judged():
            recording.verdicts.append(line)
        case End():
            recording.end = line
        case Header():
            raise BadRecording(f"{recording.path}: a second header; play one run at a time")


def _kinds(operations: Sequence[Done]) -> list[str]:
    return sorted({done.operation.kind for done in operations})


def _of_all(rows: Mapping[str, Any]) -> list[Row]:
    return [row for name, one in rows.items() for row in labelled(one, workload=name)]


def _row_of(done: Done) -> Row:
    operation = done.operation
    return {
        "workload": done.workload,
        "kind": operation.kind,
        "key": operation.key,
        "persona": operation.persona,
        "region": operation.region,
        "session": operation.session,
        "node": done.node,
        "outcome": done.outcome,
        "due_s": done.due_s,
        "sent_s": done.sent_s,
        "done_s": done.done_s,
        "latency_ms": round((done.done_s - done.due_s) * 1000, 3),
        "sent_latency_ms": round((done.done_s - done.sent_s) * 1000, 3),
    }
