"""A run in a file: what is written is read again, and damage is told from a missing end."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from traffic.measure.events import Ended, Outcome
from traffic.measure.series import CELL_COLUMNS, NODE_COLUMNS, ROW_COLUMNS
from traffic.operations import Add, Count, Get, Maintain, Operation, Put
from traffic.runs import recording
from traffic.runs.recording import BadRecording, Fault, Header, Judged, Recording
from traffic.runs.writer import RecordingWriter

BEGAN_S = 500.0
OPERATIONS: tuple[Operation, ...] = (
    Put(kind="edit", persona="ada", key="doc/1", value='{"text": "ä\\n"}', context="Zm9v", mode="siblings"),
    Get(kind="read", persona="emmy", key="doc/1", region="europe", session="emmy/1"),
    Add(kind="like", persona="alan", key="tweet/1/likes", amount=-2),
    Count(kind="look", persona="alan", key="tweet/1/likes"),
    Maintain(kind="repair", persona="night", task="repair"),
)


def header(**more: object) -> Header:
    return Header(
        started_at="2030-01-02T03:04:05+00:00",
        seed=7,
        settings={"twitter": {"rate": 100.0, "r": 2, "w": 2}},
        nodes=["node-1", "node-2"],
        replicas=3,
        **more,  # type: ignore[arg-type]
    )


def ended(number: int, *, outcome: Outcome = "ok", took_s: float = 0.01) -> Ended:
    due_s = BEGAN_S + number / 100
    return Ended(
        workload="twitter",
        operation=OPERATIONS[number % len(OPERATIONS)],
        node=None if outcome == "definite" else f"node-{number % 2 + 1}",
        outcome=outcome,
        reply=None,
        intended_s=due_s,
        sent_s=due_s + 0.001,
        done_s=due_s + took_s,
    )


@pytest.fixture
def taped(tmp_path: Path) -> Callable[..., Path]:
    """Writes a run of `count` operations; `whole=False` leaves it without its end, as kill -9 does."""

    def write(name: str = "run.jsonl.gz", *, count: int = 300, whole: bool = True) -> Path:
        writer = RecordingWriter(tmp_path / name, header(), began_s=BEGAN_S)
        for number in range(count):
            writer.operation(ended(number, outcome="definite" if number % 50 == 7 else "ok"))
        writer.row(
            "twitter", {"t_s": 1.0, "target_rate": 100.0, "shed": 3, "queued": 5, "resent": 1, "in_flight": 2}
        )
        writer.fault(Fault(t_s=1.0, what="dead", nodes=["node-2"], source="seen"))
        writer.changed(BEGAN_S + 2, "twitter", {"w": 1})
        writer.verdict(Judged(claim="nothing was lost", status="ok", summary="acknowledged 300, lost 0: ok"))
        if whole:
            writer.close(BEGAN_S + 3.5, {"twitter": {"operations": count}})
        else:
            writer._stopping.set()
            writer._thread.join()
        assert (writer.error, writer.dropped) == (None, 0)
        return writer.path

    return write


@pytest.mark.parametrize("name", ["run.jsonl.gz", "run.jsonl"])
def test_what_was_taped_is_read_again(taped: Callable[..., Path], name: str) -> None:
    recorded = recording.load(taped(name))
    assert recorded.header == header()
    assert [done.operation for done in recorded.operations] == [OPERATIONS[n % 5] for n in range(300)]
    assert [done.outcome for done in recorded.operations[5:9]] == ["ok", "ok", "definite", "ok"]
    first = recorded.operations[1]
    assert (first.due_s, first.sent_s, first.done_s, first.node) == (0.01, 0.011, 0.02, "node-2")
    assert (recorded.faults[0].t_s, recorded.faults[0].what, recorded.faults[0].source) == (
        1.0,
        "dead",
        "seen",
    )
    assert recorded.changes[0].settings == {"w": 1}
    assert recorded.verdicts[0].status == "ok"
    assert recorded.end is not None and recorded.end.totals["twitter"]["operations"] == 300
    assert recorded.missing == ""


def test_operations_stand_in_the_order_in_which_they_were_due(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "run.jsonl.gz", header(), began_s=BEGAN_S)
    for number in (0, 3, 1, 2):  # as answers come
        writer.operation(ended(number))
    writer.close(BEGAN_S + 1, {})
    assert [done.due_s for done in recording.load(writer.path).operations] == [0, 0.01, 0.02, 0.03]


def test_frames_need_no_cluster_and_have_the_columns_of_the_live_ones(taped: Callable[..., Path]) -> None:
    frames = recording.load(taped()).frames()
    assert set(frames) == {"operations", "series", "nodes", "cells", "faults", "verdicts"}
    assert list(frames["series"].columns) == ["workload", *ROW_COLUMNS]
    assert list(frames["nodes"].columns) == ["workload", *NODE_COLUMNS]
    assert list(frames["cells"].columns) == ["workload", *CELL_COLUMNS]
    operations = frames["operations"]
    assert len(operations) == 300
    assert operations["latency_ms"].median() == pytest.approx(10)
    assert operations["sent_latency_ms"].median() == pytest.approx(9)
    assert frames["series"]["ok"].sum() == (operations["outcome"] == "ok").sum() == 294
    assert frames["series"]["definite"].sum() == 6
    assert frames["series"]["shed"].sum() == 3
    assert frames["series"]["target_rate"].iloc[0] == 100
    assert frames["series"]["p50_ms"].median() == pytest.approx(10, rel=0.01)
    assert pd.notna(frames["series"]["sent_p99_ms"]).all()


@pytest.mark.parametrize("name", ["run.jsonl.gz", "run.jsonl"])
def test_a_missing_end_is_said_and_the_rest_is_read(taped: Callable[..., Path], name: str) -> None:
    recorded = recording.load(taped(name, whole=False))
    assert recorded.end is None
    assert recorded.missing == (
        "the end is missing (whoever wrote it was killed): read up to 3.0 s, 300 operations"
    )


@pytest.mark.parametrize("name", ["run.jsonl.gz", "run.jsonl"])
def test_a_file_cut_anywhere_is_read_up_to_there(taped: Callable[..., Path], name: str) -> None:
    path = taped(name, count=2000)
    whole = path.read_bytes()
    read: list[int] = []
    for share in (0.3, 0.6, 0.9, 0.999):
        path.write_bytes(whole[: int(len(whole) * share)])
        recorded = recording.load(path)
        assert "the end is missing" in recorded.missing
        read.append(len(recorded.operations))
    assert read == sorted(read)
    assert 0 < read[0] < read[-1] <= 2000


def test_damage_in_the_middle_is_an_error_and_not_a_missing_end(taped: Callable[..., Path]) -> None:
    path = taped(count=2000)
    whole = bytearray(path.read_bytes())
    for at in range(len(whole) // 2, len(whole) // 2 + 40):
        whole[at] ^= 0xFF
    path.write_bytes(whole)
    with pytest.raises(BadRecording, match="damaged"):
        recording.load(path)


def test_a_line_that_makes_no_sense_is_named_by_its_number(taped: Callable[..., Path]) -> None:
    path = taped("run.jsonl")
    lines = path.read_text().splitlines()
    lines[4] = lines[4].replace('"due_s":', '"due_s":"soon"')
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(BadRecording, match=r"run\.jsonl, line 5: damaged"):
        recording.load(path)


def _of(line: dict[str, object]) -> bytes:
    return json.dumps(line).encode() + b"\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a recording, got nothing"),
        (b"hello\n", "line 1: expected the header of a recording, got b'hello'"),
        (b"\x00\x01\x02\n", "line 1: expected the header"),
        (b'{"type":"header"', "expected a recording, got a file cut off"),
        (gzip.compress(b'{"type": 3}\n', mtime=0), "line 1: expected the header"),
        (
            _of(
                {
                    "type": "operation",
                    "workload": "x",
                    "due_s": 1,
                    "sent_s": 1,
                    "done_s": 1,
                    "operation": {"op": "get", "kind": "a", "persona": "b", "key": "c"},
                }
            ),
            "the first line of a recording is its header",
        ),
        (
            _of(
                {
                    "type": "header",
                    "started_at": "",
                    "seed": 1,
                    "settings": {},
                    "nodes": [],
                    "replicas": 3,
                    "format": "quorum-lab-recording",
                    "version": 99,
                }
            ),
            "expected a quorum-lab-recording of version 1, got quorum-lab-recording 99",
        ),
    ],
)
def test_what_is_no_recording_is_told_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(BadRecording) as raised:
        recording.load(path)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadRecording, match="cannot be read: No such file"):
        recording.load(tmp_path / "none.jsonl")
    with pytest.raises(BadRecording, match="cannot be read"):
        recording.load(tmp_path)


def test_a_full_disk_ends_the_recording_and_not_the_traffic(tmp_path: Path) -> None:
    writer = RecordingWriter("/dev/full", header(), began_s=BEGAN_S)
    for number in range(10):
        writer.operation(ended(number))
    writer.close(BEGAN_S + 1, {})
    assert writer.error is not None
    writer.operation(ended(11))
    assert writer.dropped == 1


def test_a_recording_made_again_from_its_operations_counts_the_same(taped: Callable[..., Path]) -> None:
    recorded: Recording = recording.load(taped())
    recorder = recorded.recorder("twitter")
    assert recorder.operations == 294
    assert recorder.failed_definite == 6
    assert sum(row["count"] for row in recorder.frame()) == 300
    assert (recorder.shed, recorder.queued, recorder.resent) == (3, 5, 1)
