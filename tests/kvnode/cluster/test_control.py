"""Connections to the supervisor: when the end of one is noticed."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from kvnode.cluster import control
from kvnode.cluster.contract import ClusterState, Command, name_of
from kvnode.cluster.faults import leases
from kvnode.cluster.faults.leases import Lease

STATE = ClusterState(
    cluster="lab",
    cluster_id="",
    supervisor_pid=1,
    detached=False,
    socket="",
    replicas=3,
    created_at=0,
    phase="running",
    trouble="",
    topology=None,
    nodes=[],
    leases=[],
    sidecars=[],
)


@pytest.fixture
def heard() -> list[tuple[float, bool, str]]:
    """When the end of a connection was told, whether finally, and the holder."""
    return []


async def converse(
    path: Path, heard: list[tuple[float, bool, str]], *, command_s: float, stay: bool
) -> list[bytes]:
    """One connection that asks for something that takes `command_s`, and goes away meanwhile unless it is to stay."""
    began_s = time.monotonic()
    over = asyncio.Event()

    async def handler(command: Command) -> ClusterState:
        lease = leases.of_this_task()
        assert lease is not None
        lease.holder = name_of(command)
        await asyncio.sleep(command_s)
        return STATE

    async def ended(lease: Lease, *, is_final: bool) -> None:
        heard.append((time.monotonic() - began_s, is_final, lease.holder))
        if is_final:
            over.set()

    server = await control.serve(path, handler, ended)
    answers = []
    async with server:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(json.dumps({"command": "reset"}).encode() + b"\n")
        if stay:
            answers.append(await reader.readline())
        else:
            await asyncio.sleep(0.05)
        writer.close()
        async with asyncio.timeout(5):
            await over.wait()
    return answers


def test_who_waits_for_the_answer_gets_it_and_the_end_is_told_once(
    tmp_path: Path, heard: list[tuple[float, bool, str]]
) -> None:
    answers = asyncio.run(converse(tmp_path / "socket", heard, command_s=0.1, stay=True))
    assert json.loads(answers[0])["ok"] is True
    assert [(is_final, holder) for _, is_final, holder in heard] == [(True, "reset")]


def test_who_goes_away_during_a_long_command_is_missed_before_it_ends(
    tmp_path: Path, heard: list[tuple[float, bool, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. A holder asks for a restart, which may take twenty seconds. 2. It is killed. 3. Its cuts must go at once."""
    monkeypatch.setattr(control, "GONE_PATIENCE_S", 0.2)
    asyncio.run(converse(tmp_path / "socket", heard, command_s=2.0, stay=False))
    assert [(is_final, holder) for _, is_final, holder in heard] == [(False, "reset"), (True, "reset")]
    assert heard[0][0] < 1.0 < 2.0 <= heard[1][0]
