"""Scenes of the course as a real cluster of three nodes once played them: operations, the nodes' notes, versions."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest


class Recorded:
    """One scene that was played once; `told` are the arguments of space_time."""

    def __init__(self, scene: dict[str, Any]) -> None:
        self.operations = [SimpleNamespace(**one) for one in scene["operations"]]
        self.traces: dict[str, list[dict[str, Any]]] = scene["traces"]
        self.nodes: list[str] = scene["nodes"]
        self.wall_ms_at_zero: float = scene["wall_ms_at_zero"]
        self.cuts: list[dict[str, Any]] = scene["cuts"]
        self.versions: list[dict[str, Any]] = scene["versions"]

    @property
    def told(self) -> tuple[Any, ...]:
        return self.operations, self.traces, self.nodes, self.wall_ms_at_zero, self.cuts


@pytest.fixture(scope="session")
def recorded() -> dict[str, Recorded]:
    """alice (tells Bob), lunch (break), (one) breath, (slow) watch, (two) sides."""
    text = (Path(__file__).parent / "recorded_scenes.json").read_text(encoding="utf-8")
    return {name: Recorded(scene) for name, scene in json.loads(text).items()}
