"""Regions are the cluster's, read from its state file; without a topology there are none."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from traffic.geography import Geography

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
    geography = Geography(lambda: URLS)
    assert geography.regions() == {}
    written(state, topology={"name": "three-regions", "factor": 1.0, "regions": REGIONS})
    assert geography.regions() == REGIONS
    written(state, topology=None, at_ns=2)
    assert geography.regions() == {}


def test_another_cluster_is_not_ours(state: Path) -> None:
    written(state, topology={"regions": REGIONS}, urls={"node-1": "http://127.0.0.1:8000"})
    assert Geography(lambda: URLS).regions() == {}


def test_a_file_that_makes_no_sense_says_nothing(state: Path) -> None:
    state.write_text("{")
    assert Geography(lambda: URLS).regions() == {}
