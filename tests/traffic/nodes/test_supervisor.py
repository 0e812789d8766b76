"""The supervisor's state file is read, and its socket is told; regions are the cluster's, or there are none."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from kvnode.cluster.contract import Kill
from traffic.nodes.supervisor import Refused, Supervisor

URLS = {"node-1": "http://127.0.0.1:9999", "node-2": "http://127.0.0.1:10000"}
REGIONS = {"node-1": "London", "node-2": "Tokyo"}


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QUORUM_LAB_STATE", str(tmp_path))
    path = tmp_path / "quorum-lab" / "state.json"
    path.parent.mkdir()
    return path


def written(path: Path, *, topology: object, urls: dict[str, str] = URLS, at_ns: int = 1) -> None:
    nodes = [{"name": name, "url": url} for name, url in urls.items()]
    path.write_text(json.dumps({"nodes": nodes, "topology": topology}))
    os.utime(path, ns=(at_ns, at_ns))


def test_a_topology_that_is_set_and_changed_is_followed(state: Path) -> None:
    supervisor = Supervisor(lambda: URLS)
    assert supervisor.regions() == {}
    written(state, topology={"name": "three-regions", "factor": 1.0, "regions": REGIONS})
    assert supervisor.regions() == REGIONS
    written(state, topology=None, at_ns=2)
    assert supervisor.regions() == {}


def test_another_cluster_is_not_ours(state: Path) -> None:
    written(state, topology={"regions": REGIONS}, urls={"node-1": "http://127.0.0.1:8000"})
    assert Supervisor(lambda: URLS).regions() == {}


def test_a_file_that_makes_no_sense_says_nothing(state: Path) -> None:
    state.write_text("{")
    assert Supervisor(lambda: URLS).regions() == {}


def test_without_a_supervisor_a_command_is_refused_in_words(state: Path) -> None:
    with pytest.raises(Refused, match="no supervisor of this cluster is known here"):
        asyncio.run(Supervisor(lambda: URLS).tell(Kill(["node-1"])))
    state.write_text(
        json.dumps({"nodes": [{"name": "node-1", "url": URLS["node-1"]}], "socket": "/nowhere/s"})
    )
    with pytest.raises(Refused, match=r"the supervisor does not answer: .*No such file"):
        asyncio.run(Supervisor(lambda: URLS).tell(Kill(["node-1"])))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b'{"ok": false, "error": "there is no node-9"}\n', "there is no node-9"),
        (b"nonsense\n", "does not answer"),
        (b"", "does not answer"),
        (b'{"ok": true, "state": {}}\n', None),
    ],
)
def test_what_the_supervisor_answers(state: Path, tmp_path: Path, answer: bytes, says: str | None) -> None:
    socket, heard = tmp_path / "s", []
    nodes = [{"name": "node-1", "url": URLS["node-1"]}]
    state.write_text(json.dumps({"nodes": nodes, "socket": str(socket)}))

    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(json.loads(await reader.readline()))
            writer.write(answer)
            writer.close()

        async with await asyncio.start_unix_server(serve, socket):
            await Supervisor(lambda: URLS).tell(Kill(["node-1"]))

    if says is None:
        asyncio.run(main())
    else:
        with pytest.raises(Refused, match=says):
            asyncio.run(main())
    assert heard == [{"command": "kill", "nodes": ["node-1"]}]
