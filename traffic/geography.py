"""Where the nodes are: what a local cluster's state file says about its topology and about their URLs.

Here: finding the file and reading it again when it has changed. Not here: what follows (nodes.py: a persona's
own region is asked first; membership.py), delays (the cluster's links have them; the generator invents none).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from traffic.discovery import state_folder


class _Topology(Struct):
    regions: dict[str, str] = {}


class _Node(Struct):
    name: str
    url: str


class _State(Struct):
    nodes: list[_Node]
    topology: _Topology | None = None


class Geography:
    """urls: answers those of the nodes that are known, by name. Knows their regions, and the URLs of those that came
    later, while they belong to a local cluster."""

    def __init__(self, urls: Callable[[], Mapping[str, str]]) -> None:
        self._known = urls
        self._seen: tuple[Path, int] | None = None  # the file that was read, and when it was changed
        self._state: _State | None = None

    def regions(self) -> Mapping[str, str]:
        """By node; empty without a topology."""
        state = self._look()
        return state.topology.regions if state and state.topology else {}

    def urls(self) -> Mapping[str, str]:
        """By node; empty without a state file."""
        state = self._look()
        return {node.name: node.url for node in state.nodes} if state else {}

    def _look(self) -> _State | None:
        """Costs little: a file that has not changed is not read again."""
        if self._seen is not None and _changed_ns(self._seen[0]) == self._seen[1]:
            return self._state
        self._seen, self._state = None, None
        known = self._known()
        for path in sorted(state_folder().glob("*/state.json")):
            changed_ns = _changed_ns(path)
            state = _read(path)
            if state is not None and any(known.get(node.name) == node.url for node in state.nodes):
                self._seen, self._state = (path, changed_ns), state
                break
        return self._state


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _read(path: Path) -> _State | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_State)
    except (OSError, msgspec.MsgspecError):
        return None  # being written, or gone: the next look will tell
