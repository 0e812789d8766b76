"""The command line: every mistake is answered in one line, before anything is started."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import msgspec
import pytest

from traffic.cli import main
from traffic.operations import Get
from traffic.runs import commandline
from traffic.runs.recording import Done, Header


@pytest.fixture
def nobody() -> str:
    """The URL of a port on which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "twitter", "--preset", "rush-hour"], "preset must be one of business-hours, evening-peak"),
        (
            ["run", "twitter", "--rate", "fast"],
            "expected a rate such as 500 (operations/s), ramp:FROM:TO:SECONDS",
        ),
        (["run", "twitter", "--rate", "9000"], "rate must be between 0 and 5000 operations/s, got 9000"),
        (["run", "twitter", "--w", "0"], "--w must be at least 1, got 0"),
        (["run", "twitter", "--record", "nowhere/run.jsonl.gz"], "there is no folder"),
        (["replay", "missing.jsonl.gz"], "missing.jsonl.gz cannot be read: No such file or directory"),
        (["replay", __file__], "line 1: expected the header of a recording"),
        (["replay", "missing.jsonl.gz", "--w", "0"], "--w must be at least 1, got 0"),
        (["report", "missing.jsonl.gz"], "cannot be read: No such file"),
        (["run", "twitter", "--cluster", "no-such-cluster"], "no cluster 'no-such-cluster' is known here"),
    ],
)
def test_a_mistake_is_answered_in_one_line(
    words: list[str], message: str, nobody: str, capsys: pytest.CaptureFixture[str]
) -> None:
    where = [] if words[0] == "report" or "--cluster" in words else ["--nodes", nobody]
    assert main([*words, *where]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("traffic: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ["run", "chess"],
        ["run", "twitter", "--loop", "figure-eight"],
        ["run", "twitter", "--workers", "0"],
        ["run", "twitter", "--duration", "-3"],
        ["replay", "x", "--speed", "0"],
        ["replay", "x", "--speed", "1e9"],
    ],
)
def test_arguments_that_cannot_be_are_answered_with_what_was_expected(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_token_never_gets_into_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["traffic", "run", "twitter", "--token", "geheim", "--token=geheim", "--rate", "5"]
    monkeypatch.setattr("sys.argv", words)
    assert "geheim" not in commandline.command_line()
    assert commandline.command_line().endswith("--rate 5")


def test_an_unknown_bug_is_answered_with_the_known_ones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], nobody: str, tmp_path: Path
) -> None:
    assert main(["run", "twitter", "--bug", "gremlin", "--nodes", nobody]) == 2
    said = capsys.readouterr().err
    assert "gremlin" in said
    assert said.count("\n") == 1


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder without clusters."""
    monkeypatch.setenv("QUORUM_LAB_STATE", str(tmp_path))
    return tmp_path


def a_cluster(state: Path, name: str) -> Path:
    """The state file of a cluster; its supervisor listens only if somebody does at the path that is answered."""
    path = state / name / "control.sock"
    path.parent.mkdir()
    content = {"nodes": [{"name": "node-1", "url": "http://127.0.0.1:1"}], "socket": str(path)}
    (path.parent / "state.json").write_text(json.dumps(content))
    return path


def test_a_run_without_nodes_fails_within_a_second_and_says_what_runs(
    state: Path, nobody: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The story: somebody typed `python -m traffic run twitter` while the cluster was called something else. For thirty
    seconds every operation failed, then 200 lines said that no replica had answered."""
    a_cluster(state, "long-dead")
    with socket.socket(socket.AF_UNIX) as supervisor:
        supervisor.bind(str(a_cluster(state, "class-2")))
        supervisor.listen()
        began_s = time.monotonic()
        assert main(["run", "twitter", "--nodes", nobody]) == 2
        assert time.monotonic() - began_s < 1.0
    assert capsys.readouterr().err == (
        f"traffic: no node answers at {nobody}; running here: --cluster class-2\n"
    )


def test_where_nothing_runs_it_says_how_to_start(
    state: Path, nobody: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "twitter", "--nodes", nobody]) == 2
    assert "no cluster runs here: python -m kvnode.cluster start" in capsys.readouterr().err
    a_cluster(state, "long-dead")
    assert main(["run", "twitter", "--cluster", "long-dead"]) == 2
    assert "no node answers at http://127.0.0.1:1; no cluster runs here" in capsys.readouterr().err


def test_a_replay_without_nodes_fails_likewise(
    state: Path, nobody: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "run.jsonl"
    header = Header(started_at="2030-01-02T03:04:05Z", seed=1, settings={}, nodes=["node-1"], replicas=3)
    done = Done(
        workload="twitter",
        due_s=0.0,
        sent_s=0.0,
        done_s=0.1,
        operation=Get(kind="read", persona="x", key="k"),
    )
    path.write_bytes(b"\n".join(map(msgspec.json.encode, (header, done))) + b"\n")
    assert main(["replay", str(path), "--nodes", nobody]) == 2
    assert f"no node answers at {nobody}" in capsys.readouterr().err
