"""A service that is started beside its cluster waits for it, and says so if that comes to nothing."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from traffic.cli import main
from traffic.discovery import NoCluster, await_start, from_cluster

NODE = {"name": "node-1", "url": "http://127.0.0.1:1"}


@pytest.fixture
def state_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the supervisor of the cluster `demo` would write."""
    monkeypatch.setenv("QUORUM_LAB_STATE", str(tmp_path))
    (tmp_path / "demo").mkdir()
    return tmp_path / "demo" / "state.json"


def write(path: Path, phase: str) -> None:
    """As the supervisor does it: the whole file at once."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"nodes": [NODE], "phase": phase}))
    fresh.replace(path)


def test_a_cluster_that_runs_is_not_waited_for(state_file: Path) -> None:
    write(state_file, "running")
    began_s = time.monotonic()
    await_start("demo", within_s=5)
    assert time.monotonic() - began_s < 1
    assert from_cluster("demo")[0].name == "node-1"


def test_one_that_starts_is_waited_for_also_before_it_has_written_anything(state_file: Path) -> None:
    ended = threading.Event()

    def wait() -> None:
        await_start("demo", within_s=10)
        ended.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert not ended.wait(0.1)
    write(state_file, "starting")
    assert not ended.wait(0.1)
    write(state_file, "running")
    assert ended.wait(5)


def test_one_that_never_starts_is_told_of_in_one_sentence(state_file: Path) -> None:
    with pytest.raises(NoCluster, match="no cluster 'demo' is known here"):
        await_start("demo", within_s=0.05)
    write(state_file, "starting")
    with pytest.raises(NoCluster, match=r"'demo' was still starting after 0\.05 s"):
        await_start("demo", within_s=0.05)


@pytest.mark.parametrize("seconds", ["soon", "-1", "1e9", "nan"])
def test_a_time_to_wait_that_cannot_be_is_answered_with_what_was_expected(
    seconds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--cluster", "demo", "--wait-s", seconds])
    assert f"expected seconds from 0 to 600, got '{seconds}'" in capsys.readouterr().err
