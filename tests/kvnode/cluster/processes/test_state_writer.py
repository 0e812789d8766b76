"""The state file follows the state; a disk that does not take it costs the file, not the supervisor."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from pathlib import Path
from typing import Any, cast

import pytest

from kvnode.cluster.contract import ClusterState
from kvnode.cluster.errors import ClusterError
from kvnode.cluster.processes import state_writer
from kvnode.cluster.state import ClusterFile
from kvnode.config import NodeAddress


class Disk:
    """Takes files, unless it is full."""

    def __init__(self) -> None:
        self.full = False

    def replace(self, source: Path, target: Path) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        os.rename(source, target)  # noqa: PTH104 - Path.replace is what this stands in for


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    monkeypatch.setattr(Path, "replace", lambda self, target: made.replace(self, target))
    return made


def test_a_full_disk_keeps_the_file_as_it_was_and_it_is_written_once_there_is_room(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The story: 1. the disk became full. 2. A node was killed, and its state could not be written. 3. The command had
    no answer, the supervisor no longer noticed what became of its children, and no node could be started."""
    monkeypatch.setattr(state_writer, "RETRY_S", 0.01)
    path, said = tmp_path / "state.json", list[str]()
    now: dict[str, Any] = {"nodes": 3}

    async def scenario() -> None:
        writer = state_writer.StateWriter(path, lambda: cast(ClusterState, now), said.append)
        writer.write()
        disk.full = True
        for now["nodes"] in (2, 1):
            writer.write()
            assert "cannot be written: No space left on device" in writer.trouble
        assert json.loads(path.read_text()) == {"nodes": 3}
        assert os.listdir(tmp_path) == ["state.json"], "nothing half-written is left"  # noqa: PTH208
        disk.full = False
        async with asyncio.timeout(5):
            while writer.trouble:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert json.loads(path.read_text()) == {"nodes": 1}
        writer.stop()

    asyncio.run(scenario())
    assert len(said) == 1, "the same trouble is told once"


def test_a_cluster_file_that_says_it_already_needs_no_room(tmp_path: Path, disk: Disk) -> None:
    cluster = ClusterFile("lab", "ab" * 16, 1, (NodeAddress("node-1", "127.0.0.1", 9999, 19999),))
    cluster.write(tmp_path / "cluster.json")
    disk.full = True
    cluster.write(tmp_path / "cluster.json")
    with pytest.raises(ClusterError, match=r"cluster.json cannot be written: No space left on device"):
        cluster.at("0.0.0.0").write(tmp_path / "cluster.json")
